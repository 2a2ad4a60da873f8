package snapshot

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// What the controllers learn by events the list reader must take from the lists: a
// pool whose last address is spoken for, and who else uses an address.
func TestTheListReaderKnowsWhatTheControllersLearnByEvents(t *testing.T) {
	pools, err := kube.ListedPools(map[kube.PoolKind][]unstructured.Unstructured{
		{GroupVersionResource: schema.GroupVersionResource{Group: global.Group, Version: "v1alpha2", Resource: "globalinclusterippools"}, Kind: global.Kind}: {{Object: map[string]any{
			"apiVersion": global.Group + "/v1alpha2", "kind": global.Kind,
			"metadata": map[string]any{"name": global.Name, "labels": map[string]any{vip.PoolClassKey: "demo", vip.PoolRoleKey: "control-plane"}},
			"status":   map[string]any{"ipAddresses": map[string]any{"total": int64(2), "free": int64(1), "used": int64(1)}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	leases, err := kube.ListedLeases("ours", nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "one", UID: "u-1"}}
	cluster.Spec.Topology.ClassRef.Name = "demo"
	cluster.Spec.ControlPlaneEndpoint.Host = "10.0.0.1"
	other := cluster.DeepCopy()
	other.Name, other.UID = "two", "u-2"
	waiting := claimOf("b", "vip-cp-three")

	for name, test := range map[string]struct {
		listed Listed
		free   int64
		used   bool
	}{
		"alone":     {Listed{Clusters: []*clusterv1.Cluster{cluster}}, 1, false},
		"contended": {Listed{Clusters: []*clusterv1.Cluster{cluster, other}, Claims: []*ipamv1.IPAddressClaim{waiting}}, 0, true},
	} {
		test.listed.Pools, test.listed.Leases = pools, leases
		reader, err := NewReader(test.listed)
		if err != nil {
			t.Fatal(err)
		}
		s, err := reader.Observe(cluster)
		if err != nil {
			t.Fatal(err)
		}
		key, _ := vip.Key("10.0.0.1")
		free, _ := reader.Free(global)
		if len(s.Pools) != 1 || free != test.free || (len(s.Holders[key]) == 1) != test.used {
			t.Errorf("%s: %+v, held by %v", name, s.Pools, s.Holders)
		}
	}
}
