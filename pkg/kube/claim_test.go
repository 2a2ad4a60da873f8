package kube_test

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const ipam = "ipam.cluster.x-k8s.io"

var (
	scope   = kube.PoolScope{{Group: ipam, Kind: "GlobalInClusterIPPool"}: false, {Group: ipam, Kind: "InClusterIPPool"}: true}
	c1      = vip.Cluster{Namespace: "team-a", Name: "c1", UID: "uid-1"}
	ourPool = vip.PoolRef{Group: ipam, Kind: "InClusterIPPool", Namespace: "team-a", Name: "p"}
)

// current is a claim exactly as we write it today.
func current() *ipamv1.IPAddressClaim {
	claim := kube.DesiredClaim(nil, &c1, vip.Ingress, ourPool)
	claim.UID, claim.ResourceVersion = "claim-uid", "9"
	return claim
}

func view(claim *ipamv1.IPAddressClaim) *vip.Claim {
	return kube.Claim(claim, nil, &c1, vip.Ingress, scope)
}

func TestTheClaimThatIsMade(t *testing.T) {
	want := &ipamv1.IPAddressClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "team-a", Name: "vip-ingress-c1",
			Labels: map[string]string{"cluster.x-k8s.io/cluster-name": "c1", "vip.capi.gorizond.io/role": "ingress"},
			// blockOwnerDeletion would have the claim deleted before the Cluster.
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Cluster", Name: "c1", UID: "uid-1"}},
			// The in-cluster provider binds no claim without it.
			Finalizers: []string{"ipam.cluster.x-k8s.io/ReleaseAddress"},
		},
		Spec: ipamv1.IPAddressClaimSpec{PoolRef: ipamv1.IPPoolReference{APIGroup: ipam, Kind: "InClusterIPPool", Name: "p"}},
	}
	if got := kube.DesiredClaim(nil, &c1, vip.Ingress, ourPool); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Nobody else would take it away again.
func TestOnlyClaimsOfTheInClusterProviderAreMadeWithItsFinalizer(t *testing.T) {
	for _, pool := range []vip.PoolRef{
		{Group: "ipam.metal3.io", Kind: "IPPool", Namespace: "team-a", Name: "p"},
		{Group: ipam, Kind: "InfobloxIPPool", Namespace: "team-a", Name: "p"},
	} {
		if claim := kube.DesiredClaim(nil, &c1, vip.Ingress, pool); len(claim.Finalizers) != 0 {
			t.Errorf("a claim on %s.%s has the finalizers %v", pool.Kind, pool.Group, claim.Finalizers)
		}
	}
}

// After an upgrade of Cluster API the owner is named at the newer version.
func TestTheOwnerIsNamedAtTheVersionThatIsServed(t *testing.T) {
	older := c1
	older.APIVersion = "cluster.x-k8s.io/v1beta1"
	claim := kube.DesiredClaim(nil, &older, vip.Ingress, ourPool)
	if claim.OwnerReferences[0].APIVersion != older.APIVersion {
		t.Errorf("owners %+v", claim.OwnerReferences)
	}
	if kube.Claim(claim, nil, &older, vip.Ingress, scope).Outdated || !view(claim).Outdated {
		t.Error("only the newer version makes the claim outdated")
	}
}

func TestTheWatchFilterOfTheClusterIsCarriedToItsClaims(t *testing.T) {
	filtered := c1
	filtered.Labels = map[string]string{"cluster.x-k8s.io/watch-filter": "mine", "example.com/x": "y"}
	claim := kube.DesiredClaim(nil, &filtered, vip.ControlPlane, ourPool)
	if claim.Labels["cluster.x-k8s.io/watch-filter"] != "mine" || len(claim.Labels) != 3 {
		t.Errorf("labels %v", claim.Labels)
	}
	if !kube.Claim(current(), nil, &filtered, vip.Ingress, scope).Outdated {
		t.Error("a claim without the watch filter is up to date")
	}
}

func TestAClaimIsOutdated(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*ipamv1.IPAddressClaim)
		want bool
	}{
		{"never as we write it", func(*ipamv1.IPAddressClaim) {}, false},
		{"not by labels and owners of others", func(c *ipamv1.IPAddressClaim) {
			c.Labels["example.com/x"] = "y"
			c.OwnerReferences = append(c.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "y"})
		}, false},
		{"not by the controller flag of v0.7.1", func(c *ipamv1.IPAddressClaim) { c.OwnerReferences[0].Controller = new(true) }, false},
		{"without the cluster-name label", func(c *ipamv1.IPAddressClaim) { delete(c.Labels, vip.ClusterNameLabel) }, true},
		{"without the role label", func(c *ipamv1.IPAddressClaim) { delete(c.Labels, vip.PoolRoleKey) }, true},
		{"with the name of another Cluster", func(c *ipamv1.IPAddressClaim) { c.Labels[vip.ClusterNameLabel] = "c2" }, true},
		{"with blockOwnerDeletion", func(c *ipamv1.IPAddressClaim) { c.OwnerReferences[0].BlockOwnerDeletion = new(true) }, true},
		{"with an owner reference of an older version", func(c *ipamv1.IPAddressClaim) { c.OwnerReferences[0].APIVersion = "cluster.x-k8s.io/v1beta1" }, true},
		{"with a stale owner UID", func(c *ipamv1.IPAddressClaim) { c.OwnerReferences[0].UID = "uid-0" }, true},
		{"without owner", func(c *ipamv1.IPAddressClaim) { c.OwnerReferences = nil }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			claim := current()
			test.edit(claim)
			if got := view(claim).Outdated; got != test.want {
				t.Errorf("outdated %v, want %v", got, test.want)
			}
		})
	}
}

// v0.7.1 wrote no cluster-name label, and let the claim block the Cluster's deletion.
func TestAClaimOfV071IsBroughtUpToDate(t *testing.T) {
	old := &ipamv1.IPAddressClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "team-a", Name: "vip-ingress-c1", UID: "claim-uid", Labels: map[string]string{vip.PoolRoleKey: "ingress"},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "v1", Kind: "ConfigMap", Name: "stranger", UID: "x"},
				{APIVersion: "cluster.x-k8s.io/v1beta1", Kind: "Cluster", Name: "c1", UID: "uid-1", Controller: new(true), BlockOwnerDeletion: new(true)},
			},
		},
		Spec: ipamv1.IPAddressClaimSpec{PoolRef: ipamv1.IPPoolReference{APIGroup: ipam, Kind: "InClusterIPPool", Name: "old"}},
	}
	before := old.DeepCopy()
	got := view(old)
	if !got.Outdated || got.Role != vip.Ingress || !reflect.DeepEqual(got.OwnerClusters, []string{"uid-1"}) || !reflect.DeepEqual(got.OwnerUIDs, []string{"x", "uid-1"}) {
		t.Errorf("view %+v", got)
	}
	desired := kube.DesiredClaim(old, &c1, vip.Ingress, ourPool)
	if desired.Spec.PoolRef.Name != "old" {
		t.Errorf("the spec of a claim is immutable, and yet its pool becomes %s", desired.Spec.PoolRef.Name)
	}
	wantOwners := []metav1.OwnerReference{before.OwnerReferences[0], {APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Cluster", Name: "c1", UID: "uid-1"}}
	if !reflect.DeepEqual(desired.OwnerReferences, wantOwners) || desired.Labels[vip.ClusterNameLabel] != "c1" {
		t.Errorf("desired %+v", desired.ObjectMeta)
	}
	if !reflect.DeepEqual(old, before) {
		t.Error("the claim of the cache was changed")
	}
	desired.UID = old.UID
	if view(desired).Outdated {
		t.Error("what is desired would be outdated again")
	}
}

func TestTheOwnersOfAClaim(t *testing.T) {
	claim := current()
	claim.OwnerReferences = []metav1.OwnerReference{
		{APIVersion: "cluster.x-k8s.io/v1alpha4", Kind: "Cluster", Name: "c1", UID: "old-version"},
		{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Cluster", Name: "c2", UID: "other-name"},
		{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Machine", Name: "c1", UID: "other-kind"},
		{APIVersion: "provisioning.cattle.io/v1", Kind: "Cluster", Name: "c1", UID: "other-group"},
	}
	got := view(claim)
	if !reflect.DeepEqual(got.OwnerClusters, []string{"old-version"}) || len(got.OwnerUIDs) != 4 {
		t.Errorf("%v of %v", got.OwnerClusters, got.OwnerUIDs)
	}
}

func TestTheStateOfAClaim(t *testing.T) {
	claim := current()
	got := view(claim)
	if got.Bound || got.Deleting || got.Address != nil || got.Pool != ourPool || got.UID != "claim-uid" || got.ResourceVersion != "9" || got.Name != "vip-ingress-c1" {
		t.Errorf("new: %+v", got)
	}
	claim.Status.AddressRef.Name = "vip-ingress-c1"
	claim.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	if got = view(claim); !got.Bound || !got.Deleting || got.Address != nil {
		t.Errorf("bound and being deleted: %+v", got)
	}
	address := &ipamv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "a", UID: types.UID("x"), DeletionTimestamp: claim.DeletionTimestamp},
		Spec: ipamv1.IPAddressSpec{
			Address: "10.0.0.1", ClaimRef: ipamv1.IPAddressClaimReference{Name: "vip-ingress-c1"},
			PoolRef: ipamv1.IPPoolReference{APIGroup: ipam, Kind: "GlobalInClusterIPPool", Name: "g"},
		},
	}
	want := &vip.Address{Name: "a", Text: "10.0.0.1", Claim: "vip-ingress-c1", Pool: vip.PoolRef{Group: ipam, Kind: "GlobalInClusterIPPool", Name: "g"}, Deleting: true}
	if got := kube.Claim(claim, address, &c1, vip.Ingress, scope); !reflect.DeepEqual(got.Address, want) {
		t.Errorf("address %+v, want %+v", got.Address, want)
	}
}

func TestAPoolOfAKindThatIsNotInstalledHasNoNamespace(t *testing.T) {
	claim := current()
	claim.Spec.PoolRef = ipamv1.IPPoolReference{APIGroup: "ipam.metal3.io", Kind: "IPPool", Name: "p"}
	if got := view(claim).Pool; got != (vip.PoolRef{Group: "ipam.metal3.io", Kind: "IPPool", Name: "p"}) {
		t.Errorf("%+v", got)
	}
	installed := kube.PoolScope{schema.GroupKind{Group: "ipam.metal3.io", Kind: "IPPool"}: true}
	if got := kube.Claim(claim, nil, &c1, vip.Ingress, installed).Pool; got.Namespace != "team-a" {
		t.Errorf("%+v", got)
	}
}

func TestTheRefusalOfAProvider(t *testing.T) {
	ready := func(status metav1.ConditionStatus) []metav1.Condition {
		return []metav1.Condition{{Type: "Other", Status: "False"}, {Type: "Ready", Status: status, Reason: "PoolExhausted", Message: "full"}}
	}
	for _, test := range []struct {
		name string
		edit func(*ipamv1.IPAddressClaim)
		want vip.Refusal
	}{
		{"is none without conditions", func(*ipamv1.IPAddressClaim) {}, vip.Refusal{}},
		{"is the reason why it is not ready", func(c *ipamv1.IPAddressClaim) { c.Status.Conditions = ready("False") }, vip.Refusal{Reason: "PoolExhausted", Message: "full"}},
		{"is none of a claim that is ready", func(c *ipamv1.IPAddressClaim) { c.Status.Conditions = ready("True") }, vip.Refusal{}},
		{"is none as long as it is unknown", func(c *ipamv1.IPAddressClaim) { c.Status.Conditions = ready("Unknown") }, vip.Refusal{}},
		{"may come in the form of v1beta1", func(c *ipamv1.IPAddressClaim) {
			c.Status.Deprecated = refusedV1Beta1(t).Status.Deprecated
		}, vip.Refusal{Reason: "PoolNotReady", Message: "no"}},
		{"in the new form outweighs the old", func(c *ipamv1.IPAddressClaim) {
			c.Status.Conditions = ready("True")
			c.Status.Deprecated = refusedV1Beta1(t).Status.Deprecated
		}, vip.Refusal{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			claim := current()
			test.edit(claim)
			if got := view(claim).Refusal; got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func refusedV1Beta1(t *testing.T) *ipamv1.IPAddressClaim {
	t.Helper()
	return parse[ipamv1.IPAddressClaim](t, `
status:
  deprecated:
    v1beta1:
      conditions: [{type: Ready, status: "False", reason: PoolNotReady, message: "no", lastTransitionTime: "2026-01-01T00:00:00Z"}]
`)
}
