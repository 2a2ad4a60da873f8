package suite

import clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

// classFaces are the reasons that lie in the class.
func classFaces() []face {
	const after = "Allocated"
	return []face{
		{reason: "ClassNotFound", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.draftClass(declares("clusterVip", text))
			s.pool(serving(controlPlane, k))
			return s.cluster(k), k.create
		}},
		// Cluster API does not look at a class that is paused, so this lasts for the
		// 15 seconds after which it is told.
		{reason: "ClassNotReady", after: after, provoke: func(s *stage) (*cluster, func()) {
			k := s.draftClass(declares("clusterVip", text), annotated(pausedAnnotation, "true"))
			s.pool(serving(controlPlane, k))
			k.create()
			return s.cluster(k), func() { k.change(without(pausedAnnotation)) }
		}},
		{reason: "VariableRefused", after: after, provoke: func(s *stage) (*cluster, func()) {
			refusing := text
			refusing.Pattern = "^never$"
			k := s.class(declares("clusterVip", refusing))
			s.pool(serving(controlPlane, k))
			return s.cluster(k), func() { k.change(declares("clusterVip", text)) }
		}},
		{reason: "PatchRefused", after: after, failure: "cluster_patch_failed", provoke: func(s *stage) (*cluster, func()) {
			ruled := text
			ruled.XValidations = []clusterv1.ValidationRule{{Rule: "self.startsWith('192.')", Message: "only 192 will do"}}
			k := s.class(declares("clusterVip", ruled))
			s.pool(serving(controlPlane, k))
			return s.cluster(k), func() { k.change(declares("clusterVip", text)) }
		}},
	}
}
