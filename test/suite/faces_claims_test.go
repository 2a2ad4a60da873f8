package suite

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// claimFaces are the reasons that lie in the claims.
func claimFaces() []face {
	const after = "Allocated"
	return []face{
		{reason: "CopiedVIP", after: after, provoke: func(s *stage) (*cluster, func()) {
			k, another := s.class(declares("clusterVip", text)), s.class(declares("clusterVip", text))
			p := s.pool(serving(controlPlane, k, another))
			s.cluster(another).becomes(has(controlPlane, p.address(0)))
			c := s.cluster(k, set("clusterVip", p.address(0)))
			return c, func() { c.change(unset("clusterVip")) }
		}},
		// Nobody serves pools of this kind but the test, so that the claim waits for the
		// 15 seconds after which that is told.
		{reason: "ClaimPending", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			s.vipPool(controlPlane, k)
			c := s.odd(k)
			c.claimed(controlPlane)
			return c, func() { c.bind(controlPlane, newIP()) }
		}},
		// The API server answers no deletion of the claim, so that it cannot move on.
		{reason: "ClaimMoved", after: after, failure: "claim_release_failed", provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			first := s.pool(serving(controlPlane, k), size(1))
			c := s.cluster(k, paused(true))
			// The provider never looks at the claims of a Cluster that does not exist.
			c.ownClaim(controlPlane, first, labelledClaim(clusterNameLabel, "nobody"))
			first.take("stranger")
			s.pool(serving(controlPlane, k))
			stuck := s.proxy.Add(fault.Rule{
				Match: fault.In(s.namespace, fault.Of("delete", "ipaddressclaims")), Refuse: &fault.Refusal{Code: 503, Message: "on purpose"},
			})
			c.change(paused(false))
			return c, func() {
				stuck.Remove()
				// What failed so often is tried again within half a minute, or when the Cluster changes.
				c.change(annotated("example.com/looked-at", "again"))
			}
		}},
		{reason: "ClaimForeign", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k))
			p.take(controlPlane.claim("web"))
			return s.cluster(k, named("web")), func() { p.giveBack(controlPlane.claim("web")) }
		}},
		{reason: "ClaimTerminating", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k))
			c := s.cluster(k, labelled(watchFilterLabel, "nobody"))
			c.ownClaim(controlPlane, p, finalizedClaim)
			c.condemned()
			again := s.cluster(k, named(c.name))
			return again, again.definalize
		}},
		{reason: "ClaimLost", after: after, published: 1, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k))
			c := s.cluster(k)
			c.becomes(has(controlPlane, p.address(0)))
			p.change(annotated(poolClass, "other"))
			s.remove(observe.Claims, s.namespace, controlPlane.claim(c.name), metav1.DeleteOptions{})
			return c, func() { p.change(annotated(poolClass, k.name)) }
		}},
	}
}

// finalizedClaim gives a claim a finalizer, which nobody removes but definalize. It is
// born with it: the provider, as it adds its own, writes the whole list that it has read.
func finalizedClaim(claim *ipamv1.IPAddressClaim) {
	claim.Finalizers = append(claim.Finalizers, keptFinalizer)
}

func (c *cluster) definalize() {
	c.w.t.Helper()
	change(c.w, observe.Claims, c.namespace, controlPlane.claim(c.name), func(claim *ipamv1.IPAddressClaim) {
		claim.Finalizers = slices.DeleteFunc(claim.Finalizers, func(name string) bool { return name == keptFinalizer })
	})
}

const keptFinalizer = "example.com/kept"
