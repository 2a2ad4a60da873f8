package bench

import (
	"context"
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// await waits until ask says true, asking at each change. ask takes the mutex
// itself.
func (r *recorder) await(ctx context.Context, ask func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	for {
		r.mutex.Lock()
		changed := r.changed
		r.mutex.Unlock()
		if ask() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// finished returns how many Clusters of a namespace are done.
func (r *recorder) finished(namespace string) int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	count := 0
	for key, t := range r.clusters {
		if key.Namespace == namespace && !t.done().IsZero() {
			count++
		}
	}
	return count
}

// boundIn returns how many claims of a namespace are bound.
func (r *recorder) boundIn(namespace string) (count int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for key, claim := range r.claims {
		if key.Namespace == namespace && claim.Status.AddressRef.Name != "" {
			count++
		}
	}
	return count
}

// timelines returns what is known of all Clusters of a namespace.
func (r *recorder) timelines(namespace string) map[types.NamespacedName]timeline {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	all := map[types.NamespacedName]timeline{}
	for key, t := range r.clusters {
		if key.Namespace == namespace {
			c := *t
			c.published, c.bound, c.reference = maps.Clone(t.published), maps.Clone(t.bound), maps.Clone(t.reference)
			all[key] = c
		}
	}
	return all
}

// claimOf returns the name of a Cluster's claim; empty if there is none.
func (r *recorder) claimOf(cluster types.NamespacedName, role string) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for key, claim := range r.claims {
		if key.Namespace == cluster.Namespace && clusterOf(&claim) == cluster.Name &&
			claim.Labels[observe.RoleLabel] == role {
			return key.Name
		}
	}
	return ""
}

// addressesOf returns the addresses of both claims of a Cluster by role, or false
// as long as one of them has none.
func (r *recorder) addressesOf(key types.NamespacedName) (map[string]string, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	t := r.clusters[key]
	if t == nil {
		return nil, false
	}
	addresses := map[string]string{}
	for _, role := range roles {
		address := r.addresses[types.NamespacedName{Namespace: key.Namespace, Name: t.reference[role]}]
		if address == "" {
			return nil, false
		}
		addresses[role] = address
	}
	return addresses, true
}

// carried returns how long after its creation a Cluster carried both VIPs, or
// false as long as it does not.
func (r *recorder) carried(key types.NamespacedName) (time.Duration, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	t := r.clusters[key]
	if t == nil || t.carried.IsZero() {
		return 0, false
	}
	return t.carried.Sub(t.created), true
}

// empty tells whether a namespace has no Cluster, claim or address.
func (r *recorder) empty(namespace string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return !inside(r.clusters, namespace) && !inside(r.claims, namespace) && !inside(r.addresses, namespace)
}

func inside[T any](objects map[types.NamespacedName]T, namespace string) bool {
	for key := range objects {
		if key.Namespace == namespace {
			return true
		}
	}
	return false
}
