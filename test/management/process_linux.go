package management

import "syscall"

// dieWithParent makes Linux kill the child when the thread that started it
// ends, so that nothing survives a killed test.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
