package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/audit"
)

// creators is how many Clusters are created side by side: enough to keep the API
// server busy all the time.
const creators = 16

// creator creates the Cluster with a number, and what belongs to its side of the
// comparison.
type creator func(ctx context.Context, key types.NamespacedName, number int) error

// Crowd is many Clusters created at once.
type Crowd struct {
	// Total is the time from the first request to create a Cluster to the moment
	// when the last one was done: both of its claims bound, and both VIPs in it.
	Total time.Duration
	// LastBound is the time from there to the last claim that was bound: what the
	// IPAM provider took.
	LastBound time.Duration
	Requests  Requests // by everybody, from the first create until all settled
	clusters  []timeline
}

// Requests are the API requests of some period.
type Requests []audit.Event

// crowd creates n Clusters, so many at once as atOnce says, and waits until all are done.
func (w *world) crowd(ctx context.Context, namespace string, n, atOnce int, create creator) (Crowd, error) {
	position, err := w.audit.Position()
	if err != nil {
		return Crowd{}, err
	}
	begin := time.Now()
	if err := createAll(ctx, namespace, n, atOnce, create); err != nil {
		return Crowd{}, err
	}
	if err := w.recorder.await(ctx, func() bool { return w.recorder.finished(namespace) == n }); err != nil {
		return Crowd{}, fmt.Errorf("%d of %d clusters have their VIPs: %w", w.recorder.finished(namespace), n, err)
	}
	timelines := w.recorder.timelines(namespace)
	if err := sleep(ctx, settling); err != nil {
		return Crowd{}, err
	}
	crowd := Crowd{}
	if crowd.Requests, err = w.audit.Since(position); err != nil {
		return Crowd{}, err
	}
	w.recorder.written(timelines, crowd.Requests)
	for _, t := range timelines {
		crowd.clusters = append(crowd.clusters, t)
		crowd.Total = max(crowd.Total, t.done().Sub(begin))
		for _, bound := range t.bound {
			crowd.LastBound = max(crowd.LastBound, bound.Sub(begin))
		}
	}
	return crowd, nil
}

// createAll creates n Clusters, so many side by side as atOnce says.
func createAll(ctx context.Context, namespace string, n, atOnce int, create creator) error {
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error {
			return create(groupContext, types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("c%04d", i)}, i)
		})
	}
	return group.Wait()
}

// listen returns the allocator's requests of a period in which nobody does
// anything.
func (w *world) listen(ctx context.Context, period time.Duration) (Requests, error) {
	position, err := w.audit.Position()
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, period); err != nil {
		return nil, err
	}
	events, err := w.audit.Since(position)
	return Requests(events).ofAllocator(), err
}

func sleep(ctx context.Context, period time.Duration) error {
	select {
	case <-time.After(period):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
