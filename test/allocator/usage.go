package allocator

import (
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// Usage is what a process has used so far.
type Usage struct {
	CPU     time.Duration // user and system time, a hundredth of a second exact
	PeakRSS uint64        // most memory resident at any time, in bytes
	RSS     uint64        // memory resident now, in bytes; 0 when the process is gone
}

// Usage reads what the process has used. While it runs that needs Linux. Of a
// process that is gone PeakRSS is what it was when Stop was called; of a crashed
// one it is the system's account, which also counts what this process had resident
// when it started the child.
func (p *Process) Usage() (Usage, error) {
	select {
	case <-p.done:
		return p.finalUsage(), nil
	default:
	}
	process, err := procfs.NewProc(p.PID())
	if err != nil {
		return Usage{}, fmt.Errorf("read usage of process %d: %w", p.PID(), err)
	}
	stat, err := process.Stat()
	if err != nil {
		return Usage{}, fmt.Errorf("read usage of process %d: %w", p.PID(), err)
	}
	status, err := process.NewStatus()
	if err != nil {
		return Usage{}, fmt.Errorf("read memory of process %d: %w", p.PID(), err)
	}
	return Usage{
		CPU:     time.Duration(stat.CPUTime() * float64(time.Second)),
		PeakRSS: status.VmHWM,
		RSS:     status.VmRSS,
	}, nil
}

// rememberPeak keeps the peak of a process that is about to end.
func (p *Process) rememberPeak() {
	if usage, err := p.Usage(); err == nil {
		p.peak.Store(max(usage.PeakRSS, p.peak.Load()))
	}
}

// finalUsage is the account of a process that is gone.
func (p *Process) finalUsage() Usage {
	state := p.command.ProcessState
	usage := Usage{CPU: state.UserTime() + state.SystemTime(), PeakRSS: p.peak.Load()}
	if account, ok := state.SysUsage().(*syscall.Rusage); ok && usage.PeakRSS == 0 {
		usage.PeakRSS = uint64(account.Maxrss)
		if runtime.GOOS != "darwin" { // which counts bytes, the others KiB
			usage.PeakRSS <<= 10
		}
	}
	return usage
}
