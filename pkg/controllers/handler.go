package controllers

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	waiters  *waiters
	writer   *kube.Writer
	claims   *kube.Claims
	leases   *kube.Leases
	reporter *reporter
	metrics  *metrics.Metrics
}

// pass is what one pass over a Cluster works with.
type pass struct {
	key      string
	cluster  *clusterv1.Cluster
	snapshot *vip.Snapshot
	decision vip.Decision
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
	defer func() {
		if cause := recover(); cause != nil {
			h.metrics.Panicked()
			logrus.WithField("cluster", key).WithField("panic", cause).Errorf("Recovered from a panic\n%s", debug.Stack())
			result, err = metrics.Error, fmt.Errorf("panic while handling Cluster %s: %v", key, cause)
		}
	}()
	if cluster == nil {
		return metrics.Skipped, h.forget(key)
	}
	if h.memory.behind(key, cluster.ResourceVersion) {
		return metrics.Skipped, nil
	}
	result, err = h.reconcile(key, cluster)
	if apierrors.IsNotFound(err) {
		// The Cluster went while we looked; its own event ends the matter.
		return metrics.Skipped, nil
	}
	return result, err
}

func (h *handler) reconcile(key string, cluster *clusterv1.Cluster) (metrics.Result, error) {
	p := &pass{key: key, cluster: cluster}
	began := h.waiters.now()
	var err error
	if p.snapshot, err = h.observer.observe(cluster); err != nil {
		return metrics.Error, err
	}
	p.decision = vip.Plan(p.snapshot)
	if p.decision.Skipped != "" {
		h.passOn(key, h.waiters.remove(key))
		return metrics.Skipped, nil
	}
	if err := h.act(p); err != nil {
		return metrics.Error, err
	}
	declined, missed := h.waiters.set(key, cluster, p.snapshot, &p.decision, began)
	h.passOn(key, declined)
	if missed {
		h.wakeIn(cluster.Namespace, cluster.Name, 0)
	}
	switch {
	case len(p.decision.Roles) == 0:
		return metrics.Skipped, nil
	case p.decision.Ready():
		return metrics.Success, nil
	}
	return metrics.Requeued, nil
}

func (h *handler) forget(key string) error {
	h.memory.forget(key)
	h.passOn(key, h.waiters.remove(key))
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	return h.claims.Forget(h.ctx, namespace, name)
}

// passOn gives the place of a Cluster that declined a pool's invitation to the next.
func (h *handler) passOn(key string, declined vip.PoolRef) {
	if pool := h.observer.pools.Get(declined); pool != nil {
		h.waiters.decline(key, pool)
		h.invite(pool)
	}
}

// invite wakes as many Clusters that wait for a pool like this one as it has room for.
func (h *handler) invite(pool *kube.Pool) {
	room := int64(math.MaxInt64)
	if pool.Known {
		room = pool.Usable - h.observer.taken(pool, nil)
	}
	for _, waiting := range h.waiters.invite(pool, room) {
		h.wakeIn(waiting.namespace, waiting.name, 0)
	}
}

// wakeIn enqueues the Cluster; a delay of zero enqueues it at once, past any
// back-off that it may be in.
func (h *handler) wakeIn(namespace, name string, delay time.Duration) {
	h.queue.EnqueueAfter(namespace, name, delay)
}
