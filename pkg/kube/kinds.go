package kube

import (
	"context"
	"fmt"
	"time"

	lassocache "github.com/rancher/lasso/pkg/cache"
	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

// Kinds are the kinds of Cluster API without which nothing can be done.
func Kinds() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		clusterv1.GroupVersion.WithKind(clusterKind),
		clusterv1.GroupVersion.WithKind("ClusterClass"),
		ipamv1.GroupVersion.WithKind("IPAddressClaim"),
		ipamv1.GroupVersion.WithKind("IPAddress"),
	}
}

// WaitForKinds returns once the API server serves Kinds. An informer of a kind
// that is not installed would retry for ever without a word, so this comes first;
// it says what is missing each time it changes.
func WaitForKinds(ctx context.Context, client discovery.DiscoveryInterface) error {
	const retry = 5 * time.Second // only while Cluster API is not installed
	said := ""
	err := wait.PollUntilContextCancel(ctx, retry, true, func(context.Context) (bool, error) {
		missing := missingKind(client)
		if missing != "" && missing != said {
			logrus.Warnf("Waiting for Cluster API: %s", missing)
		}
		said = missing
		return missing == "", nil
	})
	if err != nil {
		return fmt.Errorf("waiting for Cluster API (%s): %w", said, err)
	}
	return nil
}

func missingKind(client discovery.DiscoveryInterface) string {
	for _, gvk := range Kinds() {
		list, err := client.ServerResourcesForGroupVersion(gvk.GroupVersion().String())
		if apierrors.IsNotFound(err) {
			return gvk.GroupVersion().String() + " is not served"
		}
		if err != nil {
			return err.Error()
		}
		served := false
		for _, resource := range list.APIResources {
			served = served || resource.Kind == gvk.Kind
		}
		if !served {
			return gvk.String() + " is not served"
		}
	}
	return ""
}

// Warm starts the caches of Kinds and waits until they have synced. It creates no
// controller: one that is not started, as on a standby replica, would queue every
// event for ever.
func Warm(ctx context.Context, factory lassocache.SharedCacheFactory) error {
	for _, gvk := range Kinds() {
		informer, err := factory.ForKind(gvk)
		if err != nil {
			return fmt.Errorf("cache of %s: %w", gvk.Kind, err)
		}
		if err := informer.SetTransform(Trim); err != nil {
			return fmt.Errorf("cache of %s: %w", gvk.Kind, err)
		}
	}
	if err := factory.Start(ctx); err != nil {
		return fmt.Errorf("start caches: %w", err)
	}
	for gvk, synced := range factory.WaitForCacheSync(ctx) {
		if !synced {
			return fmt.Errorf("cache of %s did not sync: %w", gvk.Kind, ctx.Err())
		}
	}
	return nil
}
