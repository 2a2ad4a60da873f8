package management

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress prints a line per step; components that start side by side share it.
type progress struct {
	mutex sync.Mutex
	out   io.Writer // nil is silent
}

func newProgress(out io.Writer) *progress { return &progress{out: out} }

func (p *progress) say(format string, values ...any) {
	if p.out == nil {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	fmt.Fprintf(p.out, format+"\n", values...)
}

// sayEvery repeats what line returns until the returned function is called,
// which waits for a line being printed.
func (p *progress) sayEvery(interval time.Duration, line func() string) (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.say("%s", line())
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		ended.Wait()
	}
}
