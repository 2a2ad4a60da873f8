package snapshot

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics/metricstest"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ownedClaim is a claim that a Cluster of that name owns.
func ownedClaim(namespace, name, cluster, address string) *ipamv1.IPAddressClaim {
	claim := &ipamv1.IPAddressClaim{ObjectMeta: named(namespace, name)}
	claim.OwnerReferences = []metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta1", Kind: "Cluster", Name: cluster, UID: "u"}}
	claim.Status.AddressRef.Name = address
	return claim
}

func TestClaims(t *testing.T) {
	mismarked := ownedClaim("a", "vip-cp-c4", "c4", "x")
	mismarked.Labels = map[string]string{vip.PoolRoleKey: "ingress"}
	foreign := ownedClaim("a", "vip-cp-c5", "c5", "x")
	foreign.OwnerReferences[0].APIVersion = "provisioning.cattle.io/v1"
	dying := ownedClaim("b", "vip-ingress-c1", "c1", "x")
	dying.DeletionTimestamp = past
	o := observerOf(
		ownedClaim("a", "vip-cp-c1", "c1", "x"), ownedClaim("a", "vip-cp-c2", "c2", "x"), ownedClaim("a", "vip-cp-c3", "c3", ""),
		ownedClaim("a", "vip-ingress-c1", "c1", ""), dying,
		// Not ours:
		mismarked, foreign, ownedClaim("a", "vip-cp-c6", "another", "x"), ownedClaim("a", "machine", "c1", "x"), claimOf("a", "vip-cp-nobody"),
	)
	metricstest.Compare(t, metricstest.Scrape(t, o.showClaims, metrics.ClaimsTotal, metrics.ClaimsReady, metrics.ClaimsPending), map[string]float64{
		"claims_total{a,control-plane}": 3, "claims_ready{a,control-plane}": 2, "claims_pending{a,control-plane}": 1,
		"claims_total{a,ingress}": 1, "claims_ready{a,ingress}": 0, "claims_pending{a,ingress}": 1,
		"claims_total{b,ingress}": 1, "claims_ready{b,ingress}": 1, "claims_pending{b,ingress}": 0,
	})
}
