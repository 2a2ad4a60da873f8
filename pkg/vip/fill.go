package vip

import "strings"

// fill plans the writes that bring the value to the places that are empty, and
// the stamps. It tells whether the class's variable had to be left empty.
//
// A value from a claim is restored wherever it was stripped. A value that somebody
// else chose is only copied before there is infrastructure, but for the stamps of a
// Cluster that has a claim: those are ours to keep.
func (v *roleView) fill(value string, fromClaim bool) (variableMissing bool) {
	early := v.beforeInfrastructure()
	if v.role == ControlPlane {
		v.fillEndpoint(value, fromClaim || early)
	}
	written := WrittenNone
	switch {
	case !v.variable.Declared:
	case v.value != "":
		if sameHost(v.value, value) {
			written = v.variable.Path
			if fromClaim && v.backfills() {
				v.fillPort()
			}
		} else {
			v.out.note(ValuesDiffer, "variable %s holds %.80q", v.variable.Path, v.value)
		}
	case v.mayFill(fromClaim) && v.admits(value):
		v.patch.setVariable(v.variable.Path, value)
		v.fillPort()
		v.patch.dependsOnNoInfrastructure(early && !v.restores() && !v.backfills() && !v.patch.writesEndpoint)
		written = v.variable.Path
	default:
		variableMissing = true
	}
	if early || v.keepsStamp() {
		v.fillStamp(value, fromClaim)
	}
	if fromClaim {
		v.recordWritten(written)
	}
	return variableMissing
}

// beforeInfrastructure tells whether nothing was built from the Cluster yet. The
// patch that first writes the endpoint counts while the infrastructure is not
// provisioned; status alone would lie after a move or a restore.
func (v *roleView) beforeInfrastructure() bool {
	if !v.Cluster.HasInfrastructure {
		return true
	}
	first := v.Cluster.Endpoint.Host == "" && v.Cluster.Annotations[ControlPlane.WrittenAnnotation()] == ""
	return first && (v.role == ControlPlane || v.patch.writesEndpoint) && !v.Cluster.InfrastructureProvisioned
}

// keepsStamp tells whether a running Cluster is to have the stamp: it has a claim, it is
// stamped, or was before somebody took the stamp away, or it is back-filled. A typed VIP that
// never was stays so: the stamp has others deploy to the Cluster.
func (v *roleView) keepsStamp() bool {
	before := v.Cluster.Conditions[v.role.ConditionType()]
	return v.live || v.backfills() || v.Cluster.Labels[v.role.StampedLabel()] == "true" || (before.Reason == Manual && strings.Contains(before.Message, manualStamped))
}

// stampIsOurs tells whether the stamp is the typed VIP that the condition speaks of: then it
// follows that. Any other is somebody's choice.
func (v *roleView) stampIsOurs() bool {
	before := v.Cluster.Conditions[v.role.ConditionType()]
	return before.Reason == Manual && strings.HasPrefix(before.Message, v.stamp+manualText) && v.Cluster.Labels[v.role.StampedLabel()] == "true"
}

func (v *roleView) restores() bool  { return v.written == v.variable.Path }
func (v *roleView) backfills() bool { return v.Cluster.annotated(BackfillAnnotation, "true") }

// mayFill tells whether the empty variable may be written.
func (v *roleView) mayFill(fromClaim bool) bool {
	return v.beforeInfrastructure() || v.backfills() || (fromClaim && (v.restores() || v.enabledAgain))
}

func (v *roleView) admits(value string) bool {
	return v.variable.Problem == "" && (v.variable.Admits == nil || v.variable.Admits(value) == nil)
}

// fillStamp publishes the value as annotation, and as label where it is a legal one.
//
// A stamp with another value stays, and the label stays true to it: an ingress
// stamp may be a user's choice, unless we wrote it, and beside -written a stamp records which address
// was published, by which a lost claim is known.
func (v *roleView) fillStamp(value string, fromClaim bool) {
	follows := !v.live && v.written == "" && v.stampIsOurs()
	keeps := (v.role == Ingress && !follows) || (v.written != "" && !fromClaim)
	if keeps && v.stamp != "" && !sameHost(v.stamp, value) {
		v.out.note(ValuesDiffer, "annotation %s holds %.80q", v.role.Stamp(), v.stamp)
		value = v.stamp
	}
	v.patch.setAnnotation(v.role.Stamp(), value)
	if LegalLabelValue(value) {
		v.patch.setLabel(v.role.Stamp(), value)
	} else {
		v.patch.removeLabel(v.role.Stamp())
	}
	v.patch.setLabel(v.role.StampedLabel(), "true")
}

// recordWritten notes which variable the publication wrote.
func (v *roleView) recordWritten(written string) {
	previous := v.written
	declared := v.Class.Declares[variableName(previous)]
	switch {
	case written == WrittenNone && previous != "" && previous != WrittenNone && declared:
		// A value that was stripped or changed stays ours to restore.
		return
	case written != WrittenNone && previous == WrittenNone && !v.patch.setsVariable(written):
		// The variable was not ours when the VIP was published, so it is not ours to restore.
		return
	}
	v.patch.setAnnotation(v.role.WrittenAnnotation(), written)
}
