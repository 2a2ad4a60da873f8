package controllers

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	clustercontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// handler makes one pass over a Cluster at a time.
type handler struct {
	ctx      context.Context // of requests
	stopping <-chan struct{}
	underWay *sync.RWMutex
	queue    clustercontrollers.ClusterController
	observer *snapshot.Observer
	// allocator decides who may have an address, and who publishes now.
	allocator    *allocator.Allocator
	expectations *expectations
	writer       *kube.Writer
	claims       *kube.Claims
	leases       *kube.Leases
	bookings     *bookkeeper
	reporter     *reporter
	metrics      *metrics.Metrics
	fresh        *freshAddresses
	making       *turns // to make claims
	// publishing counts the patches of Clusters that are under way.
	publishing atomic.Int32
}

// pass is what one pass over a Cluster works with.
type pass struct {
	key      string
	cluster  *clusterv1.Cluster
	snapshot *vip.Snapshot
	decision vip.Decision
	// roles are those that are planned; nil means all.
	roles []vip.Role
	// acts says that the Cluster could make the claims that it has places for.
	acts bool
	// unsure says that an error left open whether the patch was made.
	unsure bool
}

// onChange is called whenever a Cluster, or anything that concerns it, changed.
// Waiting is no error: whatever is waited for wakes the Cluster by its own event.
func (h *handler) onChange(key string, cluster *clusterv1.Cluster) (*clusterv1.Cluster, error) {
	h.underWay.RLock()
	defer h.underWay.RUnlock()
	select {
	case <-h.stopping:
		return cluster, nil
	default:
	}
	started := time.Now()
	result, err := h.guarded(key, cluster)
	class := ""
	if cluster != nil {
		class = cluster.Spec.Topology.ClassRef.Name
	}
	h.metrics.Reconciled(class, result, time.Since(started))
	return cluster, err
}

// guarded turns a panic over one Cluster into an error, so that it does not cost
// every other Cluster its controller.
func (h *handler) guarded(key string, cluster *clusterv1.Cluster) (result metrics.Result, err error) {
	result = metrics.Error // of a panic
	acts := false
	defer func() {
		if !acts {
			// Nobody waits for a Cluster that cannot act.
			h.wakeAll(h.allocator.Failed(key))
		}
	}()
	defer h.metrics.Recovered("Cluster "+key, &err)
	if cluster == nil {
		return metrics.Skipped, h.forget(key)
	}
	if cluster, err = h.current(key, cluster); err != nil {
		return metrics.Error, err
	} else if cluster == nil {
		acts = true // once it is shown as it is
		return metrics.Skipped, nil
	}
	p := &pass{key: key, cluster: cluster}
	result, err = h.reconcile(p)
	acts = p.acts
	return result, err
}

// current returns the Cluster as it is after our own last write: from the cache or, if
// that has not shown the write for too long, from the API server. It returns nil if an
// event that is on its way will tell.
func (h *handler) current(key string, cached *clusterv1.Cluster) (*clusterv1.Cluster, error) {
	behind, tooLong := h.expectations.stale(key, cached.ResourceVersion)
	switch {
	case !behind:
		return cached, nil
	case !tooLong:
		return nil, nil
	}
	live, err := h.writer.Get(h.ctx, cached.Namespace, cached.Name)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h.expectations.wrote(key, live.ResourceVersion)
	return live, nil
}

func (h *handler) reconcile(p *pass) (metrics.Result, error) {
	key, cluster := p.key, p.cluster
	seen := h.allocator.Changes(cluster.Namespace)
	var err error
	if p.snapshot, err = h.observer.Observe(cluster); err != nil {
		return metrics.Error, err
	}
	h.bookings.check(key, p.snapshot)
	p.decision = vip.Plan(p.snapshot)
	if p.decision.Skipped != "" {
		h.wakeAll(h.allocator.Forget(key))
		h.expectations.decided(key, &p.decision)
		return metrics.Skipped, h.patchCluster(p)
	}
	h.place(p, seen)
	h.expectations.planned(key, p.snapshot.Cluster.UID, &p.decision)
	err = h.act(p)
	switch {
	case err != nil:
		return metrics.Error, err
	case len(p.decision.Roles) == 0:
		return metrics.Skipped, nil
	}
	for _, outcome := range p.decision.Roles {
		if lacking(outcome) {
			return metrics.Requeued, nil
		}
	}
	return metrics.Success, nil
}

// plan decides for the Cluster as it was observed.
func (p *pass) plan() {
	if p.roles == nil {
		p.decision = vip.Plan(p.snapshot)
		return
	}
	p.decision = vip.PlanRoles(p.snapshot, p.roles...)
}

// place reserves what the decision wants, and decides anew with that.
func (h *handler) place(p *pass, seen uint64) {
	request := allocator.RequestOf(p.snapshot, &p.decision)
	request.Seen = seen
	placements, wake := h.allocator.Reserve(request)
	h.wakeAll(wake)
	if len(placements) > 0 {
		p.snapshot = p.snapshot.Placed(placements)
		p.decision = vip.Plan(p.snapshot)
	}
}

func (h *handler) forget(key string) error {
	h.expectations.forget(key)
	h.wakeAll(h.allocator.Forget(key))
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	h.bookings.checkGone(namespace, name)
	return h.claims.Forget(h.ctx, namespace, name)
}

// tick lets the allocator do what time alone brings about, until ctx ends.
func (h *handler) tick(ctx context.Context) {
	wait.UntilWithContext(ctx, func(context.Context) { h.wakeAll(append(h.allocator.Tick(), h.making.free()...)) }, time.Second)
}

// wakeAll enqueues the Clusters at once.
func (h *handler) wakeAll(keys []string) {
	for _, key := range keys {
		if namespace, name, err := cache.SplitMetaNamespaceKey(key); err == nil {
			h.wakeIn(namespace, name, 0)
		}
	}
}

// wakeIn enqueues the Cluster; a delay of zero enqueues it at once, past any
// back-off that it may be in.
func (h *handler) wakeIn(namespace, name string, delay time.Duration) {
	h.queue.EnqueueAfter(namespace, name, delay)
}
