package controllers

import (
	"errors"
	"testing"

	"github.com/rancher/wrangler/v3/pkg/generic"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

func newIndexer(objects ...any) cache.Indexer {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, object := range objects {
		if err := indexer.Add(object); err != nil {
			panic(err) // the test's own object
		}
	}
	return indexer
}

// newTestObserver reads indexers in place of informers, through the same wrapper as
// the reader if it is one.
func newTestObserver(reads bool, clusters, addresses cache.Indexer) *observer {
	if reads {
		clusters, addresses = readerIndexer{clusters}, readerIndexer{addresses}
	}
	return &observer{
		clusters:  generic.NewCache[*clusterv1.Cluster](clusters, schema.GroupResource{Resource: "clusters"}),
		classes:   generic.NewCache[*clusterv1.ClusterClass](newIndexer(), schema.GroupResource{Resource: "clusterclasses"}),
		claims:    generic.NewCache[*ipamv1.IPAddressClaim](newIndexer(), schema.GroupResource{Resource: "ipaddressclaims"}),
		addresses: generic.NewCache[*ipamv1.IPAddress](addresses, schema.GroupResource{Resource: "ipaddresses"}),
		pools:     kube.NewPools(nil, nil, nil), leases: kube.NewLeases(nil, nil, "ours"),
		allocator: allocator.New(), expectations: newExpectations(), views: newClassViews(),
	}
}

// A standby that becomes leader indexes the caches a second time.
func TestTheReaderLeavesRoomForTheLeadersIndexes(t *testing.T) {
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "one", UID: "u-1"}}
	cluster.Spec.ControlPlaneEndpoint.Host = "10.0.0.1"
	clusters, addresses := newIndexer(cluster), newIndexer()
	for _, reads := range []bool{true, false} {
		o := newTestObserver(reads, clusters, addresses)
		o.addIndexers()
		found, err := o.clusters.GetByIndex(byAddress, clusterAddresses(cluster)[0])
		if err != nil || len(found) != 1 {
			t.Errorf("reads %v: found %v, %v", reads, found, err)
		}
	}
}

func TestTheReaderIsBehindUntilItSeesTheVeryCluster(t *testing.T) {
	known := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "one", UID: "u-1"}}
	r := &Reader{observer: newTestObserver(true, newIndexer(known), newIndexer())}
	r.observer.addIndexers()
	for _, test := range []struct {
		name, uid string
		behind    bool
	}{{"one", "u-1", false}, {"one", "u-2", true}, {"two", "u-1", true}} {
		asked := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: test.name, UID: types.UID(test.uid)}}
		snapshot, err := r.Observe(asked)
		if errors.Is(err, ErrBehind) != test.behind || (err == nil) != (snapshot != nil) {
			t.Errorf("%s %s: %v, %v", test.name, test.uid, snapshot, err)
		}
	}
}
