package allocator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// readyTimeout is generous: the machine may be busy with builds and other tests.
	readyTimeout  = time.Minute
	readyInterval = 20 * time.Millisecond
)

// errPortTaken says that another process got a port before the allocator did.
var errPortTaken = errors.New("port is taken")

// awaitReady returns when /readyz answers 200 OK.
func (p *Process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	for {
		err := p.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %w; end of its log:\n%s", context.Cause(ctx), err, p.LogTail())
		case <-ticker.C:
		}
	}
}

// ended says why a process that should run does not.
func (p *Process) ended() error {
	err := fmt.Errorf("ended early: %s", p.command.ProcessState)
	log := p.log.read()
	if bytes.Contains(log, []byte("address already in use")) {
		err = fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return fmt.Errorf("%w; end of its log:\n%s", err, p.LogTail())
}

// Ready asks /readyz once; nil means 200 OK.
func (p *Process) Ready(ctx context.Context) error { return p.probe(ctx, "/readyz") }

// Healthy asks /healthz once; nil means 200 OK.
func (p *Process) Healthy(ctx context.Context) error { return p.probe(ctx, "/healthz") }

func (p *Process) probe(ctx context.Context, path string) error {
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.HealthURL()+path, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, response.Status)
	}
	return nil
}
