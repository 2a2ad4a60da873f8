package management

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// gracePeriod is how long a component may take to end before it is killed.
const gracePeriod = 10 * time.Second

// launcher starts the processes of one cluster from one operating system
// thread. Linux kills a child when the thread that created it ends (see
// dieWithParent), and Go ends threads when it likes; a locked one lives until
// the launcher is closed or the whole process is gone.
type launcher struct{ jobs chan func() }

func newLauncher() *launcher {
	l := &launcher{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for job := range l.jobs {
			job()
		}
	}()
	return l
}

func (l *launcher) start(cmd *exec.Cmd) error {
	result := make(chan error)
	l.jobs <- func() { result <- cmd.Start() }
	return <-result
}

// close ends the thread. All processes must have ended before.
func (l *launcher) close() { close(l.jobs) }

// process is one running component, with its output appended to a log file.
type process struct {
	cmd    *exec.Cmd
	log    string
	offset int64         // where this process's output begins in log, bytes
	done   chan struct{} // closed when the process is gone
}

// run starts a binary under the given name, which the programs put into their
// user agents.
func (l *launcher) run(logFile, name, binary string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own copy
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	p := &process{log: logFile, offset: info.Size(), done: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Args[0] = name
	p.cmd.Env = environment()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = dieWithParent()
	// An own process group: Ctrl-C in a terminal goes to the parent alone, which
	// stops the components in order.
	p.cmd.SysProcAttr.Setpgid = true
	if err := l.start(p.cmd); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // the exit status is in cmd.ProcessState
		close(p.done)
	}()
	return p, nil
}

// environment has garbage collected rarely. A management cluster as small as ours
// otherwise spends a quarter of its time on that, and one of a usual size does not.
func environment() []string {
	if os.Getenv("GOGC") != "" {
		return nil // as it is
	}
	return append(os.Environ(), "GOGC=400")
}

// exited tells whether the process is gone.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end asks the process to end, kills it after grace, and waits until it is gone.
func (p *process) end(grace time.Duration) {
	if grace > 0 {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only if it is gone already
		select {
		case <-p.done:
			return
		case <-time.After(grace):
		}
	}
	_ = p.cmd.Process.Kill() // likewise
	<-p.done
}

// output returns the last limit bytes this process wrote, from a line's start.
func (p *process) output(limit int64) []byte {
	file, err := os.Open(p.log)
	if err != nil {
		return nil
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, p.offset, 1<<40))
	if err != nil || int64(len(text)) <= limit {
		return text
	}
	text = text[int64(len(text))-limit:]
	if _, rest, found := bytes.Cut(text, []byte("\n")); found {
		return rest
	}
	return text
}

// errPortTaken says that another process got a port before the component did.
var errPortTaken = errors.New("port is taken")

// failure describes a process that did not become ready, with the end of its log.
func (p *process) failure(reason error) error {
	const limit = 4 << 10
	text := p.output(limit)
	if p.exited() {
		reason = fmt.Errorf("ended early: %s", p.cmd.ProcessState)
		if bytes.Contains(p.output(1<<20), []byte("address already in use")) {
			reason = fmt.Errorf("%w: %w", errPortTaken, reason)
		}
	}
	return fmt.Errorf("%w; end of its log:\n%s", reason, text)
}
