package controllers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
)

// observerOf reads the Clusters as if they stood in its caches.
func observerOf(clusters ...*clusterv1.Cluster) *snapshot.Observer {
	reader, err := snapshot.NewReader(snapshot.Listed{
		Clusters: clusters, Pools: kube.NewPools(nil, nil, nil), Leases: kube.NewLeases(nil, nil, "ours"),
	})
	if err != nil {
		panic(err) // the test's own objects
	}
	return reader.Observer
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}
