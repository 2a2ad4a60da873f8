package allocator_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
)

// part tells this test binary, started again, what to play instead of the tests.
const part = "ALLOCATOR_TEST_PART"

func TestMain(m *testing.M) {
	switch os.Getenv(part) {
	case "":
		os.Exit(m.Run())
	case "allocator":
		os.Exit(playAllocator())
	case "parent":
		playParent()
	}
}

// playAllocator is an allocator that does nothing but answer its probes. PORT_LOST
// names a file that tells whether it pretended to lose its port already.
func playAllocator() int {
	fmt.Println("hello from the allocator")
	if file := os.Getenv("PORT_LOST"); file != "" {
		if os.Getenv("PORT_LOST_ALWAYS") != "" || firstTime(file) {
			fmt.Println("listen tcp: bind: address already in use")
			return 1
		}
	}
	if os.Getenv("BROKEN") != "" {
		fmt.Println("no such flag")
		return 7
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	for _, arg := range os.Args {
		if address, found := strings.CutPrefix(arg, "--health-probe-bind-address="); found {
			server := &http.Server{Addr: address, ReadHeaderTimeout: time.Second}
			http.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
			go func() { _ = server.ListenAndServe() }()
		}
	}
	<-ctx.Done()
	return 3
}

func firstTime(file string) bool {
	_, err := os.Stat(file)
	_ = os.WriteFile(file, nil, 0o600)
	return err != nil
}

// playParent starts an allocator, says its number, and waits to be killed.
func playParent() {
	p, err := allocator.Start(context.Background(), allocator.Options{Env: []string{part + "=allocator"}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.PID())
	select {}
}

func start(t *testing.T, env ...string) (*allocator.Process, error) {
	t.Helper()
	t.Setenv(allocator.BinaryVariable, os.Args[0])
	return allocator.Start(t.Context(), allocator.Options{
		LogFile: filepath.Join(t.TempDir(), "allocator.log"),
		Env:     append(env, part+"=allocator"),
	})
}

func TestStopReturnsTheExitCode(t *testing.T) {
	p, err := start(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context()); err != nil {
		t.Errorf("not ready after Start: %v", err)
	}
	if code, err := p.Stop(); code != 3 || err != nil {
		t.Errorf("got exit code %d and %v, want 3", code, err)
	}
	if code, err := p.Stop(); code != 3 || err != nil {
		t.Errorf("second time: got exit code %d and %v, want 3", code, err)
	}
	if usage, err := p.Usage(); err != nil || usage.PeakRSS == 0 {
		t.Errorf("got usage %+v and %v, want the peak of what it used", usage, err)
	}
}

func TestErrorOfABrokenAllocatorShowsItsLog(t *testing.T) {
	_, err := start(t, "BROKEN=true")
	if err == nil || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("got %v, want the exit status and the end of the log", err)
	}
}

func TestStartTriesOtherPorts(t *testing.T) {
	p, err := start(t, "PORT_LOST="+filepath.Join(t.TempDir(), "lost"))
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
}

func TestStartGivesUpAfterSomePorts(t *testing.T) {
	if _, err := start(t, "PORT_LOST="+filepath.Join(t.TempDir(), "lost"), "PORT_LOST_ALWAYS=true"); err == nil {
		t.Error("an allocator that never got its ports was said to be ready")
	}
}

func TestAllocatorDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can do that")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), part+"=parent", allocator.BinaryVariable+"="+os.Args[0])
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent says: %s", line)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d survived its parent", pid)
		}
	}
}

// alive tells whether a process still runs: one that nobody waited for is a zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
