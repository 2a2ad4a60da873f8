package controllers

import (
	"context"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// leaseKeeper gives back the Lease of an address once its holder is gone or uses
// the address no longer. It has a queue of its own, since no Cluster is left that
// could be woken for it.
type leaseKeeper struct {
	observer *snapshot.Observer
	writer   *kube.Writer
	claims   *kube.Claims
	queue    workqueue.TypedRateLimitingInterface[string]
}

func newLeaseKeeper(o *snapshot.Observer, writer *kube.Writer, claims *kube.Claims) *leaseKeeper {
	return &leaseKeeper{observer: o, writer: writer, claims: claims, queue: workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, time.Minute),
		workqueue.TypedRateLimitingQueueConfig[string]{Name: "address-leases"})}
}

// check has the Lease of the address looked at, if there is one.
func (k *leaseKeeper) check(address string) {
	if key, err := netip.ParseAddr(address); err == nil && k.observer.Leases.Cached(kube.LeaseName(key)) != nil {
		k.queue.Add(address)
	}
}

// run works until ctx ends. It begins with every Lease that an earlier process left.
func (k *leaseKeeper) run(ctx context.Context) {
	for _, lease := range k.observer.Leases.List() {
		if key, ok := kube.LeasedAddress(lease); ok {
			k.queue.Add(key.String())
		}
	}
	go func() {
		<-ctx.Done()
		k.queue.ShutDown()
	}()
	for {
		address, stop := k.queue.Get()
		if stop {
			return
		}
		k.keep(ctx, address)
		k.queue.Done(address)
	}
}

func (k *leaseKeeper) keep(ctx context.Context, address string) {
	key, err := netip.ParseAddr(address)
	if err != nil {
		return
	}
	lease := k.observer.Leases.Cached(kube.LeaseName(key))
	if lease == nil {
		k.queue.Forget(address)
		return
	}
	if needed, sure := k.needed(lease, key); needed {
		if sure {
			k.queue.Forget(address)
		} else {
			k.queue.AddRateLimited(address)
		}
		return
	}
	used, err := k.used(ctx, lease, key)
	if used {
		k.queue.AddRateLimited(address) // until the caches show it
		return
	}
	if err == nil {
		err = k.observer.Leases.Release(ctx, lease)
	}
	if err != nil {
		logrus.WithError(err).WithField("address", address).Warn("Cannot release the Lease of an address; trying again")
		k.queue.AddRateLimited(address)
		return
	}
	k.queue.Forget(address)
	logrus.WithFields(logrus.Fields{"address": key.Unmap().String(), "cluster": kube.Holder(lease).Cluster}).Info("Released the Lease of an address")
}

// used asks the API server whether the holder carries or claims the address after all.
// What is seen here may be old: a process that was frozen knows only what was then, and
// another one, which serves other Clusters, may be about to publish the address. Until it
// has, the claim alone speaks for it, so the claim is asked first.
func (k *leaseKeeper) used(ctx context.Context, lease *coordinationv1.Lease, key netip.Addr) (bool, error) {
	holder := kube.Holder(lease)
	namespace, name, err := cache.SplitMetaNamespaceKey(holder.Cluster)
	if err != nil || name == "" {
		return false, nil //nolint:nilerr // somebody edited the Lease: no Cluster has such a name
	}
	claimed, err := k.claims.Holds(ctx, namespace, holder.Role.ClaimName(name), key)
	if err != nil {
		return false, err
	}
	live, err := k.writer.Get(ctx, namespace, name)
	switch {
	case gone(err):
		return false, nil
	case err != nil:
		return false, err
	case string(live.UID) != holder.ClusterUID:
		return false, nil
	}
	view := kube.Cluster(live)
	return claimed || vip.Addresses(&view)[key], nil
}

// needed tells whether the holder exists and still carries or claims the address. It is
// not sure while the holder has a claim whose address is not to be seen: that is about
// to come, or gone already and the claim goes next, without a word of the address.
func (k *leaseKeeper) needed(lease *coordinationv1.Lease, key netip.Addr) (needed, sure bool) {
	holder := kube.Holder(lease)
	clusters, err := k.observer.Clusters.GetByIndex(snapshot.ByUID, holder.ClusterUID)
	if err != nil {
		return true, false
	}
	if len(clusters) == 0 {
		return false, true
	}
	view := kube.Cluster(clusters[0])
	if vip.Addresses(&view)[key] {
		return true, true
	}
	claim, err := k.observer.Claim(&view, holder.Role, k.observer.Pools.Scope())
	switch {
	case err != nil:
		return true, false
	case claim == nil:
		return false, true
	case claim.Address == nil:
		return claim.Bound, !claim.Bound
	}
	other, ok := vip.Key(claim.Address.Text)
	return ok && other == key, true
}
