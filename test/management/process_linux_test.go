package management

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const parentVariable = "MANAGEMENT_TEST_PARENT"

// A killed test takes the components with it. The test kills a copy of itself
// that has started a process.
func TestChildDiesWithParent(t *testing.T) {
	if dir := os.Getenv(parentVariable); dir != "" {
		beParent(t, dir)
		return
	}
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	parent.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	for lines := bufio.NewScanner(out); child == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "child %d", &child)
	}
	if child == 0 || syscall.Kill(child, 0) != nil {
		t.Fatalf("no child process: %d", child)
	}
	_ = parent.Process.Kill()
	_ = parent.Wait()
	err = poll(t.Context(), 10*time.Second, func() (bool, error) { return !alive(child), nil })
	if err != nil {
		t.Errorf("child %d outlived its parent: %v", child, err)
	}
}

// alive tells whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	var id int
	var name, state string
	_, _ = fmt.Sscan(string(stat), &id, &name, &state)
	return state != "Z"
}

func beParent(t *testing.T, dir string) {
	process, err := newLauncher().run(filepath.Join(dir, "log"), "sleep", "/bin/sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("child %d\n", process.cmd.Process.Pid)
	<-process.done
}

// A Start that is cancelled half-way stops what it started.
func TestAbortedStart(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the binaries")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	_, err := Start(ctx, Options{Dir: dir, Progress: cancelAt{"etcd is ready", cancel}})
	if err == nil {
		t.Fatal("started although cancelled")
	}
	command, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range command {
		if line, _ := os.ReadFile(file); bytes.Contains(line, []byte(dir)) {
			t.Errorf("still runs: %s", bytes.ReplaceAll(line, []byte{0}, []byte(" ")))
		}
	}
}

// cancelAt is a writer that cancels when a text appears.
type cancelAt struct {
	text   string
	cancel func()
}

func (c cancelAt) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(c.text)) {
		c.cancel()
	}
	return len(line), nil
}
