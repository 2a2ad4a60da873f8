package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// ErrServedChanged says that Cluster API was upgraded or downgraded to one that
// serves other versions. Caches and queues belong to the former one, and a fresh start
// is the simplest way to follow.
var ErrServedChanged = errors.New("the served versions have changed, a fresh start follows them")

// FollowServed returns ErrServedChanged once other versions are served, of Cluster API or
// of a kind of pool, or nil when ctx ends. It watches the CRDs by which an upgrade begins.
func FollowServed(ctx context.Context, config *rest.Config, client discovery.DiscoveryInterface, served Served, pools *Pools) error {
	watching, err := metadata.NewForConfig(WithoutTimeout(config))
	if err != nil {
		return fmt.Errorf("metadata client: %w", err)
	}
	changed := make(chan struct{}, 1)
	watched := slices.Clone(pools.wanted)
	for _, kind := range Kinds() {
		resource, _ := meta.UnsafeGuessKindToResource(kind)
		watched = append(watched, resource.GroupResource())
	}
	for _, resource := range watched {
		if err := watchCRD(ctx, watching, resource.String(), changed); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if what := servedOtherwise(ctx, client, served, pools); what != "" {
			return fmt.Errorf("%w: %s", ErrServedChanged, what)
		}
	}
}

// servedOtherwise says what is served in another version; empty if nothing is. It asks a
// few times, since discovery follows a CRD with a delay.
func servedOtherwise(ctx context.Context, client discovery.DiscoveryInterface, served Served, pools *Pools) (what string) {
	_ = wait.ExponentialBackoffWithContext(ctx, wait.Backoff{Duration: 300 * time.Millisecond, Factor: 3, Steps: 4}, func(context.Context) (bool, error) {
		if now, missing := DiscoverServed(client); missing == "" && !maps.Equal(now, served) {
			what = fmt.Sprintf("%s instead of %s", now, served)
		} else {
			what = pools.servedOtherwise()
		}
		return what != "", nil
	}) // that nothing changed is no error
	return what
}

func watchCRD(ctx context.Context, client metadata.Interface, name string, changed chan<- struct{}) error {
	crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	informer := metadatainformer.NewFilteredMetadataInformer(client, crds, "", 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}).Informer()
	if err := informer.SetTransform(Trim); err != nil {
		return fmt.Errorf("watch CRD %s: %w", name, err)
	}
	_, err := OnEvent(informer, func(_, _ *metav1.PartialObjectMetadata) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("watch CRD %s: %w", name, err)
	}
	go informer.RunWithContext(ctx)
	return nil
}
