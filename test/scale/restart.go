package scale

import (
	"context"
	"fmt"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

// Restart is a crash of the API server under an allocator that runs.
type Restart struct {
	Away     time.Duration // from the crash until the API server was ready again
	Serves   time.Duration // from then until a new Cluster had its VIPs
	Rest     time.Duration // from then until the allocator rested
	CPU      time.Duration // of the allocator, for all of that
	Usage    allocator.Usage
	Requests []audit.Event // but for those about the new Cluster
}

func (w *world) restart(ctx context.Context, process *allocator.Process) (Restart, error) {
	var result Restart
	before, err := process.Usage()
	if err != nil {
		return result, err
	}
	position, err := w.audit.Position()
	if err != nil {
		return result, err
	}
	begin := time.Now()
	if err := w.management.KillComponent(management.APIServer); err != nil {
		return result, err
	}
	if err := w.management.StartComponent(management.APIServer); err != nil {
		return result, err
	}
	ready := time.Now()
	result.Away = ready.Sub(begin)
	s := w.newSample()
	if err := w.order(ctx, s); err != nil {
		return result, err
	}
	if err := w.provide(ctx, s); err != nil {
		return result, fmt.Errorf("%w; end of the allocator's log:\n%s", err, process.LogTail())
	}
	at, err := w.times(ctx, s)
	if err != nil {
		return result, err
	}
	result.Serves = at.published.Sub(ready)
	if err := w.withdraw(ctx, s); err != nil {
		return result, err
	}
	rested, err := w.rest(ctx, process)
	if err != nil {
		return result, err
	}
	result.Rest = rested.Sub(ready)
	if result.Usage, err = process.Usage(); err != nil {
		return result, err
	}
	result.CPU = result.Usage.CPU - before.CPU
	requests, err := w.requests(position)
	result.Requests = audit.Keep(requests, func(e audit.Event) bool { return !s.owns(e) })
	return result, err
}
