package sandbox

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// lowerPriority has everything else go first.
func lowerPriority() {
	const niceness = 10
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness) // it is better without than not at all
}
