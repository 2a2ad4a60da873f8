package controllers

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// waiters knows the Clusters that wait for a pool, so that a pool's event wakes
// them and nobody else. It is filled anew after a start, when every Cluster is
// handled once.
//
// When a pool gains room, only as many Clusters as it has room for are invited,
// the oldest first. One that declines passes its place on.
type waiters struct {
	mu       sync.Mutex
	clusters map[string]*waiter
	// events counts the pool events that were passed on. A pass that began before
	// one of them and waits for a pool may have missed it.
	events uint64
}

type waiter struct {
	namespace, name string
	class           vip.ClassKey
	roles           []vip.Role
	filters         map[vip.Role]string
	created         time.Time
	// invited is the pool that it was invited to; declined holds the state of each
	// pool in which it made no use of the invitation.
	invited  vip.PoolRef
	declined map[vip.PoolRef]string
}

func newWaiters() *waiters { return &waiters{clusters: map[string]*waiter{}} }

// now returns a point in time to compare with in set.
func (w *waiters) now() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.events
}

// set notes whether the Cluster waits for a pool, and in which roles. It returns
// the pool whose invitation was declined, if one was; and whether a pool event has
// come since the pass began, so that it must be made again.
func (w *waiters) set(key string, cluster *clusterv1.Cluster, s *vip.Snapshot, decision *vip.Decision, began uint64) (declined vip.PoolRef, missed bool) {
	var roles []vip.Role
	took := vip.PoolRef{}
	for _, role := range vip.Roles() {
		outcome := decision.Roles[role]
		if outcome == nil {
			continue
		}
		if outcome.Waiting {
			roles = append(roles, role)
		}
		if outcome.Ensure && s.Claims[role] == nil {
			took = outcome.Pool
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.clusters[key]
	if old != nil && old.invited != took {
		declined = old.invited
	}
	if len(roles) == 0 {
		delete(w.clusters, key)
		return declined, false
	}
	current := &waiter{
		namespace: s.Cluster.Namespace, name: s.Cluster.Name, class: s.Cluster.Class, roles: roles,
		filters: map[vip.Role]string{}, created: cluster.CreationTimestamp.Time, declined: map[vip.PoolRef]string{},
	}
	for _, role := range roles {
		current.filters[role] = s.Cluster.Annotations[role.PoolAnnotation()]
	}
	if old != nil {
		current.declined = old.declined
	}
	w.clusters[key] = current
	return declined, w.events != began
}

// remove forgets the Cluster. It returns the pool that it was invited to, if any.
func (w *waiters) remove(key string) (declined vip.PoolRef) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.clusters[key]; old != nil {
		declined = old.invited
	}
	delete(w.clusters, key)
	return declined
}

// decline notes that the Cluster made no use of the pool in this state, so that it
// is not invited to it again before the pool changes.
func (w *waiters) decline(key string, pool *kube.Pool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if waiting := w.clusters[key]; waiting != nil {
		waiting.declined[pool.Ref] = pool.ResourceVersion
	}
}

// all returns the Clusters that one of the pools could serve, oldest first.
func (w *waiters) all(pools ...*kube.Pool) []*waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events++
	return w.fitting(pools...)
}

// invite returns the oldest Clusters that the pool has room for and that are not
// invited anywhere yet.
func (w *waiters) invite(pool *kube.Pool, room int64) []*waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if room <= 0 {
		return nil
	}
	w.events++
	for _, waiting := range w.clusters {
		if waiting.invited == pool.Ref {
			room--
		}
	}
	var invited []*waiter
	for _, waiting := range w.fitting(pool) {
		if int64(len(invited)) >= room {
			break
		}
		if waiting.invited == (vip.PoolRef{}) && waiting.declined[pool.Ref] != pool.ResourceVersion {
			waiting.invited = pool.Ref
			invited = append(invited, waiting)
		}
	}
	return invited
}

func (w *waiters) fitting(pools ...*kube.Pool) []*waiter {
	var found []*waiter
	for _, waiting := range w.clusters {
		if slices.ContainsFunc(pools, waiting.fits) {
			found = append(found, waiting)
		}
	}
	slices.SortFunc(found, func(a, b *waiter) int {
		return cmp.Or(a.created.Compare(b.created), strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
	})
	return found
}

func (w *waiter) fits(pool *kube.Pool) bool {
	if pool == nil || (pool.Ref.Namespace != "" && pool.Ref.Namespace != w.namespace) || !pool.Serves.Class(w.class) {
		return false
	}
	// The roles of a malformed pool cannot be told, and its Clusters are to hear of it.
	return pool.Serves.Err != nil || slices.ContainsFunc(w.roles, func(role vip.Role) bool {
		filter := w.filters[role]
		return pool.Serves.HasRole(role) && (filter == "" || vip.FilterAdmits(filter, pool.Ref))
	})
}
