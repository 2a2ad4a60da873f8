package snapshot

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// observerOf reads the objects as if they stood in its caches.
func observerOf(objects ...runtime.Object) *Observer {
	l := Listed{Pools: kube.NewPools(nil, nil, nil), Leases: kube.NewLeases(nil, nil, "ours")}
	for _, object := range objects {
		switch object := object.(type) {
		case *clusterv1.Cluster:
			l.Clusters = append(l.Clusters, object)
		case *clusterv1.ClusterClass:
			l.Classes = append(l.Classes, object)
		case *ipamv1.IPAddressClaim:
			l.Claims = append(l.Claims, object)
		}
	}
	reader, err := NewReader(l)
	if err != nil {
		panic(err) // the test's own objects
	}
	return reader.Observer
}

var past = &metav1.Time{Time: time.Unix(1, 0)}

// poolRef is how claims name a pool that is global here.
var (
	poolRef = ipamv1.IPPoolReference{APIGroup: "g", Kind: "P", Name: "p"}
	global  = vip.PoolRef{Group: "g", Kind: "P", Name: "p"}
)

func claimOf(namespace, name string) *ipamv1.IPAddressClaim {
	return &ipamv1.IPAddressClaim{ObjectMeta: named(namespace, name), Spec: ipamv1.IPAddressClaimSpec{PoolRef: poolRef}}
}

type errNot string

func (e errNot) Error() string { return "not " + string(e) }

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}
