package allocator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Page is a running `kubectl vip ui`.
type Page struct {
	// URL is the address that it has printed, with the token.
	URL string

	command *exec.Cmd
	done    chan struct{}
	failure error // once done is closed
	says    complaints
}

// complaints are what a program writes to its standard error.
type complaints struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (c *complaints) Write(data []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(data)
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// StartPage builds what is missing and returns once the page has printed its address. It
// opens no browser.
func StartPage(ctx context.Context, kubeconfig string, args ...string) (*Page, error) {
	binary, err := Build(ctx)
	if err != nil {
		return nil, err
	}
	p := &Page{done: make(chan struct{})}
	p.command = exec.Command(binary, append([]string{"ui", "--no-browser", "--kubeconfig=" + kubeconfig}, args...)...)
	p.command.Stderr = &p.says
	p.command.SysProcAttr = dieWithParent()
	p.command.SysProcAttr.Setpgid = true // like the allocator it is stopped when it is time
	address := make(chan string, 1)
	go p.run(address)
	p.URL = <-address // or nothing, if it ends without one
	if !strings.HasPrefix(p.URL, "http://127.0.0.1:") {
		return nil, errors.Join(fmt.Errorf("kubectl vip ui prints %q for an address", p.URL), p.Stop())
	}
	return p, nil
}

// run lives as long as the program, on one thread: see Process.run.
func (p *Page) run(address chan<- string) {
	runtime.LockOSThread()
	defer close(p.done)
	output, err := p.command.StdoutPipe()
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		p.failure = err
		address <- ""
		return
	}
	lines := bufio.NewScanner(output)
	for first := true; lines.Scan(); first = false {
		if first {
			address <- lines.Text()
		}
	}
	p.failure = p.command.Wait()
	close(address) // which matters to nobody who has it
}

// Stop ends the page as Ctrl-C does. That it fails or complains is an error.
func (p *Page) Stop() error {
	if p.command.Process != nil {
		_ = p.command.Process.Signal(syscall.SIGINT) // fails only if it is gone already
	}
	select {
	case <-p.done:
	case <-time.After(gracePeriod):
		_ = p.command.Process.Kill()
		<-p.done
	}
	if p.failure != nil {
		return fmt.Errorf("kubectl vip ui: %w: %s", p.failure, p.says.String())
	}
	if words := p.says.String(); words != "" {
		return fmt.Errorf("kubectl vip ui complains: %s", words)
	}
	return nil
}
