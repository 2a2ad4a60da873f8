package bench

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// roles are the two VIPs of a Cluster.
var roles = []string{observe.ControlPlane, observe.Ingress}

// timeline says when something was first seen of one Cluster. Zero: not yet.
type timeline struct {
	created   time.Time
	published map[string]time.Time // by role: the endpoint, the ingress stamp
	carried   time.Time            // both VIPs in all places, see package observe
	bound     map[string]time.Time // by role: the claim has an address
	reference map[string]string    // by role: the name of the address object
}

// done is the end of the measurement for one Cluster, with an allocator and
// without: both claims are bound and the Cluster carries both VIPs.
func (t timeline) done() time.Time {
	return latest(t.carried, t.allBound())
}

// allBound is when the last of both claims was bound.
func (t timeline) allBound() time.Time {
	return latest(t.bound[observe.ControlPlane], t.bound[observe.Ingress])
}

// latest is when both have happened; zero as long as one has not.
func latest(a, b time.Time) time.Time {
	switch {
	case a.IsZero() || b.IsZero():
		return time.Time{}
	case a.After(b):
		return a
	}
	return b
}

// recorder writes the timelines of all Clusters.
type recorder struct {
	mutex     sync.Mutex
	changed   chan struct{} // closed and replaced at each change
	clusters  map[types.NamespacedName]*timeline
	claims    map[types.NamespacedName]ipamv1.IPAddressClaim
	addresses map[types.NamespacedName]string
}

func newRecorder() *recorder {
	return &recorder{
		changed:   make(chan struct{}),
		clusters:  map[types.NamespacedName]*timeline{},
		claims:    map[types.NamespacedName]ipamv1.IPAddressClaim{},
		addresses: map[types.NamespacedName]string{},
	}
}

func (r *recorder) watch(ctx context.Context, client dynamic.Interface) error {
	if err := observe.Watch(ctx, client, observe.Clusters, r.onCluster); err != nil {
		return err
	}
	if err := observe.Watch(ctx, client, observe.Addresses, r.onAddress); err != nil {
		return err
	}
	return observe.Watch(ctx, client, observe.Claims, r.onClaim)
}

func (r *recorder) onCluster(e observe.Event[clusterv1.Cluster]) {
	r.mutex.Lock()
	defer r.notify()
	key := types.NamespacedName{Namespace: e.Object.Namespace, Name: e.Object.Name}
	if e.Deleted {
		delete(r.clusters, key)
		return
	}
	t := r.timeline(key)
	once(&t.created, e.At, true)
	note(t.published, observe.ControlPlane, e.At, e.Object.Spec.ControlPlaneEndpoint.Host != "")
	note(t.published, observe.Ingress, e.At, e.Object.Annotations[observe.IngressVIP] != "")
	held := e.Object.Spec.Paused != nil && *e.Object.Spec.Paused
	once(&t.carried, e.At,
		observe.CarriesControlPlaneVIP(e.Object) && observe.CarriesIngressVIP(e.Object) && !held)
}

func (r *recorder) onClaim(e observe.Event[ipamv1.IPAddressClaim]) {
	r.mutex.Lock()
	defer r.notify()
	key := types.NamespacedName{Namespace: e.Object.Namespace, Name: e.Object.Name}
	if e.Deleted {
		delete(r.claims, key)
		return
	}
	r.claims[key] = *e.Object
	cluster, role := clusterOf(e.Object), e.Object.Labels[observe.RoleLabel]
	reference := e.Object.Status.AddressRef.Name
	if e.Object.DeletionTimestamp != nil || reference == "" || cluster == "" {
		return // its Cluster may be gone, it is not bound yet, or nobody's
	}
	t := r.timeline(types.NamespacedName{Namespace: key.Namespace, Name: cluster})
	note(t.bound, role, e.At, true)
	t.reference[role] = reference
}

// clusterOf returns the name of the Cluster that owns a claim. Its label may come late.
func clusterOf(claim *ipamv1.IPAddressClaim) string {
	for _, owner := range claim.OwnerReferences {
		if owner.Kind == "Cluster" {
			return owner.Name
		}
	}
	return ""
}

func (r *recorder) onAddress(e observe.Event[ipamv1.IPAddress]) {
	r.mutex.Lock()
	defer r.notify()
	key := types.NamespacedName{Namespace: e.Object.Namespace, Name: e.Object.Name}
	if e.Deleted {
		delete(r.addresses, key)
		return
	}
	r.addresses[key] = e.Object.Spec.Address
}

// timeline finds or makes a Cluster's timeline. The caller holds the mutex.
func (r *recorder) timeline(key types.NamespacedName) *timeline {
	if r.clusters[key] == nil {
		r.clusters[key] = &timeline{
			published: map[string]time.Time{}, bound: map[string]time.Time{}, reference: map[string]string{},
		}
	}
	return r.clusters[key]
}

func once(when *time.Time, at time.Time, happened bool) {
	if happened && when.IsZero() {
		*when = at
	}
}

func note(times map[string]time.Time, role string, at time.Time, happened bool) {
	if _, known := times[role]; happened && !known {
		times[role] = at
	}
}

// notify ends a change: it wakes those who wait and releases the mutex.
func (r *recorder) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
	r.mutex.Unlock()
}
