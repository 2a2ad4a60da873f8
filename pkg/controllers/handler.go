package controllers

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	clustercontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// handler makes one pass over a Cluster at a time.
type handler struct {
	ctx      context.Context // of requests
	stopping <-chan struct{}
	underWay *sync.RWMutex
	queue    clustercontrollers.ClusterController
	observer *observer
	memory   *memory
	crowd    *crowd
	waiters  *waiters
	writer   *kube.Writer
	claims   *kube.Claims
	leases   *kube.Leases
	reporter *reporter
	metrics  *metrics.Metrics
	// making holds an element for each claim that is being made.
	making chan struct{}
	// claimed is when that changed last, in nanoseconds of Unix time; claimTook is what the
	// last claim took, in nanoseconds; inLine counts those that wait to make one, of which
	// there may be mayWait if claims are slow: a part of the workers.
	claimed, claimTook, inLine atomic.Int64
	mayWait                    int64
	// publishing counts the patches of Clusters that are under way.
	publishing atomic.Int32
}

// pass is what one pass over a Cluster works with.
type pass struct {
	key      string
	cluster  *clusterv1.Cluster
	snapshot *vip.Snapshot
	decision vip.Decision
	// invited is the pool that the Cluster was invited to; empty if it was not.
	invited vip.PoolRef
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
	defer h.metrics.Recovered("Cluster "+key, &err)
	if cluster == nil {
		return metrics.Skipped, h.forget(key)
	}
	if cluster, err = h.current(key, cluster); err != nil {
		return metrics.Error, err
	} else if cluster == nil {
		return metrics.Skipped, nil
	}
	invited, wasInvited := h.waiters.answer(key)
	if wasInvited {
		// Whatever comes of this pass, an error or a panic included.
		defer h.passOn(invited)
	}
	return h.reconcile(&pass{key: key, cluster: cluster, invited: invited.invited})
}

// current returns the Cluster as it is after our own last write: from the cache or, if
// that has not shown the write for too long, from the API server. It returns nil if an
// event that is on its way will tell.
func (h *handler) current(key string, cached *clusterv1.Cluster) (*clusterv1.Cluster, error) {
	behind, tooLong := h.memory.behind(key, cached.ResourceVersion)
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
	h.memory.wrote(key, live.ResourceVersion)
	return live, nil
}

func (h *handler) reconcile(p *pass) (metrics.Result, error) {
	key, cluster := p.key, p.cluster
	began := h.waiters.now(cluster.Namespace)
	var err error
	if p.snapshot, err = h.observer.observe(cluster); err != nil {
		return metrics.Error, err
	}
	p.decision = vip.Plan(p.snapshot)
	if p.decision.Skipped != "" {
		h.waiters.remove(key)
		h.crowd.forget(key)
		h.memory.skipped(key)
		return metrics.Skipped, h.patchCluster(p)
	}
	h.memory.planned(key, p.snapshot.Cluster.UID, &p.decision)
	err = h.act(p)
	h.memory.decided(key, p.cluster, &p.decision)
	if h.waiters.set(key, cluster, p.snapshot, &p.decision, began) {
		h.wakeIn(cluster.Namespace, cluster.Name, 0)
	}
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

func (h *handler) forget(key string) error {
	h.memory.forget(key)
	h.crowd.forget(key)
	if invited, ok := h.waiters.answer(key); ok {
		defer h.passOn(invited)
	}
	h.waiters.remove(key)
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	return h.claims.Forget(h.ctx, namespace, name)
}

// invite wakes as many Clusters that wait for a pool like this one as it has room for.
func (h *handler) invite(pool *kube.Pool) {
	for _, waiting := range h.waiters.invite(pool, h.free(pool)) {
		h.wakeIn(waiting.namespace, waiting.name, 0)
	}
}

// passOn invites the next Cluster if the one that was invited left room.
func (h *handler) passOn(invited waiter) {
	pool := h.observer.pools.Get(invited.invited)
	if pool == nil || h.free(pool) <= 0 {
		return
	}
	if next := h.waiters.inviteAfter(invited, pool); next != nil {
		h.wakeIn(next.namespace, next.name, 0)
	}
}

func (h *handler) free(pool *kube.Pool) int64 {
	room := h.observer.room(pool)
	if room == math.MaxInt64 {
		return room
	}
	return room - h.memory.unseen(pool.Ref)
}

// wakeIn enqueues the Cluster; a delay of zero enqueues it at once, past any
// back-off that it may be in.
func (h *handler) wakeIn(namespace, name string, delay time.Duration) {
	h.queue.EnqueueAfter(namespace, name, delay)
}
