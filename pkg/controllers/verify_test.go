package controllers

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const pinnedVIP = "10.0.0.1"

// pinned are two Clusters with a bound claim each, of which the first was pinned.
func pinned(t *testing.T) (*snapshot.Reader, *clusterv1.Cluster, *ipamv1.IPAddress) {
	t.Helper()
	kind := kube.PoolKind{GroupVersionResource: schema.GroupVersionResource{Group: "ipam.cluster.x-k8s.io", Version: "v1alpha2", Resource: "globalinclusterippools"}, Kind: "GlobalInClusterIPPool"}
	pools, err := kube.ListedPools(map[kube.PoolKind][]unstructured.Unstructured{kind: {{Object: map[string]any{
		"apiVersion": "ipam.cluster.x-k8s.io/v1alpha2", "kind": kind.Kind,
		"metadata": map[string]any{"name": "p", "annotations": map[string]any{vip.PoolClassKey: "demo", vip.PoolRoleKey: "control-plane,ingress"}},
		"spec":     map[string]any{"addresses": []any{"10.0.0.1-10.0.0.9"}, "prefix": int64(24)},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	leases, err := kube.ListedLeases("ours", nil)
	if err != nil {
		t.Fatal(err)
	}
	class := &clusterv1.ClusterClass{ObjectMeta: named("a", "demo")}
	class.Status.Conditions = []metav1.Condition{{Type: clusterv1.ClusterClassVariablesReadyCondition, Status: metav1.ConditionTrue}}
	class.Status.Variables = []clusterv1.ClusterClassStatusVariable{{Name: vip.ControlPlane.DefaultVariable(), Definitions: []clusterv1.ClusterClassStatusVariableDefinition{{
		From: "inline", Schema: clusterv1.VariableSchema{OpenAPIV3Schema: clusterv1.JSONSchemaProps{Type: "string"}},
	}}}}
	listed := snapshot.Listed{Pools: pools, Leases: leases, Classes: []*clusterv1.ClusterClass{class}}
	for _, name := range []string{"first", "second"} {
		cluster := clusterOf("a", name, "u-"+name)
		cluster.Spec.Topology = clusterv1.Topology{ClassRef: clusterv1.ClusterClassRef{Name: "demo"}, Version: "v1.36.3"}
		ref := ipamv1.IPPoolReference{APIGroup: kind.Group, Kind: kind.Kind, Name: "p"}
		owner := metav1.OwnerReference{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster", Name: name, UID: types.UID("u-" + name)}
		claim := &ipamv1.IPAddressClaim{ObjectMeta: named("a", vip.ControlPlane.ClaimName(name))}
		claim.OwnerReferences, claim.Spec.PoolRef = []metav1.OwnerReference{owner}, ref
		address := &ipamv1.IPAddress{ObjectMeta: claim.ObjectMeta, Spec: ipamv1.IPAddressSpec{Address: "10.0.0.2", PoolRef: ref}}
		if name == "first" {
			address.Spec.Address = pinnedVIP
		} else {
			address.OwnerReferences = nil // as its provider makes it
		}
		address.Spec.ClaimRef.Name, claim.Status.AddressRef.Name = claim.Name, address.Name
		listed.Clusters, listed.Claims, listed.Addresses = append(listed.Clusters, cluster), append(listed.Claims, claim), append(listed.Addresses, address)
	}
	reader, err := snapshot.NewReader(listed)
	if err != nil {
		t.Fatal(err)
	}
	return reader, listed.Clusters[0], listed.Addresses[0]
}

// What the caches do not show yet decides, before an address is published to which a claim
// was pinned: a list that was made just now.
func TestAPinnedAddressIsPublishedIfItIsNobodyElses(t *testing.T) {
	foreign := &ipamv1.IPAddress{ObjectMeta: named("office", "printer"), Spec: ipamv1.IPAddressSpec{Address: pinnedVIP}}
	foreign.Spec.ClaimRef.Name = foreign.Name
	rival := &ipamv1.IPAddress{ObjectMeta: named("a", vip.ControlPlane.ClaimName("second")), Spec: ipamv1.IPAddressSpec{Address: pinnedVIP}}
	rival.Spec.ClaimRef.Name = rival.Name
	namesake := &ipamv1.IPAddress{ObjectMeta: named("b", vip.ControlPlane.ClaimName("first")), Spec: ipamv1.IPAddressSpec{Address: pinnedVIP}}
	namesake.Spec.ClaimRef.Name = namesake.Name
	for name, test := range map[string]struct {
		other  *ipamv1.IPAddress
		reason vip.Reason
		lease  bool
	}{
		"alone":                                      {nil, vip.Allocated, false},
		"beside what is no VIP":                      {foreign, vip.AddressInUse, false},
		"beside another Cluster's VIP claim":         {rival, vip.Allocated, true},
		"beside its namesake's in another namespace": {namesake, vip.AddressInUse, false},
	} {
		for roles, planned := range map[string][]vip.Role{"": nil, ", one role": {vip.ControlPlane}} {
			t.Run(name+roles, func(t *testing.T) {
				reader, cluster, own := pinned(t)
				s, err := reader.Observe(cluster)
				if err != nil {
					t.Fatal(err)
				}
				h, _ := newTestHandler(t)
				h.observer = reader.Observer
				key, _ := vip.Key(pinnedVIP)
				h.fresh = &freshAddresses{list: func(context.Context) (kube.AddressList, error) {
					list := kube.AddressList{key: {own}}
					if test.other != nil {
						list[key] = append(list[key], test.other)
					}
					return list, nil
				}}
				p := &pass{key: "a/first", cluster: cluster, snapshot: s, roles: planned}
				p.plan()
				before := len(p.decision.Roles)
				if outcome := p.decision.Roles[vip.ControlPlane]; !outcome.Verify || outcome.Lease || outcome.Address != pinnedVIP {
					t.Fatalf("it is %+v", outcome)
				}
				if err := h.verify(p); err != nil {
					t.Fatal(err)
				}
				outcome := p.decision.Roles[vip.ControlPlane]
				if outcome.Reason != test.reason || outcome.Lease != test.lease || len(p.decision.Roles) != before {
					t.Errorf("it is %+v among %d roles, want %s", outcome, len(p.decision.Roles), test.reason)
				}
				if patched := p.decision.Patch != nil; patched != (test.reason == vip.Allocated) {
					t.Errorf("the patch is %v", p.decision.Patch)
				}
			})
		}
	}
}
