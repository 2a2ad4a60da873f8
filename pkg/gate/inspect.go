package gate

import (
	"fmt"
	"slices"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// State says whether a class keeps Cluster API from building infrastructure
// before the VIP of a role is known. The values are public.
type State string

const (
	// Unconcerned means that the class neither declares nor takes a variable for the role.
	Unconcerned State = ""
	// Gated means that the topology controller fails as long as there is no value.
	Gated State = "gated"
	// GatedUnlessEmpty means that it does, but not for a Cluster that states an empty string.
	GatedUnlessEmpty State = "gatedUnlessEmpty"
	// Ungated means that it builds infrastructure without the VIP.
	Ungated State = "ungated"
	// Unclear means that it could not be found out what it does.
	Unclear State = "unclear"
)

// Finding is the result of an inspection.
type Finding struct {
	State State
	// Why says in one sentence what is wrong and what to change; empty if nothing
	// is. A gate that is closed may have a fault too: one that never opens, say.
	Why string
	// Patch names the patch that decided; empty if none did.
	Patch string
}

// Inspect finds out what the topology controller does for a new Cluster of the
// class whose VIP is not known yet, by running the patches with sample values.
// The view is that of the same class; it must be ready, since Cluster API
// validates and defaults by status.variables. Rules in CEL are not evaluated.
//
// The templates are those of whoever may write the class, and may take any time and
// memory: run this where that harms nobody.
func Inspect(class *clusterv1.ClusterClass, view *vip.Class, role vip.Role) Finding {
	return Evaluator{}.Inspect(class, view, role)
}

// Evaluator runs templates of classes, and says which one is about to run.
type Evaluator struct {
	// Begin is called with the name of each patch before its templates run; nil is none.
	Begin func(patch string)
}

func (e Evaluator) begin(patch *clusterv1.ClusterClassPatch) {
	if e.Begin != nil {
		e.Begin(patch.Name)
	}
}

// Inspect is the function of that name.
func (e Evaluator) Inspect(class *clusterv1.ClusterClass, view *vip.Class, role vip.Role) Finding {
	s := newSubject(class, view, role)
	s.evaluator = e
	var found judgement
	for _, without := range s.withoutVIP() {
		if found = s.judge(without); found.open != nil {
			return Finding{State: Ungated, Why: join(s.whyOpen(found.open, without), s.fault()), Patch: found.open.patch.Name}
		}
		if why, patch := s.switchedOff(&found, without); why != "" {
			return Finding{State: Ungated, Why: join(why, s.fault()), Patch: patch}
		}
	}
	if !found.consumed() && found.off == nil {
		return s.unconsumed()
	}
	finding := Finding{State: Gated, Why: s.fault(), Patch: found.patch().Name}
	if found.unclear != nil {
		finding.Why = join(finding.Why, whyUnclear(found.unclear))
		if view.Roles[role].Problem == "" {
			finding.State = Unclear
		}
	}
	if finding.State == Gated && s.admitsEmpty() {
		if empty := s.judge(s.blank); empty.open != nil {
			finding.State, finding.Patch = GatedUnlessEmpty, empty.open.patch.Name
			finding.Why = join(s.whyEmpty(empty.open), finding.Why)
		}
	}
	return finding
}

// unconsumed is the finding for a variable that no patch in the class takes.
func (s *subject) unconsumed() Finding {
	if patch := s.external(); patch != "" {
		// It cannot be shown that infrastructure is built without the VIP.
		return Finding{State: Gated, Why: s.whyExternal(patch), Patch: patch}
	}
	if s.definition == nil && s.view.Roles[s.role].Problem != "" {
		return Finding{State: Ungated, Why: s.fault()}
	}
	if s.definition == nil && s.view.Roles[s.role].Near == "" {
		return Finding{State: Unconcerned, Why: s.whyUndeclared()}
	}
	if s.definition == nil {
		return Finding{State: Ungated, Why: s.whyUndeclared()}
	}
	return Finding{State: Ungated, Why: join(s.whyUnconsumed(), s.fault())}
}

// external names an external patch that sees the variable; empty if none does.
func (s *subject) external() string {
	for i := range s.class.Spec.Patches {
		patch := &s.class.Spec.Patches[i]
		if patch.External == nil {
			continue
		}
		for j := range s.class.Status.Variables {
			if variable := &s.class.Status.Variables[j]; variable.Name == s.name && definedBy(variable, patch.Name) {
				return patch.Name
			}
		}
	}
	return ""
}

func (s *subject) admitsEmpty() bool {
	variable := s.view.Roles[s.role]
	return s.definition != nil && !s.conflict && variable.Problem == "" && (variable.Admits == nil || variable.Admits("") == nil)
}

// judgement sums up the effects of a class's patches.
type judgement struct {
	// open is a patch that takes no VIP, and nothing holds the Cluster back.
	open *effect
	// gate is a patch that waits.
	gate *effect
	// unclear is a patch that could not be evaluated, where the answer depends on it.
	unclear *effect
	// off is a patch that would wait, and is off for this Cluster.
	off *effect
}

func (j *judgement) consumed() bool { return j.gate != nil || j.unclear != nil }

func (j *judgement) patch() *clusterv1.ClusterClassPatch {
	switch {
	case j.gate != nil:
		return j.gate.patch
	case j.unclear != nil:
		return j.unclear.patch
	}
	return j.off.patch
}

func (s *subject) judge(without situation) judgement {
	var result judgement
	var gates, unclears, opens []*effect
	effects := (&simulation{subject: s, worlds: s.worlds(without)}).effects()
	for i := range effects {
		switch e := &effects[i]; e.kind {
		case waits:
			gates = append(gates, e)
			if e.off && result.off == nil {
				result.off = e
			}
		case unclear:
			unclears = append(unclears, e)
		default:
			opens = append(opens, e)
		}
	}
	for _, gate := range gates {
		if gate.off {
			continue
		}
		if result.gate == nil || (gate.always() && !result.gate.always()) {
			result.gate = gate
		}
	}
	if result.gate == nil && len(unclears) > 0 {
		result.unclear = unclears[0]
	}
	for _, e := range opens {
		if holder(e, gates) != nil {
			continue
		}
		// A patch that cannot be evaluated has the benefit of the doubt.
		if result.unclear = holder(e, unclears); result.unclear == nil {
			result.open = e
			break
		}
	}
	return result
}

// always tells whether the patch takes part for every Cluster.
func (e *effect) always() bool { return e.worker == "" && !e.conditional }

// holder finds an effect that stops every pass in which e takes part.
func holder(e *effect, gates []*effect) *effect {
	for _, gate := range gates {
		there := gate.worker == "" || gate.worker == e.worker
		on := !gate.conditional || gate.patch.EnabledIf == e.patch.EnabledIf || gate.kind == unclear
		if there && on {
			return gate
		}
	}
	return nil
}

// NotEvaluated is the finding for a class whose evaluation was given up, at the patch if
// one is named, for the reason why. It runs no template.
func NotEvaluated(class *clusterv1.ClusterClass, view *vip.Class, role vip.Role, patch, why string) Finding {
	s := newSubject(class, view, role)
	if s.definition == nil && !slices.ContainsFunc(class.Spec.Patches, func(p clusterv1.ClusterClassPatch) bool {
		return takes(&p, s.path) || mentions(p.EnabledIf, s.path)
	}) {
		return Finding{State: Unconcerned, Why: s.whyUndeclared()}
	}
	what := "it"
	if patch != "" {
		what = "patch " + patch
	}
	return Finding{State: Unclear, Patch: patch, Why: fmt.Sprintf("it is not certain that the class waits for the VIP, because %s could not be evaluated: %s", what, why)}
}
