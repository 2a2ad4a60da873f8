package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Backlog are Clusters that wait already when somebody begins to serve them.
type Backlog struct {
	// Provider is the time that the IPAM provider needs for the claims of all: from
	// the first request of a script to create one to the last one bound. The Clusters
	// go on waiting, no allocator runs.
	Provider time.Duration
	// Ours is the time from the start of the allocator's process to the last Cluster
	// that carries both VIPs.
	Ours time.Duration
}

// Ratio is what the allocator takes for each second of the provider.
func (b Backlog) Ratio() float64 { return b.Ours.Seconds() / b.Provider.Seconds() }

func (w *world) backlog(ctx context.Context, n int) (result Backlog, err error) {
	w.say("backlog: both claims of %d waiting clusters, by a script", n)
	const scripted, served = "backlog-script", "backlog-ours"
	waiting, err := w.waiting(ctx, scripted, n)
	if err != nil {
		return result, err
	}
	position, err := w.audit.Position()
	if err != nil {
		return result, err
	}
	begin := time.Now()
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for _, cluster := range waiting {
		group.Go(func() error { return w.script.createClaims(groupContext, cluster) })
	}
	if err := group.Wait(); err != nil {
		return result, err
	}
	if result.Provider, err = w.since(ctx, begin, position, scripted, n, timeline.allBound); err != nil {
		return result, fmt.Errorf("script: %w", err)
	}
	if err := w.clear(ctx, scripted); err != nil {
		return result, err
	}
	w.say("backlog: an allocator starts when %d clusters wait", n)
	if _, err := w.waiting(ctx, served, n); err != nil {
		return result, err
	}
	if position, err = w.audit.Position(); err != nil {
		return result, err
	}
	begin = time.Now()
	process, err := w.startAllocator(ctx)
	if err != nil {
		return result, err
	}
	defer process.Kill() // for the error below; harmless after Stop
	if result.Ours, err = w.since(ctx, begin, position, served, n, timeline.done); err != nil {
		return result, fmt.Errorf("allocator: %w; end of its log:\n%s", err, process.LogTail())
	}
	_, err = process.Stop()
	return result, err
}

// waiting creates Clusters while no allocator runs, and leaves Cluster API the time
// to find out that it cannot build them.
func (w *world) waiting(ctx context.Context, namespace string, n int) ([]*unstructured.Unstructured, error) {
	if err := w.prepare(ctx, namespace, w.script.scriptedCluster); err != nil {
		return nil, err
	}
	clusters := make([]*unstructured.Unstructured, n)
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range n {
		group.Go(func() (err error) {
			key := types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("c%04d", i)}
			clusters[i], err = w.script.createCluster(groupContext, newCluster(key))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return clusters, sleep(ctx, settling)
}

// since waits until something happened to all n Clusters, and returns how long after
// begin the last one was. position is where the audit log ended then.
func (w *world) since(ctx context.Context, begin time.Time, position int64, namespace string, n int,
	when func(timeline) time.Time,
) (time.Duration, error) {
	var timelines map[types.NamespacedName]timeline
	err := w.recorder.await(ctx, func() bool {
		timelines = w.recorder.timelines(namespace)
		count := 0
		for _, t := range timelines {
			if !when(t).IsZero() {
				count++
			}
		}
		return count == n
	})
	if err != nil {
		return 0, err
	}
	requests, err := w.audit.Since(position)
	if err != nil {
		return 0, err
	}
	w.recorder.written(timelines, requests)
	var last time.Time
	for _, t := range timelines {
		if at := when(t); at.After(last) {
			last = at
		}
	}
	return last.Sub(begin), nil
}
