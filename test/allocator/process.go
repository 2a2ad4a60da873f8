package allocator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

const (
	// Namespace is where the allocator keeps its Lease. It must exist before an
	// allocator with leader election starts.
	Namespace = "capi-vip-allocator-system"

	// gracePeriod is what Stop gives the allocator, as much as a kubelet would.
	gracePeriod = 30 * time.Second
	// portAttempts is how often Start tries other ports after losing one.
	portAttempts = 5
)

// Options say how to run an allocator.
type Options struct {
	// Kubeconfig is the path of the file that names the API server and the user.
	Kubeconfig string
	// Args are further flags. The addresses of metrics and probes are chosen by
	// Start and must not be among them.
	Args []string
	// LogFile takes the allocator's output, appended. "" is a temporary file,
	// removed when the process is gone.
	LogFile string
	// Env is added to this process's environment.
	Env []string
}

// Process is a running allocator. It is killed when this process ends, however
// that happens (on Linux). Its methods may be called concurrently.
type Process struct {
	command     *exec.Cmd
	log         log
	metricsPort int
	healthPort  int
	peak        atomic.Uint64 // bytes, see rememberPeak
	done        chan struct{} // closed when the process is gone
}

// Start builds the allocator if this process has not yet, starts it on free
// loopback ports and returns when it is ready. Ready does not mean leading: with
// leader election that depends on the others. An error holds the end of the log.
// Cancelling ctx aborts Start and has no effect once it returned.
func Start(ctx context.Context, o Options) (*Process, error) {
	binary, err := Build(ctx)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		p, err := launch(binary, o)
		if err != nil {
			return nil, fmt.Errorf("start the allocator: %w", err)
		}
		err = p.awaitReady(ctx)
		if err == nil {
			return p, nil
		}
		p.Kill()
		if !errors.Is(err, errPortTaken) || attempt == portAttempts {
			return nil, fmt.Errorf("allocator is not ready: %w", err)
		}
	}
}

// launch starts the process without waiting for anything.
func launch(binary string, o Options) (*Process, error) {
	ports, err := loopback.FreePorts(2)
	if err != nil {
		return nil, err
	}
	p := &Process{metricsPort: ports[0], healthPort: ports[1], done: make(chan struct{})}
	output, err := p.log.open(o.LogFile)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the child has its own copy
	p.command = exec.Command(binary, append([]string{
		"run",
		"--kubeconfig=" + o.Kubeconfig,
		"--metrics-bind-address=" + loopback.Address(p.metricsPort),
		"--health-probe-bind-address=" + loopback.Address(p.healthPort),
	}, o.Args...)...)
	p.command.Env = append(append(os.Environ(), "POD_NAMESPACE="+Namespace), o.Env...)
	p.command.Stdout, p.command.Stderr = output, output
	p.command.SysProcAttr = dieWithParent()
	// An own process group: Ctrl-C in a terminal goes to the parent alone, which
	// stops the allocator when it is time.
	p.command.SysProcAttr.Setpgid = true
	err = p.run()
	return p, err
}

// run starts the command from a thread that lives as long as the child: Linux
// kills the child when the thread that created it ends (see dieWithParent), and
// Go ends other threads when it likes.
func (p *Process) run() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		defer loopback.Release(p.metricsPort, p.healthPort)
		err := p.command.Start()
		started <- err
		if err == nil {
			_ = p.command.Wait() // the exit status is in ProcessState
			close(p.done)
		}
	}()
	err := <-started
	if err != nil {
		p.log.remove()
	}
	return err
}

// MetricsURL is where Prometheus would scrape the allocator.
func (p *Process) MetricsURL() string {
	return "http://" + loopback.Address(p.metricsPort) + "/metrics"
}

// HealthURL is the base of /healthz and /readyz.
func (p *Process) HealthURL() string { return "http://" + loopback.Address(p.healthPort) }

// PID is the number of the process.
func (p *Process) PID() int { return p.command.Process.Pid }

// Done is closed when the process is gone, for whatever reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// LogTail returns about the last 4 KiB of what this process wrote.
func (p *Process) LogTail() string { return p.log.tail() }

// Log returns everything that this process wrote so far.
func (p *Process) Log() string { return string(p.log.read()) }

// Signal sends a signal to the process, SIGSTOP for example.
func (p *Process) Signal(signal os.Signal) error { return p.command.Process.Signal(signal) }

// Stop asks the process to end with SIGTERM, waits until it has, and returns its
// exit code. After 30 seconds it kills the process, which is an error. Stopping
// a process that is gone returns the code it ended with.
func (p *Process) Stop() (exitCode int, err error) {
	p.rememberPeak()
	_ = p.Signal(syscall.SIGTERM) // fails only if it is gone already
	select {
	case <-p.done:
	case <-time.After(gracePeriod):
		err = fmt.Errorf("allocator ignored SIGTERM for %s; end of its log:\n%s", gracePeriod, p.LogTail())
		_ = p.command.Process.Kill()
		<-p.done
	}
	p.log.remove()
	return p.command.ProcessState.ExitCode(), err
}

// Kill ends the process at once, as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // fails only if it is gone already
	<-p.done
	p.log.remove()
}
