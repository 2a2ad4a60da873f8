package management

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

const (
	// readyTimeout is generous: a machine may be busy with other builds and tests.
	readyTimeout = 2 * time.Minute
	// portAttempts is how often a component gets new ports after losing one.
	portAttempts = 5
	pollInterval = 50 * time.Millisecond
)

// component is one program of the cluster: how to start it, and its process
// while it runs.
type component struct {
	name    string
	binary  string
	sockets int                                // how many ports it listens on
	flags   func(ports []int) []string         // the command line
	publish func(context.Context, []int) error // tells the others its ports; may be nil
	ready   func(context.Context, []int) error // nil when it serves

	launcher *launcher
	logFile  string
	say      func(format string, values ...any)

	mutex   sync.Mutex
	ports   []int // nil until prepared
	process *process
}

// prepare chooses ports and publishes them, once.
func (c *component) prepare(ctx context.Context) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.prepareLocked(ctx)
}

func (c *component) prepareLocked(ctx context.Context) error {
	if c.ports != nil {
		return nil
	}
	ports, err := loopback.FreePorts(c.sockets)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if c.publish != nil {
		if err := c.publish(ctx, ports); err != nil {
			return fmt.Errorf("prepare %s: %w", c.name, err)
		}
	}
	c.ports = ports
	return nil
}

// bringUp starts the component and waits until it is ready. The first time it
// moves on to other ports when its own are taken; later the others rely on the
// ports, so it tries the same again.
func (c *component) bringUp(ctx context.Context) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.process != nil && !c.process.exited() {
		return fmt.Errorf("%s runs already", c.name)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	first := c.process == nil
	begin := time.Now()
	for attempt := 1; ; attempt++ {
		if err := c.prepareLocked(ctx); err != nil {
			return err
		}
		err := c.launch(ctx)
		if err == nil {
			c.say("%s is ready (%.1fs)", c.name, time.Since(begin).Seconds())
			return nil
		}
		if !errors.Is(err, errPortTaken) || attempt == portAttempts {
			return err
		}
		if first {
			c.ports = nil
		}
	}
}

// launch runs the process until it is ready, or ends it and says why it is not.
func (c *component) launch(ctx context.Context) error {
	process, err := c.launcher.run(c.logFile, c.name, c.binary, c.flags(c.ports)...)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	c.process = process
	if err := c.awaitReady(ctx); err != nil {
		err = fmt.Errorf("%s is not ready: %w", c.name, process.failure(err))
		process.end(0)
		return err
	}
	return nil
}

func (c *component) awaitReady(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := c.ready(ctx, c.ports)
		// A program that lost its port to another of its kind may seem ready.
		if err == nil && !c.process.exited() {
			return nil
		}
		select {
		case <-c.process.done:
			return fmt.Errorf("process ended")
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// shutDown ends the process, if there is one, and waits until it is gone.
func (c *component) shutDown(grace time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.process != nil {
		c.process.end(grace)
	}
}

// StopComponent asks a component to end and waits until it has; after ten
// seconds it is killed. Stopping a stopped component is no error.
func (c *Cluster) StopComponent(name string) error {
	component, err := c.component(name)
	if err != nil {
		return err
	}
	component.shutDown(gracePeriod)
	return nil
}

// KillComponent ends a component at once, as a crash would, and waits until it
// is gone.
func (c *Cluster) KillComponent(name string) error {
	component, err := c.component(name)
	if err != nil {
		return err
	}
	component.shutDown(0)
	return nil
}

// StartComponent starts a stopped component with the flags and ports it had, or
// one that was left out so far together with its kinds and webhooks, and waits
// until it is ready. Starting a running component is an error.
func (c *Cluster) StartComponent(name string) error {
	component, err := c.component(name)
	if err != nil {
		return err
	}
	return component.bringUp(context.Background())
}

func (c *Cluster) component(name string) (*component, error) {
	component, ok := c.components[name]
	if !ok {
		return nil, fmt.Errorf("no component %q", name)
	}
	return component, nil
}
