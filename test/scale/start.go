package scale

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// electionLease is renewed all the time, and no sign of work.
const electionLease = "capi-vip-allocator.gorizond.io"

const (
	// glance is how often the allocator's use of CPU is looked at.
	glance = 100 * time.Millisecond
	// calm is how long an allocator that rests has used next to none of it.
	calm = 1500 * time.Millisecond
	// idleShare is what renewing a Lease and the like may take of a core.
	idleShare = 0.02
)

// Start is what it takes to start beside Clusters that are all served.
type Start struct {
	Ready    time.Duration // until /readyz says so
	Rest     time.Duration // until every Cluster was looked at
	Passes   int           // that were made over Clusters
	Usage    allocator.Usage
	Requests []audit.Event
}

// launch starts the allocator and returns when it is ready. Its Lease outlives a restart
// of the API server on a machine that is busy with other things.
func (w *world) launch(ctx context.Context) (*allocator.Process, error) {
	return allocator.Start(ctx, allocator.Options{
		Kubeconfig: w.management.Kubeconfig(),
		Args:       []string{"--leader-elect", "--leader-elect-lease-duration=120s", "--leader-elect-renew-deadline=100s"},
		LogFile:    filepath.Join(filepath.Dir(w.management.AuditLog()), "allocator.log"),
	})
}

// coldStart starts an allocator that has nothing to do. The caller stops it.
func (w *world) coldStart(ctx context.Context) (*allocator.Process, Start, error) {
	var start Start
	position, err := w.audit.Position()
	if err != nil {
		return nil, start, err
	}
	begin := time.Now()
	process, err := w.launch(ctx)
	if err != nil {
		return nil, start, err
	}
	start.Ready = time.Since(begin)
	rested, err := w.rest(ctx, process)
	if err == nil {
		start.Rest = rested.Sub(begin)
		start.Usage, err = process.Usage()
	}
	if err == nil {
		start.Requests, err = w.requests(position)
	}
	var counts passes
	if err == nil {
		counts, err = passesOf(ctx, process)
	}
	if start.Passes = int(counts.count); err == nil && start.Passes < w.clusters {
		err = fmt.Errorf("the allocator rests after %d passes over %d clusters; end of its log:\n%s", start.Passes, w.clusters, process.LogTail())
	}
	if err != nil {
		process.Kill()
		return nil, start, err
	}
	return process, start, nil
}

// firstPublication starts an allocator while a new Cluster waits for it, and returns how
// long after its start the Cluster had its VIPs.
func (w *world) firstPublication(ctx context.Context) (time.Duration, error) {
	s := w.newSample()
	if err := w.order(ctx, s); err != nil {
		return 0, err
	}
	group, groupContext := errgroup.WithContext(ctx)
	group.Go(func() error { return w.provide(groupContext, s) })
	begin := time.Now()
	process, err := w.launch(ctx)
	if err != nil {
		return 0, err
	}
	defer process.Kill() // for the errors below; harmless after Stop
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("%w; end of the allocator's log:\n%s", err, process.LogTail())
	}
	at, err := w.times(ctx, s)
	if err != nil {
		return 0, err
	}
	if _, err := process.Stop(); err != nil {
		return 0, err
	}
	return at.published.Sub(begin), w.withdraw(ctx, s)
}

// rest waits until the allocator uses no CPU to speak of, and returns since when. A
// scrape, which says more, takes CPU itself.
func (w *world) rest(ctx context.Context, process *allocator.Process) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the allocator does not rest within %s", patience))
	defer cancel()
	ticker := time.NewTicker(glance)
	defer ticker.Stop()
	usage, err := process.Usage()
	since := time.Now()
	for err == nil && time.Since(since) < calm {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return since, context.Cause(ctx)
		}
		var now allocator.Usage
		if now, err = process.Usage(); now.CPU-usage.CPU > time.Duration(idleShare*float64(calm)) {
			usage, since = now, time.Now()
		}
	}
	return since, err
}

// requests are what the allocator has asked of the API server since a position of the
// audit log, but for its election.
func (w *world) requests(position int64) ([]audit.Event, error) {
	all, err := w.audit.Since(position)
	return audit.Keep(all, audit.By(observe.UserAgent), func(e audit.Event) bool { return e.Object.Name != electionLease }), err
}

// Writes are the requests that were to change something.
func Writes(requests []audit.Event) []audit.Event { return audit.Keep(requests, audit.Event.IsWrite) }

// kindOf is the verb of a request; a watch that begins with all objects is a list.
func kindOf(e audit.Event) string {
	if e.Verb == "watch" && strings.Contains(e.RequestURI, "sendInitialEvents=true") {
		return "list+watch"
	}
	return e.Verb
}

// passes are those over Clusters that the allocator has counted.
type passes struct{ count, seconds float64 }

func passesOf(ctx context.Context, process *allocator.Process) (passes, error) {
	series, err := process.Series(ctx)
	var sum passes
	for name, value := range series {
		switch {
		case strings.HasPrefix(name, "capi_vip_allocator_reconcile_duration_seconds_count{"):
			sum.count += value
		case strings.HasPrefix(name, "capi_vip_allocator_reconcile_duration_seconds_sum{"):
			sum.seconds += value
		}
	}
	return sum, err
}
