package kube

import (
	"context"
	"fmt"
	"slices"
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

// CRDs watches which kinds are installed: one watch for all who need to know.
type CRDs struct {
	informer cache.SharedIndexInformer
}

// NewCRDs returns CRDs that are not watched before Start.
func NewCRDs(config *rest.Config) (*CRDs, error) {
	client, err := metadata.NewForConfig(WithoutTimeout(config))
	if err != nil {
		return nil, fmt.Errorf("metadata client: %w", err)
	}
	resource := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	informer := metadatainformer.NewFilteredMetadataInformer(client, resource, "", 0, cache.Indexers{}, nil).Informer()
	if err := informer.SetTransform(nameOnly); err != nil {
		return nil, fmt.Errorf("watch CRDs: %w", err)
	}
	return &CRDs{informer: informer}, nil
}

// nameOnly keeps of a CRD what is asked of it.
func nameOnly(object any) (any, error) {
	crd, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	kept := &metav1.PartialObjectMetadata{TypeMeta: crd.TypeMeta}
	kept.Name, kept.UID, kept.ResourceVersion = crd.Name, crd.UID, crd.ResourceVersion
	return kept, nil
}

// Start begins to watch until ctx ends, and returns at once.
func (c *CRDs) Start(ctx context.Context) { go c.informer.RunWithContext(ctx) }

// OnChange calls the handler for every CRD that is there, comes, changes or goes. What it
// returns is done when the handler was called for all that were there.
func (c *CRDs) OnChange(handler func(resource schema.GroupResource)) (cache.DoneChecker, error) {
	return OnEvent(c.informer, func(old, current *metav1.PartialObjectMetadata) {
		if current == nil {
			current = old
		}
		handler(schema.ParseGroupResource(current.Name)) // a CRD is named after both
	})
}

// changes receives something when one of the resources came, changed or went.
func (c *CRDs) changes(resources []schema.GroupResource) (<-chan struct{}, error) {
	changed := make(chan struct{}, 1)
	_, err := c.OnChange(func(resource schema.GroupResource) {
		if slices.Contains(resources, resource) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	})
	return changed, err
}

// Installed tells whether there is a CRD for the resource.
func (c *CRDs) Installed(resource schema.GroupResource) bool {
	_, exists, err := c.informer.GetStore().GetByKey(resource.String())
	return exists && err == nil
}

// WatchPoolKinds has the pools discover kinds whose CRDs are installed later. It returns at
// once and works until ctx ends or every wanted kind was found.
func WatchPoolKinds(ctx context.Context, crds *CRDs, pools *Pools) error {
	changed, err := crds.changes(pools.wanted)
	if err != nil {
		return err
	}
	go func() {
		for pools.Missing() {
			select {
			case <-ctx.Done():
				return
			case <-changed:
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
