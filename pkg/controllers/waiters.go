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
// the oldest first. One whose pass leaves the room unused passes the invitation on
// to the next younger, so it reaches each Cluster once at most.
type waiters struct {
	mu       sync.Mutex
	clusters map[string]*waiter
	// events counts the pool events and invitations that were passed on. A pass that
	// began before one of them and waits for a pool may have missed it. They are counted by
	// the namespace of the pool, which serves no Clusters of others.
	events map[string]uint64
}

type waiter struct {
	namespace, name string
	class           vip.ClassKey
	roles           []vip.Role
	filters         map[vip.Role]string
	created         time.Time
	// invited is the pool that it was invited to and has not answered.
	invited vip.PoolRef
}

func newWaiters() *waiters {
	return &waiters{clusters: map[string]*waiter{}, events: map[string]uint64{}}
}

// now returns a point in time to compare with in set, for Clusters of the namespace.
func (w *waiters) now(namespace string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen(namespace)
}

// seen counts the events of pools that may serve Clusters of the namespace.
func (w *waiters) seen(namespace string) uint64 { return w.events[""] + w.events[namespace] }

// answer takes the Cluster's invitation back, whatever it made of it.
func (w *waiters) answer(key string) (invited waiter, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.clusters[key]
	if waiting == nil || waiting.invited == (vip.PoolRef{}) {
		return waiter{}, false
	}
	invited = *waiting
	waiting.invited = vip.PoolRef{}
	return invited, true
}

// set notes whether the Cluster waits for a pool, and in which roles. It reports
// whether a pool event has come since the pass began, so that it must be made again.
func (w *waiters) set(key string, cluster *clusterv1.Cluster, s *vip.Snapshot, decision *vip.Decision, began uint64) (missed bool) {
	current := &waiter{
		namespace: s.Cluster.Namespace, name: s.Cluster.Name, class: s.Cluster.Class,
		filters: map[vip.Role]string{}, created: cluster.CreationTimestamp.Time,
	}
	for _, role := range vip.Roles() {
		if outcome := decision.Roles[role]; outcome != nil && outcome.Waiting {
			current.roles = append(current.roles, role)
			current.filters[role] = s.Cluster.Annotations[role.PoolAnnotation()]
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(current.roles) == 0 {
		delete(w.clusters, key)
		return false
	}
	if old := w.clusters[key]; old != nil {
		current.invited = old.invited // it came while the pass was made
	}
	w.clusters[key] = current
	return w.seen(current.namespace) != began
}

func (w *waiters) remove(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.clusters, key)
}

// all returns the Clusters that one of the pools could serve, oldest first.
func (w *waiters) all(old, current *kube.Pool) []*waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events[either(old, current).Ref.Namespace]++
	return w.fitting(old, current)
}

// invite returns the oldest Clusters that the pool has room for.
func (w *waiters) invite(pool *kube.Pool, room int64) []*waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	if room <= 0 {
		return nil
	}
	w.events[pool.Ref.Namespace]++
	invited := w.fitting(pool)
	if int64(len(invited)) > room {
		invited = invited[:room]
	}
	for _, waiting := range invited {
		waiting.invited = pool.Ref
	}
	return invited
}

// turn tells whether the Cluster may take room that it was not invited to: there is
// enough for all older ones that wait for it too. If it may not, one of them is
// either about to answer an invitation, or to be invited, as again says.
func (w *waiters) turn(cluster *clusterv1.Cluster, pool *kube.Pool, room int64) (ok, again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	me := &waiter{namespace: cluster.Namespace, name: cluster.Name, created: cluster.CreationTimestamp.Time}
	ahead, invited := int64(0), false
	for _, waiting := range w.clusters {
		if waiting.fits(pool) && older(waiting, me) < 0 {
			ahead++
			invited = invited || waiting.invited == pool.Ref
		}
	}
	return ahead < room, !invited
}

// inviteAfter returns the next Cluster after the one that left its invitation unused.
func (w *waiters) inviteAfter(last waiter, pool *kube.Pool) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events[pool.Ref.Namespace]++
	for _, waiting := range w.fitting(pool) {
		if older(&last, waiting) < 0 {
			waiting.invited = pool.Ref
			return waiting
		}
	}
	return nil
}

func (w *waiters) fitting(pools ...*kube.Pool) []*waiter {
	var found []*waiter
	for _, waiting := range w.clusters {
		if slices.ContainsFunc(pools, waiting.fits) {
			found = append(found, waiting)
		}
	}
	slices.SortFunc(found, older)
	return found
}

func older(a, b *waiter) int {
	return cmp.Or(a.created.Compare(b.created), strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
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
