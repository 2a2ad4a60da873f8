package vip

import "fmt"

// planDisabled decides a role that an annotation switches off.
func (v *roleView) planDisabled() *Outcome {
	v.out.set(Disabled, "annotation %s is \"false\"", v.role.EnabledAnnotation())
	if v.live {
		v.out.Pool, v.out.Ensure = v.claim.Pool, v.claim.Outdated
	}
	if v.role == ControlPlane {
		return v.planDisabledControlPlane()
	}
	return v.planDisabledIngress()
}

// planDisabledControlPlane gives up a claim that protects nothing. An endpoint
// cannot be withdrawn, so a claim that backs it stays.
func (v *roleView) planDisabledControlPlane() *Outcome {
	v.out.Address = v.current()
	if !v.live {
		return v.out
	}
	host := v.Cluster.Endpoint.Host
	unpublished := v.unbound() && v.stamp == "" && v.written == ""
	unused := v.claim.Address != nil && host != "" && !v.inUse(v.claim)
	if unpublished || unused {
		// Nothing published from the claim is left, or it would be missed later on.
		v.patch.removeAnnotation(v.role.WrittenAnnotation())
		v.release()
		return v.out
	}
	v.out.Message += "; claim " + v.claim.Name + " is kept, since it may back the endpoint"
	return v.out
}

// planDisabledIngress withdraws the VIP from the Cluster and then gives it back.
func (v *roleView) planDisabledIngress() *Outcome {
	address := v.stamp
	if v.live && v.claim.Address != nil {
		address = v.claim.Address.Text
	}
	if !v.live && (v.written == "" || v.written == WrittenNone) {
		// What stands there is not ours to remove.
		return v.out
	}
	ours := address != "" && sameHost(v.value, address)
	switch {
	case !ours:
	case v.variable.Pending:
		v.out.Address = address
		return v.out
	case v.variable.Unclear != "":
		v.out.Address = address
		patch := "the class"
		if v.variable.NeededBy != "" {
			patch = fmt.Sprintf("patch %q", v.variable.NeededBy)
		}
		return v.out.set(VariableInUse, "annotation %s is \"false\", but it cannot be told whether %s of ClusterClass %s needs variable %s (%s); it and the claim stay",
			v.role.EnabledAnnotation(), patch, v.Cluster.Class, v.variable.Path, v.variable.Unclear)
	case v.variable.NeededBy != "":
		v.out.Address = address
		return v.out.set(VariableInUse, "annotation %s is \"false\", but patch %q of ClusterClass %s needs variable %s; it and the claim stay",
			v.role.EnabledAnnotation(), v.variable.NeededBy, v.Cluster.Class, v.variable.Path)
	}
	v.withdraw(address)
	if v.live && (v.claim.Address != nil || v.unbound()) {
		v.release()
	}
	return v.out
}

func (v *roleView) withdraw(address string) {
	if address != "" && sameHost(v.stamp, address) {
		v.patch.removeAnnotation(v.role.Stamp())
		v.patch.removeLabel(v.role.Stamp())
		v.patch.removeLabel(v.role.StampedLabel())
	}
	if v.Cluster.HasInfrastructure {
		// The guards of classes let a running Cluster alone that has it.
		v.patch.setAnnotation(v.role.WrittenAnnotation(), WrittenNone)
	} else {
		v.patch.removeAnnotation(v.role.WrittenAnnotation())
	}
	if !v.shared { // or what stands there is the control plane's
		v.patch.removeVariable(v.variable.Path, address)
	}
	if v.written != WrittenNone && v.written != v.variable.Path {
		v.patch.removeVariable(v.written, address)
	}
}

// markDisabled says, with a patch that is due, of a running Cluster whose ingress an earlier
// release switched off that no VIP is awaited: its class must not stop it once it is enabled.
func markDisabled(s *Snapshot, patch *patch) {
	v := view(s, Ingress, newPatch(&s.Cluster))
	if !patch.empty() && s.Cluster.disabled(Ingress) && s.Cluster.HasInfrastructure && v.claim == nil && v.written == "" && v.value == "" && v.stamp == "" {
		patch.setAnnotation(Ingress.WrittenAnnotation(), WrittenNone)
	}
}

func (v *roleView) release() { v.out.Release, v.out.Ensure = v.claim, false }
