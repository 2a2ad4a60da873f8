package vip

import "slices"

// leftover tells whether what stands on a new Cluster as if we had written it for the role
// was copied with the manifest of another one: stamp, -written, and the variable that it names.
func (s *Snapshot) leftover(role Role) bool {
	c := &s.Cluster
	stamp := c.Annotations[role.Stamp()]
	if c.HasInfrastructure || c.Endpoint.Host != "" || (stamp == "" && c.Annotations[role.WrittenAnnotation()] == "") {
		return false
	}
	if _, known := c.Annotations[WrittenForAnnotation]; known {
		return s.writtenForAnother()
	}
	_, allocated := s.allocatedTo(stamp)
	return allocated
}

func (s *Snapshot) writtenForAnother() bool {
	name := s.Cluster.Annotations[WrittenForAnnotation]
	return name != "" && name != s.Cluster.Namespace+"/"+s.Cluster.Name
}

// allocatedTo finds the other Cluster whose claim the address comes from.
func (s *Snapshot) allocatedTo(address string) (holder Holder, allocated bool) {
	key, ok := Key(address)
	if !ok {
		return Holder{}, false
	}
	for _, holder := range s.Holders[key] {
		if holder.Allocated {
			return holder, true
		}
	}
	return Holder{}, false
}

// copies tells whether the value, which the Cluster names for the role, is the VIP of the
// Cluster whose manifest was copied. An endpoint alone may be somebody's choice, and one that
// a running Cluster was given later is.
func (v *roleView) copies(value string) bool {
	if _, allocated := v.allocatedTo(value); !allocated {
		return false
	}
	if v.role == ControlPlane && v.Cluster.Endpoint.Host != "" {
		return v.writtenForAnother() && !v.Cluster.HasInfrastructure
	}
	return sameHost(v.value, value) && (!v.Cluster.HasInfrastructure || v.written != "")
}

// planCopied decides a role whose only VIP is that of another Cluster.
func (v *roleView) planCopied(value string) *Outcome {
	holder, _ := v.allocatedTo(value)
	where := "variable " + v.variable.Path
	if v.role == ControlPlane && v.Cluster.Endpoint.Host != "" {
		where = "spec.controlPlaneEndpoint"
	}
	return v.out.set(CopiedVIP, "%s is %s, the VIP of Cluster %s/%s, from whose manifest this one was copied",
		where, value, holder.Namespace, holder.Name)
}

// dropLeftovers takes away, with a patch that is due, what was copied and is not overwritten.
func dropLeftovers(s *Snapshot, patch *patch, roles []Role) {
	for _, role := range roles {
		if patch.empty() || !s.leftover(role) || patch.annotations[role.Stamp()] != nil {
			continue
		}
		written := s.Cluster.Annotations[role.WrittenAnnotation()]
		patch.removeAnnotation(role.Stamp())
		patch.removeAnnotation(role.WrittenAnnotation())
		patch.removeLabel(role.Stamp())
		patch.removeLabel(role.StampedLabel())
		if written != "" && written != WrittenNone && !slices.ContainsFunc(roles, func(other Role) bool { return other != role && s.Class.path(other) == written }) {
			patch.removeVariable(written, variableAt(s.Cluster.Variables, written))
		}
	}
}

// signPatch notes with a patch that is due for which Cluster our annotations are. As long as
// a role that is not planned has leftovers they are not this Cluster's.
func signPatch(s *Snapshot, patch *patch, roles []Role) {
	ours := false
	for _, role := range Roles() {
		if !slices.Contains(roles, role) && s.leftover(role) {
			return
		}
		for _, key := range []string{role.Stamp(), role.WrittenAnnotation()} {
			change, changed := patch.annotations[key]
			ours = ours || (changed && change != nil) || (!changed && s.Cluster.Annotations[key] != "")
		}
	}
	if ours && !patch.empty() {
		patch.setAnnotation(WrittenForAnnotation, s.Cluster.Namespace+"/"+s.Cluster.Name)
	}
}
