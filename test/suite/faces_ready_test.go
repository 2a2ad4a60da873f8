package suite

// readyFaces are the reasons with which nothing is missing.
func readyFaces() []face {
	return []face{
		{reason: "Allocated", after: "Disabled", published: 1, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			s.pool(serving(controlPlane, k))
			c := s.cluster(k)
			return c, func() { c.change(annotated(controlPlane.enabled(), "false")) }
		}},
		{reason: "Manual", after: "Allocated", provoke: func(s *stage) (*cluster, func()) {
			k := s.class(declares("clusterVip", text))
			s.pool(serving(controlPlane, k))
			c := s.cluster(k, at(newIP(), 6443))
			return c, func() { c.change(at("", 0), unset("clusterVip"), without(controlPlane.stamp())) }
		}},
		{reason: "Disabled", role: ingress, after: "Allocated", provoke: func(s *stage) (*cluster, func()) {
			k := s.class(declares("ingressVip", text))
			s.pool(serving(ingress, k))
			c := s.cluster(k, annotated(ingress.enabled(), "false"))
			return c, func() { c.change(without(ingress.enabled())) }
		}},
		{reason: "VariableNotBackfilled", after: "Allocated", published: 1, provoke: func(s *stage) (*cluster, func()) {
			k := s.class()
			s.pool(serving(controlPlane, k))
			c := s.cluster(k)
			c.becomes(reason(controlPlane, "Allocated"), written(controlPlane, writtenNone))
			c.build()
			k.change(declares("clusterVip", text))
			return c, func() { c.change(annotated(backfill, "true")) }
		}},
		{reason: "ClaimUnused", after: "Allocated", published: 1, provoke: func(s *stage) (*cluster, func()) {
			k := s.class(declares("clusterVip", text))
			p := s.pool(serving(controlPlane, k))
			c := s.cluster(k)
			c.becomes(has(controlPlane, p.address(0)))
			c.change(at(newIP(), 6443), unset("clusterVip"))
			return c, func() { c.change(at(p.address(0), 6443), set("clusterVip", p.address(0))) }
		}},
		{reason: "DuplicateAddress", after: "Allocated", published: 1, provoke: func(s *stage) (*cluster, func()) {
			k := s.gatedClass(controlPlane)
			p := s.pool(serving(controlPlane, k))
			c := s.cluster(k)
			c.becomes(has(controlPlane, p.address(0)))
			other := s.cluster(k, labelled(watchFilterLabel, "nobody"), at(p.address(0), 6443))
			return c, other.remove
		}},
		{reason: "VariableInUse", role: ingress, after: "Disabled", published: 1, provoke: func(s *stage) (*cluster, func()) {
			k := s.class(declares("ingressVip", text), toInfrastructure("ingressVip", "/spec/template/spec/ingressVIP"))
			p := s.pool(serving(ingress, k))
			c := s.cluster(k)
			c.becomes(has(ingress, p.address(0)))
			c.build()
			c.change(annotated(ingress.enabled(), "false"))
			return c, func() { k.change(unpatched("ingressVip")) }
		}},
	}
}
