package kube

import (
	"context"
	"fmt"

	lassocache "github.com/rancher/lasso/pkg/cache"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

// Kinds are the kinds of Cluster API without which nothing can be done, as they are
// handled here whichever version is served.
func Kinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		clusterv1.GroupVersion.WithKind(clusterKind),
		clusterv1.GroupVersion.WithKind("ClusterClass"),
		ipamv1.GroupVersion.WithKind("IPAddressClaim"),
		ipamv1.GroupVersion.WithKind("IPAddress"),
	}
}

// Warm starts the caches of Kinds and waits until they have synced. It creates no
// controller: one that is not started, as on a standby replica, would queue every
// event for ever.
func Warm(ctx context.Context, factory lassocache.SharedCacheFactory) error {
	var synced []cache.DoneChecker
	for _, gvk := range Kinds() {
		informer, err := factory.ForKind(gvk)
		if err != nil {
			return fmt.Errorf("cache of %s: %w", gvk.Kind, err)
		}
		if err := informer.SetTransform(Trim); err != nil {
			return fmt.Errorf("cache of %s: %w", gvk.Kind, err)
		}
		synced = append(synced, informer.HasSyncedChecker())
	}
	if err := factory.Start(ctx); err != nil {
		return fmt.Errorf("start caches: %w", err)
	}
	if !cache.WaitFor(ctx, "", synced...) {
		return fmt.Errorf("caches did not sync: %w", ctx.Err())
	}
	return nil
}
