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
	finding := s.inspect()
	if finding.State == Ungated && s.required() {
		// Cluster API refuses every Cluster that lacks it.
		if finding.State = Gated; s.admitsEmpty() {
			finding.State, finding.Why = GatedUnlessEmpty, join(s.whyEmpty(finding.Patch), finding.Why)
		}
	}
	return finding
}

func (s *subject) inspect() Finding {
	q := search{left: maxClusters}
	var base *trial
	for _, without := range s.withoutVIP() {
		s.without = without
		base = s.try()
		if why, e := base.ungated(&q); why != "" {
			return Finding{State: Ungated, Why: join(why, s.fault()), Patch: e.patch.Name}
		}
	}
	consumers := base.consumers()
	if len(consumers) == 0 {
		return s.unconsumed()
	}
	decisive := consumers[0]
	if len(base.gates)+len(base.unclears) > 0 {
		decisive = base.stop
	}
	finding := Finding{State: Gated, Why: s.fault(), Patch: decisive.patch.Name}
	if decisive.kind == unclear {
		finding.Why = join(finding.Why, whyUnclear(decisive))
		if s.view.Roles[s.role].Problem == "" {
			finding.State = Unclear
		}
	}
	if finding.State == Gated && s.admitsEmpty() {
		s.without = s.blank
		if why, e := s.try().ungated(&q); why != "" {
			finding.State, finding.Patch = GatedUnlessEmpty, e.patch.Name
			finding.Why = join(s.whyEmpty(e.patch.Name), finding.Why)
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
