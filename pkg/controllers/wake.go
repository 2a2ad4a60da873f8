package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// waker wakes the Clusters that an event of another object concerns, at once. It
// sees both states of the object and passes over events that change nothing for us.
type waker struct {
	observer *snapshot.Observer
	pools    *poolReporter
	leases   *leaseKeeper
	wake     func(namespace, name string)
	wakeAll  func(keys []string)
	// watching says that all that was there has been seen.
	watching atomic.Bool
}

// watch registers the waker with every cache and waits until it has seen all that
// is there, or ctx ends: the allocator must know it all before the first decision.
func (w *waker) watch(ctx context.Context, claims, addresses, classes, clusters cache.SharedIndexInformer) error {
	var all []cache.DoneChecker
	var errs []error
	add := func(synced cache.DoneChecker, err error) {
		all, errs = append(all, synced), append(errs, err)
	}
	pools, err := w.observer.Pools.OnEvent(w.onPool)
	all, errs = append(all, pools...), append(errs, err)
	add(kube.OnEvent(claims, w.onClaim))
	add(kube.OnEvent(addresses, w.onAddress))
	add(kube.OnEvent(classes, w.onClass))
	add(kube.OnEvent(clusters, w.onCluster))
	add(w.observer.Leases.OnEvent(w.onLease))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("watch for wake-ups: %w", err)
	}
	if !cache.WaitFor(ctx, "", all...) {
		return fmt.Errorf("watch for wake-ups: %w", ctx.Err())
	}
	w.watching.Store(true)
	return nil
}

// onClaim wakes the Cluster that the claim's name leads to, and whom its address or its
// place concerns.
func (w *waker) onClaim(old, current *ipamv1.IPAddressClaim) {
	claim := either(old, current)
	w.wakeAll(w.observer.Allocator.SetClaim(claim.Namespace, claim.Name, kube.ClaimRoom(old), kube.ClaimRoom(current), kube.Worked(old, current)))
	if old != nil && current != nil && sameClaim(old, current) {
		return
	}
	if cluster, _, ours := vip.ParseClaimName(claim.Name); ours {
		w.wake(claim.Namespace, cluster)
	}
}

// sameClaim leaves out what providers write on the way, such as finalizers.
func sameClaim(a, b *ipamv1.IPAddressClaim) bool {
	return a.UID == b.UID && a.DeletionTimestamp.IsZero() == b.DeletionTimestamp.IsZero() &&
		maps.Equal(a.Labels, b.Labels) &&
		equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) &&
		equality.Semantic.DeepEqual(a.Status, b.Status)
}

// onAddress wakes the Cluster whose claim the address is bound to, and those that
// use the same address.
func (w *waker) onAddress(old, current *ipamv1.IPAddress) {
	address := either(old, current)
	w.wakeAll(w.observer.Allocator.SetAddress(address.Namespace, kube.AddressRoom(old), kube.AddressRoom(current)))
	if old != nil && current != nil && old.UID == current.UID &&
		old.DeletionTimestamp.IsZero() == current.DeletionTimestamp.IsZero() && old.Spec.Address == current.Spec.Address {
		return
	}
	if cluster, _, ours := vip.ParseClaimName(address.Spec.ClaimRef.Name); ours {
		w.wake(address.Namespace, cluster)
	}
	if cluster, _, books := vip.ParseBookingName(address.Name); books {
		w.wake(address.Namespace, cluster)
	}
	if key, ok := vip.Key(address.Spec.Address); ok {
		w.wakeUsers(key.String())
		w.leases.check(key.String())
	}
}

// onCluster wakes the other Clusters that use an address which this one took up or gave up.
func (w *waker) onCluster(old, current *clusterv1.Cluster) {
	w.setCluster(old, current)
	before, now := addressesOf(old), addressesOf(current)
	gone, came := differing(before, now)
	if len(gone)+len(came) == 0 {
		return
	}
	for _, key := range slices.Concat(gone, came) {
		w.wakeUsers(key.String())
		w.leases.check(key.String())
	}
}

// setCluster tells the allocator what the Cluster uses.
func (w *waker) setCluster(old, current *clusterv1.Cluster) {
	cluster := either(old, current)
	var vips []netip.Addr
	if current != nil {
		vips = w.observer.VIPs(current)
	}
	w.wakeAll(w.observer.Allocator.SetCluster(cluster.Namespace+"/"+cluster.Name, vips))
}

// differing returns what only one of two sorted lists holds. They may be as long as the
// API server lets a Cluster be, and every change of the Cluster compares them.
func differing(before, now []netip.Addr) (gone, came []netip.Addr) {
	for len(before) > 0 && len(now) > 0 {
		switch order := before[0].Compare(now[0]); {
		case order < 0:
			gone, before = append(gone, before[0]), before[1:]
		case order > 0:
			came, now = append(came, now[0]), now[1:]
		default:
			before, now = before[1:], now[1:]
		}
	}
	return append(gone, before...), append(came, now...)
}

// onLease wakes the Clusters that use the leased address: one of them may have
// been refused it.
func (w *waker) onLease(old, current *coordinationv1.Lease) {
	key, ok := kube.LeasedAddress(either(old, current))
	if !ok || (old != nil && current != nil && kube.Holder(old) == kube.Holder(current)) {
		return
	}
	w.leases.check(key.String())
	w.wakeUsers(key.String())
}

func addressesOf(cluster *clusterv1.Cluster) []netip.Addr {
	if cluster == nil {
		return nil
	}
	return snapshot.AddressesOf(cluster)
}

// wakeUsers wakes every Cluster that carries or claims the address.
func (w *waker) wakeUsers(key string) {
	if clusters, err := w.observer.Clusters.GetByIndex(snapshot.ByAddress, key); err == nil {
		for _, cluster := range clusters {
			w.wake(cluster.Namespace, cluster.Name)
		}
	}
	if addresses, err := w.observer.Addresses.GetByIndex(snapshot.ByAddress, key); err == nil {
		for _, address := range addresses {
			if cluster, _, ours := vip.ParseClaimName(address.Spec.ClaimRef.Name); ours {
				w.wake(address.Namespace, cluster)
			}
		}
	}
}

// onClass wakes the Clusters of the class.
func (w *waker) onClass(old, current *clusterv1.ClusterClass) {
	if old != nil && current != nil && sameClass(old, current) {
		return
	}
	class := either(old, current)
	key := vip.ClassKey{Namespace: class.Namespace, Name: class.Name}
	if clusters, err := w.observer.Clusters.GetByIndex(snapshot.ByClass, key.String()); err == nil {
		for _, cluster := range clusters { // its variables may be others now
			w.setCluster(nil, cluster)
		}
	}
	w.wakeClass(key)
}

func sameClass(a, b *clusterv1.ClusterClass) bool {
	return a.UID == b.UID && a.Generation == b.Generation && maps.Equal(a.Annotations, b.Annotations) &&
		kube.Class(a).Ready == kube.Class(b).Ready && equality.Semantic.DeepEqual(a.Status.Variables, b.Status.Variables)
}

func (w *waker) wakeClass(class vip.ClassKey) {
	if clusters, err := w.observer.Clusters.GetByIndex(snapshot.ByClass, class.String()); err == nil {
		for _, cluster := range clusters {
			w.wake(cluster.Namespace, cluster.Name)
		}
	}
}

// onPool wakes the Clusters that could have something from the pool now, and if more than
// its room changed, all that wait for a pool like this one or whose claims wait on it. When
// it changes whom it serves it wakes every Cluster of a class that it names.
func (w *waker) onPool(old, current *kube.Pool) {
	ref := either(old, current).Ref
	var room *allocator.Pool
	if current != nil && current.Ours {
		room = current.Room()
	}
	w.wakeAll(w.observer.Allocator.SetPool(ref, room))
	if old != nil && current != nil && samePool(old, current) {
		return
	}
	w.pools.changed(ref)
	w.wakeHolders(ref, old, current)
	w.wakeAll(w.observer.Allocator.Pending(ref))
	ranges := old != nil && current != nil && sameService(old, current)
	w.wakeAll(w.observer.Allocator.Changed(ref.Namespace, ranges, func(class vip.ClassKey) bool {
		return (old != nil && old.Serves.Class(class)) || (current != nil && current.Serves.Class(class))
	}))
	if old != nil && current != nil && sameServes(old, current) {
		return
	}
	for _, pool := range []*kube.Pool{old, current} {
		if pool == nil {
			continue
		}
		for _, entry := range pool.Serves.Classes {
			w.wakeEntry(entry, pool.Ref.Namespace)
		}
	}
}

// wakeHolders wakes the Clusters that name an address which the pool holds, or held: one
// that somebody typed may be booked in it. At the start each Cluster is looked at anyway.
func (w *waker) wakeHolders(ref vip.PoolRef, pools ...*kube.Pool) {
	pools = slices.DeleteFunc(pools, func(pool *kube.Pool) bool { return pool == nil || !pool.Ours || !pool.CanPin() })
	if len(pools) == 0 || !w.watching.Load() {
		return
	}
	clusters, err := w.observer.Clusters.List(ref.Namespace, labels.Everything())
	if err != nil {
		return
	}
	for _, cluster := range clusters {
		held := func(key netip.Addr) bool {
			return slices.ContainsFunc(pools, func(pool *kube.Pool) bool { return pool.Contains(key) })
		}
		if slices.ContainsFunc(addressesOf(cluster), held) {
			w.wake(cluster.Namespace, cluster.Name)
		}
	}
}

// wakeHeld wakes every Cluster that is held back: the gate was switched on or off.
func (w *waker) wakeHeld() {
	clusters, err := w.observer.Clusters.List(metav1.NamespaceAll, labels.Everything())
	if err != nil {
		return
	}
	for _, cluster := range clusters {
		if _, held := cluster.Annotations[vip.HeldAnnotation]; held {
			w.wake(cluster.Namespace, cluster.Name)
		}
	}
}

// wakeEntry wakes the Clusters of the classes that a pool names: those of its namespace,
// if it has one, whatever it says. An entry for every class never makes a role apply, so
// waking the waiters was enough for it.
func (w *waker) wakeEntry(entry vip.ClassEntry, namespace string) {
	index, key := snapshot.ByClassName, entry.Name
	if entry.Namespace != "" {
		index, key = snapshot.ByClass, vip.ClassKey(entry).String()
	}
	if namespace != "" {
		index, key = snapshot.InNamespace(index), namespace+" "+key
	}
	clusters, err := w.observer.Clusters.GetByIndex(index, key)
	if err != nil {
		return
	}
	for _, cluster := range clusters {
		w.wake(cluster.Namespace, cluster.Name)
	}
}

// samePool compares everything but capacity.
func samePool(a, b *kube.Pool) bool { return sameService(a, b) && a.SameRanges(b) }

// sameService compares everything but capacity and ranges.
func sameService(a, b *kube.Pool) bool {
	viewA, viewB := a.View(), b.View()
	return a.UID == b.UID && sameServes(a, b) && viewA.Paused == viewB.Paused && viewA.Deleting == viewB.Deleting
}

func sameServes(a, b *kube.Pool) bool {
	return a.Ours == b.Ours && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

func either[T any](old, current *T) *T {
	if current != nil {
		return current
	}
	return old
}
