package vip

import "strings"

// fill plans the writes that bring the value to the places that are empty, and
// the stamps. It tells whether the class's variable had to be left empty.
//
// A value from a claim is restored wherever it was stripped. A value that a user
// chose is only copied before there is infrastructure.
func (v *roleView) fill(value string, fromClaim bool) (variableMissing bool) {
	early := v.beforeInfrastructure()
	if v.role == ControlPlane {
		v.fillEndpoint(value, fromClaim || early)
	}
	written := WrittenNone
	switch {
	case !v.variable.Declared:
	case v.held != "":
		if sameHost(v.held, value) {
			written = v.variable.Path
		}
	case v.mayFill(fromClaim) && v.admits(value):
		v.patch.setVariable(v.variable.Path, value)
		v.patch.dependsOnNoInfrastructure(early && !v.restores() && !v.backfills() && !v.patch.writesEndpoint)
		written = v.variable.Path
	default:
		variableMissing = true
	}
	if fromClaim || early {
		v.fillStamp(value)
	}
	if fromClaim {
		v.recordWritten(written, value)
	}
	return variableMissing
}

func (v *roleView) fillEndpoint(value string, mayWriteHost bool) {
	endpoint := v.Cluster.Endpoint
	switch {
	case endpoint.Host == "" && mayWriteHost:
		v.patch.setEndpoint(Endpoint{Host: value, Port: v.port()})
	case endpoint.Host != "" && endpoint.Port == 0:
		v.patch.setEndpoint(Endpoint{Host: endpoint.Host, Port: v.port()})
	}
}

// port is the user's, else the one beside the address in an object variable, else the default.
func (v *roleView) port() int32 {
	if v.Cluster.Endpoint.Port != 0 {
		return v.Cluster.Endpoint.Port
	}
	if parent, _, nested := cutLast(v.variable.Path); nested {
		if port, ok := portAt(v.Cluster.Variables, parent+".port"); ok {
			return port
		}
	}
	return v.Settings.DefaultPort
}

// beforeInfrastructure tells whether nothing was built from the Cluster yet. The
// patch that first writes the endpoint counts while the infrastructure is not
// provisioned; status alone would lie after a move or a restore.
func (v *roleView) beforeInfrastructure() bool {
	if !v.Cluster.HasInfrastructure {
		return true
	}
	firstEndpoint := v.patch != nil && v.patch.writesEndpoint && v.Cluster.Endpoint.Host == "" &&
		v.Cluster.Annotations[ControlPlane.WrittenAnnotation()] == ""
	if v.role == ControlPlane && v.Cluster.Endpoint.Host == "" && v.written == "" {
		firstEndpoint = true
	}
	return firstEndpoint && !v.Cluster.InfrastructureProvisioned
}

func (v *roleView) restores() bool  { return v.written == v.variable.Path }
func (v *roleView) backfills() bool { return v.Cluster.annotated(BackfillAnnotation, "true") }

// mayFill tells whether the empty variable may be written.
func (v *roleView) mayFill(fromClaim bool) bool {
	return v.beforeInfrastructure() || v.backfills() || (fromClaim && v.restores())
}

func (v *roleView) admits(value string) bool {
	return v.variable.Problem == "" && (v.variable.Admits == nil || v.variable.Admits(value) == nil)
}

// fillStamp publishes the value as annotation, and as label where it is a legal one.
func (v *roleView) fillStamp(value string) {
	if v.role == Ingress && v.stamp != "" && !sameHost(v.stamp, value) {
		// Somebody else's stamp: keep it, and keep the label true to it.
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

// recordWritten notes which variable the publication wrote, and clears a variable
// of ours that the class no longer declares: as long as that stands, the API
// server refuses every update of the Cluster.
func (v *roleView) recordWritten(written, value string) {
	previous := v.written
	if previous != "" && previous != WrittenNone && previous != written {
		if name, _, _ := strings.Cut(previous, "."); v.Class.Ready && !v.Class.Declares[name] {
			v.patch.removeVariable(previous, value)
		} else if written == WrittenNone {
			// A value that was stripped or changed stays ours to restore.
			return
		}
	}
	if previous == WrittenNone && written != WrittenNone && !v.patch.setsVariable(written) {
		// The variable was not ours when the VIP was published, so it is not ours to restore.
		return
	}
	v.patch.setAnnotation(v.role.WrittenAnnotation(), written)
}

func cutLast(path string) (parent, last string, nested bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}
