package controllers

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// waiters knows the Clusters that wait for a pool, so that a pool's event wakes
// them and nobody else. It is filled anew after a start, when every Cluster is
// handled once.
type waiters struct {
	mu       sync.Mutex
	clusters map[string]waiter
}

type waiter struct {
	namespace, name string
	class           vip.ClassKey
	roles           []vip.Role
}

func newWaiters() *waiters { return &waiters{clusters: map[string]waiter{}} }

// set notes whether the Cluster waits for a pool, and in which roles.
func (w *waiters) set(key string, s *vip.Snapshot, decision *vip.Decision) {
	var roles []vip.Role
	for _, role := range vip.Roles() {
		if outcome := decision.Roles[role]; outcome != nil && outcome.Waiting {
			roles = append(roles, role)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(roles) == 0 {
		delete(w.clusters, key)
		return
	}
	w.clusters[key] = waiter{namespace: s.Cluster.Namespace, name: s.Cluster.Name, class: s.Cluster.Class, roles: roles}
}

func (w *waiters) remove(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.clusters, key)
}

// of returns the Clusters that one of the pools could serve, in the order of their names.
func (w *waiters) of(pools ...*kube.Pool) []waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []waiter
	for _, waiting := range w.clusters {
		for _, pool := range pools {
			if pool != nil && waiting.fits(pool) {
				found = append(found, waiting)
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b waiter) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
	})
	return found
}

func (w *waiter) fits(pool *kube.Pool) bool {
	if pool.Ref.Namespace != "" && pool.Ref.Namespace != w.namespace {
		return false
	}
	// The roles of a malformed pool cannot be told, and its Clusters are to hear of it.
	return pool.Serves.Class(w.class) && (pool.Serves.Err != nil || slices.ContainsFunc(w.roles, pool.Serves.HasRole))
}
