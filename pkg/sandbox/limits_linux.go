package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// executable is this very program, whatever has become of its file.
func executable() (string, error) { return "/proc/self/exe", nil }

// limitMemory has the kernel refuse more than that many bytes of address space beside
// what the process has reserved by now: the Go runtime reserves far more than it uses.
// A single allocation may be larger than what any look at the memory would notice.
func limitMemory(more uint64) error {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	pages, err := strconv.ParseUint(strings.Fields(string(data))[0], 10, 64)
	if err != nil {
		return fmt.Errorf("read /proc/self/statm: %w", err)
	}
	// The runtime takes address space by arenas of 64 MiB, and needs some for itself.
	const arena = 64 << 20
	limit := pages*uint64(os.Getpagesize()) + more + arena
	return syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit})
}
