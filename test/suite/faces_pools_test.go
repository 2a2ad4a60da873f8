package suite

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// poolFaces are the reasons that lie in the pools.
func poolFaces() []face {
	const after = "Allocated"
	return []face{
		{reason: "NoPool", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			return s.cluster(k), func() { s.pool(serving(controlPlane, k)) }
		}},
		{reason: "PoolFiltered", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			s.pool(serving(controlPlane, k))
			c := s.cluster(k, annotated(controlPlane.poolFilter(), "another"))
			return c, func() { c.change(without(controlPlane.poolFilter())) }
		}},
		{reason: "PoolInvalid", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k), annotated(poolPriority, "high"))
			return s.cluster(k), func() { p.change(without(poolPriority)) }
		}},
		{reason: "PoolNotAllowed", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k), namespacedOnly("elsewhere"))
			return s.cluster(k), func() { p.change(without(poolNamespaces)) }
		}},
		{reason: "PoolDeleting", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k), poolFunc(func(o *poolObject) { o.Finalizers = []string{"example.com/kept"} }))
			p.remove()
			return s.cluster(k), func() {
				s.pool(serving(controlPlane, k))
				p.change(poolFunc(func(o *poolObject) { o.Finalizers = nil }))
			}
		}},
		{reason: "PoolPaused", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.draftPool(serving(controlPlane, k), annotated(pausedAnnotation, ""))
			p.createUncounted()
			return s.cluster(k), func() { p.change(without(pausedAnnotation)) }
		}},
		{reason: "PoolExhausted", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k), size(1))
			p.take("taken")
			return s.cluster(k), func() { p.giveBack("taken") }
		}},
		// The class has no variable, so that the role ends with the pool's keys.
		{reason: "PoolExhausted", role: ingress, provoke: func(s *stage) (*cluster, func()) {
			k := s.class()
			p := s.pool(serving(ingress, k), size(1))
			p.take("taken")
			return s.cluster(k), func() { p.change(without(poolClass), without(poolRole)) }
		}},
		{reason: "PoolNotReady", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			s.vipPool(controlPlane, k)
			c := s.odd(k)
			c.claimed(controlPlane)
			c.refuse(controlPlane, "PoolNotReady")
			return c, func() { c.bind(controlPlane, newIP()) }
		}},
		{reason: "PoolNotAccepted", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			stranger := s.pool()
			c := s.cluster(k, labelled(watchFilterLabel, "not-yet"))
			c.ownClaim(controlPlane, stranger)
			stranger.uses(1)
			c.change(labelled(watchFilterLabel, s.filter))
			return c, func() { stranger.change(serving(controlPlane, k)) }
		}},
		{reason: "AddressInvalid", after: after, failure: "ip_resolution_failed", provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			s.pool(serving(controlPlane, k), ranges("169.254.77.10-169.254.77.20"))
			c := s.cluster(k)
			return c, func() {
				s.pool(serving(controlPlane, k), annotated(poolPriority, "1"))
				s.remove(observe.Claims, s.namespace, controlPlane.claim(c.name), metav1.DeleteOptions{})
			}
		}},
		{reason: "AddressInUse", after: after, failure: "duplicate_refused", provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k), size(1))
			holder := s.cluster(k, labelled(watchFilterLabel, "nobody"), at(p.address(0), 6443))
			return s.cluster(k), holder.remove
		}},
	}
}
