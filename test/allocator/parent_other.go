//go:build !linux

package allocator

import "syscall"

// dieWithParent does nothing here: only Linux can tie a child to its parent, so
// elsewhere an allocator survives a parent that is killed before it called Stop.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
