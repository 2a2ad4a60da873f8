//go:build !linux

package management

import "syscall"

// dieWithParent does nothing here: only Linux can tie a child to its parent, so
// elsewhere the components survive a parent that is killed before Stop.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
