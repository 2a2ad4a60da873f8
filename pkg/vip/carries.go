package vip

// Carries tells whether the Cluster itself holds the role's VIP where its class
// reads it: in the class's variable if there is one and, for the control plane, as
// endpoint. Whoever builds infrastructure from this very Cluster knows the VIP.
func (s *Snapshot) Carries(role Role) bool {
	v := view(s, role, nil)
	if value := v.current(); value != "" && v.copies(value) {
		return false
	}
	chosen := v.stamp
	if role == ControlPlane {
		if chosen = s.Cluster.Endpoint.Host; chosen == "" {
			return false
		}
	}
	if !v.variable.Declared {
		return chosen != ""
	}
	if v.value != "" {
		return true
	}
	// The class's own default is nobody's choice, unless it happens to be the VIP.
	value := variableAt(s.Cluster.Variables, v.variable.Path)
	return value != "" && (v.restores() || sameHost(value, chosen))
}
