package controllers

import (
	"errors"
	"fmt"

	lassocache "github.com/rancher/lasso/pkg/cache"
	"github.com/rancher/wrangler/v3/pkg/generic"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ErrBehind says that the caches do not show the Cluster that was asked about.
var ErrBehind = errors.New("the caches do not show this Cluster yet")

// Reader observes Clusters and changes nothing, on a replica that leads and on one
// that stands by alike. It remembers nothing of what a leader did, so that all
// replicas see the same.
type Reader struct {
	observer *observer
}

// NewReader reads the caches of kube.Warm, which must have synced. It creates no
// controller: one that is not started would queue every event for ever.
func NewReader(caches lassocache.SharedCacheFactory, pools *kube.Pools, leases *kube.Leases, settings vip.Settings, evaluator *sandbox.Evaluator) (*Reader, error) {
	o := &observer{
		pools: pools, leases: leases, allocator: allocator.New(), expectations: newExpectations(), settings: settings,
		builds: true, evaluator: evaluator, views: newClassViews(),
	}
	classes, err := caches.ForKind(clusterv1.GroupVersion.WithKind("ClusterClass"))
	if err != nil {
		return nil, fmt.Errorf("cache of ClusterClass: %w", err)
	}
	if _, err := kube.OnEvent(classes, o.forgetClass); err != nil {
		return nil, err
	}
	if o.clusters, err = readerCache[*clusterv1.Cluster](caches, clusterv1.GroupVersion.WithKind("Cluster"), "clusters"); err != nil {
		return nil, err
	}
	if o.classes, err = readerCache[*clusterv1.ClusterClass](caches, clusterv1.GroupVersion.WithKind("ClusterClass"), "clusterclasses"); err != nil {
		return nil, err
	}
	if o.claims, err = readerCache[*ipamv1.IPAddressClaim](caches, ipamv1.GroupVersion.WithKind("IPAddressClaim"), "ipaddressclaims"); err != nil {
		return nil, err
	}
	if o.addresses, err = readerCache[*ipamv1.IPAddress](caches, ipamv1.GroupVersion.WithKind("IPAddress"), "ipaddresses"); err != nil {
		return nil, err
	}
	o.addIndexers()
	return &Reader{observer: o}, nil
}

// Observe reads everything that concerns the Cluster as it is given, which need not
// be its newest version, as for a decision whether it may be built. It is ErrBehind if
// the caches do not hold the Cluster at all: then they may lack its class and pools too.
func (r *Reader) Observe(cluster *clusterv1.Cluster) (*vip.Snapshot, error) {
	cached, err := r.observer.clusters.Get(cluster.Namespace, cluster.Name)
	if err != nil || cached.UID != cluster.UID {
		return nil, fmt.Errorf("observe Cluster %s/%s: %w", cluster.Namespace, cluster.Name, ErrBehind)
	}
	return r.observer.observe(cluster)
}

// forgetClass drops the view of a class that is gone.
func (o *observer) forgetClass(old, current *clusterv1.ClusterClass) {
	if current == nil {
		o.views.forget(vip.ClassKey{Namespace: old.Namespace, Name: old.Name})
	}
}

// readerCache is a typed view of a cache that others use too.
func readerCache[T runtime.Object](caches lassocache.SharedCacheFactory, kind schema.GroupVersionKind, resource string) (generic.CacheInterface[T], error) {
	informer, err := caches.ForKind(kind)
	if err != nil {
		return nil, fmt.Errorf("cache of %s: %w", kind.Kind, err)
	}
	return generic.NewCache[T](readerIndexer{informer.GetIndexer()}, schema.GroupResource{Group: kind.Group, Resource: resource}), nil
}

// readerIndexer gives the reader's indexes names of their own: the controllers, if
// this replica comes to lead, add theirs to the same cache, and a name serves once.
type readerIndexer struct {
	cache.Indexer
}

const readerPrefix = "reader/"

func (i readerIndexer) AddIndexers(indexers cache.Indexers) error {
	own := cache.Indexers{}
	for name, index := range indexers {
		own[readerPrefix+name] = index
	}
	if err := i.Indexer.AddIndexers(own); err != nil {
		return fmt.Errorf("add indexes: %w", err)
	}
	return nil
}

func (i readerIndexer) ByIndex(name, value string) ([]any, error) {
	objects, err := i.Indexer.ByIndex(readerPrefix+name, value)
	if err != nil {
		return nil, fmt.Errorf("look up by index: %w", err)
	}
	return objects, nil
}
