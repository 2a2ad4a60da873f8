package vip

import (
	"fmt"
	"slices"
)

// Plan decides what is to be done for the Cluster in the Snapshot. It is a pure
// function: the same Snapshot always yields the same Decision.
func Plan(s *Snapshot) Decision {
	roles := Roles()
	return PlanRoles(s, roles[:]...)
}

// PlanRoles plans some of the roles only. It serves to find out which role's
// change the API server refuses, so that the other is not kept waiting.
func PlanRoles(s *Snapshot, roles ...Role) Decision {
	if skip := skip(s); skip != "" {
		return Decision{Skipped: skip, Patch: releaseStranger(s, skip)}
	}
	patch := newPatch(&s.Cluster)
	decision := Decision{Roles: map[Role]*Outcome{}, Conditions: map[string]Condition{}}
	dropped := dropUndeclared(s, patch)
	for _, role := range roles {
		before := patch.size()
		outcome := planRole(s, role, patch)
		if outcome == nil {
			continue
		}
		outcome.Changes = patch.size() > before || dropped[role]
		if text := s.Cluster.Annotations[role.EnabledAnnotation()]; text != "" && text != "true" && text != "false" {
			outcome.note(InvalidAnnotation, "annotation %s: %.80q is neither \"true\" nor \"false\" and changes nothing", role.EnabledAnnotation(), text)
		}
		warnUngated(s, outcome)
		warnMisnamed(s, outcome)
		decision.Roles[role] = outcome
	}
	dropLeftovers(s, patch, roles)
	if slices.Contains(roles, Ingress) {
		markDisabled(s, patch)
	}
	signPatch(s, patch, roles)
	holdBack(s, &decision, patch)
	if s.Cluster.Held() && complete(roles) {
		hold(s, &decision, patch)
	}
	decision.Patch = patch.ops()
	for role, outcome := range decision.Roles {
		outcome.Next = Next(s, outcome)
		decision.Conditions[role.ConditionType()] = outcome.condition()
	}
	return decision
}

// warnUngated tells who still waits for a VIP that infrastructure may not. Those that
// have it need not hear of it: a change of the class would be a write on each.
func warnUngated(s *Snapshot, outcome *Outcome) {
	why := s.Class.Roles[outcome.Role].Ungated
	lost := !outcome.Reason.Ready() || outcome.Reason == VariableNotBackfilled
	if why != "" && s.Class.Roles[outcome.Role].Near == "" && lost && !s.Settings.HoldGate && !s.Settings.HookGate {
		outcome.note(ClassUngated, "infrastructure may be built without this VIP: %s", why)
	}
}

// warnMisnamed tells whose infrastructure may wait for a variable that is not ours by a letter.
func warnMisnamed(s *Snapshot, outcome *Outcome) {
	variable := s.Class.Roles[outcome.Role]
	if variable.Near != "" && !variable.Declared && !s.Cluster.HasInfrastructure && s.Class.Ready {
		outcome.note(ClassUngated, "ClusterClass %s declares variable %s, not %s: name it in the class's annotation %s, or nothing is written to it",
			s.Cluster.Class, variable.Near, variable.Path, outcome.Role.VariableAnnotation())
	}
}

// complete tells whether all roles are planned.
func complete(roles []Role) bool {
	for _, role := range Roles() {
		if !slices.Contains(roles, role) {
			return false
		}
	}
	return true
}

// SkipOf says why the Cluster is not handled under these settings; empty if it is.
func SkipOf(c *Cluster, settings Settings) Skip {
	return skip(&Snapshot{Cluster: *c, Settings: settings})
}

func skip(s *Snapshot) Skip {
	c := &s.Cluster
	switch {
	case !c.HasTopology:
		return SkipNoTopology
	case c.Deleting:
		return SkipDeleting
	case c.paused() && !c.Held():
		return SkipPaused
	case s.Settings.outOfReach(c) != "":
		return s.Settings.outOfReach(c)
	case c.OwnedByRancher:
		return SkipRancher
	}
	return ""
}

// Reach tells whether the Cluster is for this allocator, not for another one.
func (s *Settings) Reach(c *Cluster) bool { return s.outOfReach(c) == "" }

func (s *Settings) outOfReach(c *Cluster) Skip {
	switch {
	case s.Namespace != "" && c.Namespace != s.Namespace:
		return SkipNamespace
	case s.WatchFilter != "" && c.Labels[WatchFilterLabel] != s.WatchFilter:
		return SkipWatchFilter
	}
	return ""
}

// holdBack drops the patch while the class cannot vouch for it: without the class
// the API server refuses every update of the Cluster, after seconds.
func holdBack(s *Snapshot, d *Decision, patch *patch) {
	if patch.empty() || (s.Class.Exists && s.Class.Ready) {
		return
	}
	for _, outcome := range d.Roles {
		if !outcome.Changes {
			continue
		}
		outcome.Changes, outcome.Published = false, false
		if outcome.Reason == Disabled {
			// The claim may go only after the Cluster no longer names its address.
			outcome.Release = nil
		}
		if outcome.Reason.Ready() {
			outcome.Reason, outcome.Message = classOutcome(s)
		}
	}
	patch.reset()
}

// dropUndeclared removes variables of ours that the class no longer declares: as
// long as one stands, the API server refuses every update of the Cluster.
func dropUndeclared(s *Snapshot, patch *patch) (dropped map[Role]bool) {
	dropped = map[Role]bool{}
	for _, role := range Roles() {
		written := s.Cluster.Annotations[role.WrittenAnnotation()]
		if written == "" || written == WrittenNone || !s.Class.Ready || s.Class.Declares[variableName(written)] {
			continue
		}
		value := variableAt(s.Cluster.Variables, written)
		if value == "" {
			continue
		}
		ours := sameHost(value, s.Cluster.Annotations[role.Stamp()]) || (role == ControlPlane && sameHost(value, s.Cluster.Endpoint.Host))
		if claim := s.Claims[role]; claim != nil && claim.Address != nil {
			ours = ours || sameHost(value, claim.Address.Text)
		}
		if ours {
			patch.dropVariable(variableName(written))
			patch.setAnnotation(role.WrittenAnnotation(), WrittenNone)
			dropped[role] = true
		}
	}
	return dropped
}

func classOutcome(s *Snapshot) (Reason, string) {
	if !s.Class.Exists {
		return ClassNotFound, fmt.Sprintf("ClusterClass %s does not exist; the Cluster is written once it does", s.Cluster.Class)
	}
	return ClassNotReady, fmt.Sprintf("ClusterClass %s has not reconciled its variables yet", s.Cluster.Class)
}

func (o *Outcome) note(reason Reason, format string, args ...any) {
	o.Notes = append(o.Notes, Note{Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (o *Outcome) set(reason Reason, format string, args ...any) *Outcome {
	o.Reason, o.Message = reason, fmt.Sprintf(format, args...)
	return o
}

// NextStep stands in a condition between what is so and what to do about it.
const NextStep = "; next: "

func (o *Outcome) condition() Condition {
	message := o.Message
	for _, note := range o.Notes {
		message += "; " + note.Message
	}
	message = Short(message)
	if o.Next != "" {
		message += NextStep + Short(o.Next)
	}
	return Condition{True: o.Reason.Ready(), Reason: o.Reason, Message: message}
}
