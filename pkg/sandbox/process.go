package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// patience is how long an answer may take by the clock. The child ends by itself long
// before, unless the machine gives it next to no time.
const patience = 30 * time.Second

// process is a child process. It ends with its parent: its input ends then, and what it is
// evaluating meanwhile ends at its bounds.
type process struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	said tail // on standard error
}

func startProcess() (*process, error) {
	path, err := executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p := &process{cmd: exec.Command(path, argument)}
	p.cmd.Args[0] = "capi-vip-allocator" // for those who list processes
	// Whatever is in our environment is of no use to templates. One arena of the C library:
	// each would reserve address space that is counted as used.
	p.cmd.Env = []string{"GOMAXPROCS=2", "GOTRACEBACK=none", "MALLOC_ARENA_MAX=1"}
	p.cmd.Stderr = &p.said
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("input of the child: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("output of the child: %w", err)
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a child process: %w", err)
	}
	return p, nil
}

// end has the process end and waits for it.
func (p *process) end() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill() // it may have ended by itself
	_ = p.cmd.Wait()
}

// ask has the child answer. used is the CPU time that took, alive says that it can answer
// another question. An error says that there is no answer, for a reason that is not the
// question's.
func (p *process) ask(r *request) (answer result, used time.Duration, alive bool, err error) {
	timeout := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	patch := ""
	err = json.NewEncoder(p.in).Encode(r)
	for err == nil {
		var message reply
		if err = p.out.Decode(&message); err != nil {
			break
		}
		if message.Answer != nil {
			alive = timeout.Stop() && message.Answer.Unclear == ""
			return *message.Answer, message.CPU, alive, nil
		}
		patch = message.Patch
	}
	inTime := timeout.Stop()
	p.end()
	used = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	said := p.said.text.String()
	switch {
	case !inTime:
		return result{}, used, false, fmt.Errorf("evaluate templates: no answer after %s", patience)
	case strings.Contains(said, "out of memory") || strings.Contains(said, "cannot allocate memory"):
		return result{Unclear: overMemory, Patch: patch}, used, false, nil
	case strings.Contains(said, "stack overflow") || strings.Contains(said, "stack exceeds"):
		return result{Unclear: "it nests too deeply", Patch: patch}, used, false, nil
	}
	return result{}, used, false, fmt.Errorf("evaluate templates: the child process ended: %w: %s", err, said)
}

// tail keeps the beginning of what a process says on its way out.
type tail struct{ text bytes.Buffer }

// Write implements io.Writer.
func (t *tail) Write(data []byte) (int, error) {
	const most = 1000
	if room := most - t.text.Len(); room > 0 {
		t.text.Write(data[:min(room, len(data))])
	}
	return len(data), nil
}
