package suite

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// ownClaim is a claim as the allocator makes it, with what the options change.
func (c *cluster) ownClaim(r role, p *pool, options ...func(*ipamv1.IPAddressClaim)) *ipamv1.IPAddressClaim {
	c.w.t.Helper()
	claim := &ipamv1.IPAddressClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: ipamv1.GroupVersion.String(), Kind: "IPAddressClaim"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.namespace, Name: r.claim(c.name),
			Labels:          map[string]string{clusterNameLabel: c.name, poolRole: string(r), watchFilterLabel: c.w.filter},
			OwnerReferences: []metav1.OwnerReference{c.owner()},
		},
		Spec: ipamv1.IPAddressClaimSpec{PoolRef: p.ref()},
	}
	for _, option := range options {
		option(claim)
	}
	return create(c.w, observe.Claims, claim)
}

func (c *cluster) owner() metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster", Name: c.name, UID: c.uid}
}

// pendingOn makes a Cluster whose claim waits on a pool that lost its last address
// to somebody else after the claim was made: the IPAM provider skips the claims of
// a paused Cluster meanwhile. The Cluster is not paused any more at the end.
func (w *world) pendingOn(k *class, r role, p *pool) *cluster {
	w.t.Helper()
	c := w.cluster(k, paused(true))
	c.ownClaim(r, p)
	for p.now().Status.IPAddresses.Free > 0 {
		p.take(w.unique("taken"))
	}
	c.change(paused(false))
	return c
}

// labelledClaim gives a claim another label.
func labelledClaim(key, value string) func(*ipamv1.IPAddressClaim) {
	return func(claim *ipamv1.IPAddressClaim) { labelled(key, value)(claim) }
}
