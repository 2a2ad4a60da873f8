package kube

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// WatchPoolKinds has the pools discover kinds whose CRDs are installed later. It
// returns at once and works until ctx ends or every wanted kind was found.
func WatchPoolKinds(ctx context.Context, config *rest.Config, pools *Pools) error {
	if !pools.Missing() {
		return nil
	}
	client, err := metadata.NewForConfig(WithoutTimeout(config))
	if err != nil {
		return fmt.Errorf("metadata client: %w", err)
	}
	watching, stop := context.WithCancel(ctx)
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	informer := metadatainformer.NewFilteredMetadataInformer(client, crds, "", 0, cache.Indexers{}, nil).Informer()
	if err := informer.SetTransform(Trim); err != nil {
		stop()
		return fmt.Errorf("watch CRDs: %w", err)
	}
	installed := make(chan struct{}, 1)
	_, err = OnEvent(informer, func(_, crd *metav1.PartialObjectMetadata) {
		// A CRD is named after its resource and group.
		if crd != nil && pools.Wants(schema.ParseGroupResource(crd.Name)) {
			select {
			case installed <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		stop()
		return fmt.Errorf("watch CRDs: %w", err)
	}
	go informer.RunWithContext(watching)
	go func() {
		defer stop()
		for pools.Missing() {
			select {
			case <-ctx.Done():
				return
			case <-installed:
				// The pools' caches outlive this watch.
				discoverInstalled(ctx, pools)
			}
		}
	}()
	return nil
}

// WithoutTimeout is the configuration of clients that watch: the timeout of
// requests would cut off their watches too.
func WithoutTimeout(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Timeout = 0
	return config
}

// discoverInstalled waits a moment for a CRD that was just written to be served.
func discoverInstalled(ctx context.Context, pools *Pools) {
	const retry, patience = time.Second, 10 * time.Second
	before := pools.count()
	// The caches outlive this wait, so they get the outer context.
	err := wait.PollUntilContextTimeout(ctx, retry, patience, true, func(context.Context) (bool, error) {
		if err := pools.Discover(ctx); err != nil {
			logrus.WithError(err).Warn("Cannot discover pool kinds; trying again")
		}
		return pools.count() > before, nil
	})
	if err != nil {
		logrus.Debugf("No further pool kind is served: %v", err)
	}
}
