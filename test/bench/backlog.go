package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

// repeats is how often the sides of a Backlog take turns: a machine is not equally fast
// all the time.
const repeats = 5

// outage is how long Clusters wait at least: about what a node that died costs. The
// first tries of Cluster API, which follow one another quickly, would delay whoever
// comes amid them.
const outage = time.Minute

// Backlog are Clusters that wait already when somebody begins to serve them.
type Backlog struct {
	// Provider is the time that the IPAM provider needs for the claims of all: from
	// the first request of a script to create one to the last one bound. The Clusters
	// go on waiting, no allocator runs.
	Provider time.Duration
	Served   []Served // by gate, as asked for
}

// Served is the same backlog, served by an allocator that starts late.
type Served struct {
	Gate string
	// Bound and Ours are the times from the start of the allocator's process to the
	// last claim bound, and to the last Cluster that carries both VIPs and is not held
	// any more. The provider is slower than with the script, as it shares the machine
	// with the allocator.
	Bound, Ours time.Duration
}

// Ratio is what the allocator takes for each second of the provider alone.
func (b Backlog) Ratio(s Served) float64 { return s.Ours.Seconds() / b.Provider.Seconds() }

// BoundRatio is what it takes for each second until the provider, beside it, is done.
func (s Served) BoundRatio() float64 { return s.Ours.Seconds() / s.Bound.Seconds() }

// backlogs measures the backlog of every gate, several times.
func (w *world) backlogs(ctx context.Context, o Options, installed allocator.Options) ([]Backlog, error) {
	var all []Backlog
	for i := 1; i <= repeats; i++ {
		w.say("backlog %d: both claims of %d waiting clusters, by a script", i, o.Backlog)
		provider, err := w.scriptedBacklog(ctx, fmt.Sprintf("backlog-script-%d", i), o.Backlog)
		if err != nil {
			return nil, fmt.Errorf("backlog %d: script: %w", i, err)
		}
		result := Backlog{Provider: provider}
		for j, gate := range o.Gates {
			w.say("backlog %d: %s: an allocator starts when %d clusters wait", i, gate.Name, o.Backlog)
			served, err := w.servedBacklog(ctx, fmt.Sprintf("backlog-ours-%d-%d", i, j), gate, installed, o.Backlog)
			if err != nil {
				return nil, fmt.Errorf("backlog %d: %s: %w", i, gate.Name, err)
			}
			w.say("backlog %d: %s: after %s, %s times the provider alone", i, gate.Name, seconds(served.Ours), number(result.Ratio(served)))
			result.Served = append(result.Served, served)
		}
		all = append(all, result)
	}
	return all, nil
}

// installGates installs the allocator's chart with all gates, and returns how to run
// it. Nobody runs yet, and nothing outside of namespaces with a gate's label changes.
func (w *world) installGates(ctx context.Context) (allocator.Options, error) {
	ports, err := loopback.FreePorts(1)
	if err != nil {
		return allocator.Options{}, err
	}
	rendered, err := chart.Render(ctx, gates.Values(ports[0]), w.management.RuntimeVersion())
	if err != nil {
		return allocator.Options{}, err
	}
	kubeconfig, err := rendered.Install(ctx, w.management)
	if err != nil {
		return allocator.Options{}, err
	}
	o := allocator.Options{Kubeconfig: kubeconfig, Args: rendered.Args, LogFile: w.logFile()}
	return o, gates.Discover(ctx, w.client, ports[0], o)
}

func (w *world) scriptedBacklog(ctx context.Context, namespace string, n int) (took time.Duration, err error) {
	if err := w.prepare(ctx, namespace, w.script.scriptedCluster); err != nil {
		return 0, err
	}
	waiting, err := w.waiting(ctx, namespace, n)
	if err != nil {
		return 0, err
	}
	position, err := w.audit.Position()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for _, cluster := range waiting {
		group.Go(func() error { return w.script.createClaims(groupContext, cluster) })
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	timelines, err := w.await(ctx, position, namespace, n, timeline.allBound)
	if err != nil {
		return 0, err
	}
	return end(timelines, timeline.allBound).Sub(begin), w.clear(ctx, namespace)
}

func (w *world) servedBacklog(ctx context.Context, namespace string, gate gates.Gate, o allocator.Options, n int) (Served, error) {
	if err := w.createNamespace(ctx, namespace, gate.Labels); err != nil {
		return Served{}, err
	}
	if err := w.classOf(ctx, namespace, gates.Class(namespace, gate.Class)); err != nil {
		return Served{}, err
	}
	if _, err := w.waiting(ctx, namespace, n); err != nil {
		return Served{}, err
	}
	position, err := w.audit.Position()
	if err != nil {
		return Served{}, err
	}
	begin := time.Now()
	process, err := allocator.Start(ctx, o)
	if err != nil {
		return Served{}, err
	}
	defer process.Kill() // for the errors below; harmless after Stop
	timelines, err := w.await(ctx, position, namespace, n, timeline.done)
	if err != nil {
		return Served{}, fmt.Errorf("%w; end of its log:\n%s", err, process.LogTail())
	}
	if err := w.clear(ctx, namespace); err != nil {
		return Served{}, err
	}
	_, err = process.Stop()
	return Served{Gate: gate.Name, Bound: end(timelines, timeline.allBound).Sub(begin), Ours: end(timelines, timeline.done).Sub(begin)}, err
}

// waiting creates Clusters while no allocator runs, and lets them wait. Then whoever
// serves them finds a management cluster at rest.
func (w *world) waiting(ctx context.Context, namespace string, n int) ([]*unstructured.Unstructured, error) {
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
	if err := sleep(ctx, outage); err != nil {
		return nil, err
	}
	if err := w.rests(ctx, namespace); err != nil {
		return nil, err
	}
	return clusters, w.collectGarbage(ctx)
}

// collectGarbage has the API server do so now: gigabytes, which take it seconds, would
// be due in the time of one or the other by chance.
func (w *world) collectGarbage(ctx context.Context) error {
	client, err := discovery.NewDiscoveryClientForConfig(w.management.Config())
	if err != nil {
		return err
	}
	profile := client.RESTClient().Get().AbsPath("/debug/pprof/heap").Param("gc", "1")
	if err := profile.Do(ctx).Error(); err != nil {
		return fmt.Errorf("have the API server collect garbage: %w", err)
	}
	return nil
}

// rests waits until nobody has written a Cluster of the namespace for a while.
func (w *world) rests(ctx context.Context, namespace string) error {
	for {
		position, err := w.audit.Position()
		if err != nil {
			return err
		}
		if err := sleep(ctx, settling); err != nil {
			return err
		}
		events, err := w.audit.Since(position)
		if err != nil {
			return err
		}
		if len(audit.Keep(events, audit.Event.IsWrite, func(e audit.Event) bool {
			return e.Object.Resource == "clusters" && e.Object.Namespace == namespace
		})) == 0 {
			return nil
		}
	}
}

// await waits until something happened to all n Clusters, and returns their timelines.
// position is where the audit log ended before.
func (w *world) await(ctx context.Context, position int64, namespace string, n int, when func(timeline) time.Time,
) (timelines map[types.NamespacedName]timeline, err error) {
	err = w.recorder.await(ctx, func() bool {
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
		return nil, err
	}
	requests, err := w.audit.Since(position)
	if err != nil {
		return nil, err
	}
	w.recorder.written(timelines, requests)
	return timelines, nil
}

// end is when it had happened to all of them.
func end(timelines map[types.NamespacedName]timeline, when func(timeline) time.Time) (last time.Time) {
	for _, t := range timelines {
		if at := when(t); at.After(last) {
			last = at
		}
	}
	return last
}
