package gate

import (
	"fmt"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const guardIt = "or guard the patch with an enabledIf that calls fail while there is no value"

// whyOpen explains a patch that does not wait.
func (s *subject) whyOpen(e *effect) string {
	patch := e.patch.Name
	if e.kind == switchedOff {
		return fmt.Sprintf("the enabledIf of patch %s switches it off while variable %s has no value, so infrastructure is built without the VIP: let the enabledIf call fail instead",
			patch, s.path)
	}
	if e.kind == switchedOn {
		return fmt.Sprintf("the enabledIf of patch %s is true while variable %s has no value, so infrastructure is built without the VIP: let the enabledIf call fail instead", patch, s.path)
	}
	if byDefault, exists := s.defaultOf(); exists {
		remedy := "remove the default"
		if e.kind != takesOther {
			remedy += " and take the value with valueFrom.variable"
		}
		return fmt.Sprintf("variable %s has the default %.80s, with which patch %s builds infrastructure before the VIP is known: %s, %s", s.path, byDefault, patch, remedy, guardIt)
	}
	switch e.kind {
	case takesOther:
		return fmt.Sprintf("patch %s takes the whole of variable %s, also without %s: let it take %s, %s", patch, s.name, s.rest, s.path, guardIt)
	case rendersNoValue:
		return fmt.Sprintf("a template of patch %s renders %q while variable %s has no value: take the value with valueFrom.variable, %s", patch, noValue, s.path, guardIt)
	default:
		return fmt.Sprintf("a template of patch %s renders without the VIP while variable %s has no value: take the value with valueFrom.variable, %s", patch, s.path, guardIt)
	}
}

// whyOff explains a patch that is off for some Clusters.
func (s *subject) whyOff(e *effect, when string) string {
	return fmt.Sprintf("patch %s, which takes variable %s, is off %s, so infrastructure is then built without the VIP: let it be on for every Cluster, %s",
		e.patch.Name, s.path, when, guardIt)
}

// whyWorkers explains a patch that waits where there are workers.
func (s *subject) whyWorkers(e *effect) string {
	return fmt.Sprintf("patch %s takes variable %s for workers of class %s only, so a Cluster without them is built without the VIP: take it in the patch of the infrastructure cluster",
		e.patch.Name, s.path, e.worker)
}

// defaultOf returns what defaulting puts at the path, as JSON.
func (s *subject) defaultOf() (text string, exists bool) {
	value, exists := s.without(false)
	if !exists {
		return "", false
	}
	text, err := inputs{s.name: value}.valueOf(s.path)
	return text, err == nil
}

func (s *subject) whyEmpty(patch string) string {
	if patch != "" {
		patch = " (patch " + patch + ")"
	}
	return fmt.Sprintf("a Cluster that states \"\" as variable %s is built without the VIP%s: set minLength: 1 in its schema, once no Cluster holds \"\" any more", s.path, patch)
}

func (s *subject) whyUnconsumed() string {
	for i := range s.class.Spec.Patches {
		patch := &s.class.Spec.Patches[i]
		if (takes(patch, s.path) || mentions(patch.EnabledIf, s.path)) && !s.selects(patch) {
			return fmt.Sprintf("patch %s takes variable %s but selects no template of the class, so nothing waits for the VIP: correct apiVersion, kind and matchResources of its selectors", patch.Name, s.path)
		}
	}
	return fmt.Sprintf("no patch that is ever enabled takes variable %s, so nothing waits for the VIP: take it with valueFrom.variable in the patch of the infrastructure cluster", s.path)
}

func (s *subject) selects(patch *clusterv1.ClusterClassPatch) bool {
	for _, target := range targets(s.class) {
		for i := range patch.Definitions {
			if target.matches(&patch.Definitions[i].Selector) {
				return true
			}
		}
	}
	return false
}

func (s *subject) whyUndeclared() string {
	if near := s.view.Roles[s.role].Near; near != "" {
		return fmt.Sprintf("the class declares variable %s, not %s, so no VIP is ever written to it: let annotation %s name it, or rename it", near, s.path, s.role.VariableAnnotation())
	}
	return fmt.Sprintf("the class does not declare variable %s, so nothing waits for the VIP: declare it, and take it with valueFrom.variable", s.path)
}

func (s *subject) whyExternal(patch string) string {
	remedy := "turn on the hold gate or the hook gate"
	if s.declaredInline() {
		remedy = "add a patch with an enabledIf that calls fail"
	}
	// Patches in the class do not see what an external patch alone declares.
	return fmt.Sprintf("only external patch %s can take variable %s, and it cannot be read from here: make sure that it fails without a value, or %s", patch, s.path, remedy)
}

func whyUnclear(e *effect) string {
	return fmt.Sprintf("it is not certain that patch %s waits for the VIP, because it could not be evaluated (%.200s): put valueFrom.variable or a guard into a patch of its own",
		e.patch.Name, e.err)
}

// fault is what is wrong with the variable itself, whether anything waits for it or not.
func (s *subject) fault() string {
	view := s.view.Roles[s.role]
	switch {
	case s.definition == nil && view.Problem == "":
		return s.undeclaredFault()
	case view.Shared:
		return fmt.Sprintf("variable %s is that of both roles, and it can hold one address only: name another one in annotation %s", s.path, s.role.VariableAnnotation())
	case s.conflict:
		return fmt.Sprintf("the definitions of variable %s contradict each other, so Cluster API refuses every Cluster of the class: make them equal", s.name)
	case view.Problem != "":
		return fmt.Sprintf("no address can be written to variable %s, because %s: let annotation %s name a string", s.path, view.Problem, s.role.VariableAnnotation())
	case s.required() && s.nested:
		return fmt.Sprintf("a field of variable %s is required, so Cluster API refuses every Cluster that does not state a VIP itself: remove %s from the required fields", s.name, lastOf(s.path))
	case s.required():
		return fmt.Sprintf("variable %s is required, so Cluster API refuses every Cluster that does not state a VIP itself: set required: false", s.name)
	case !s.declaredInline():
		return fmt.Sprintf("variable %s is declared by an external patch only, and Cluster API shows it to no patch in the class: declare it in spec.variables too", s.name)
	}
	if mustHave, others := s.demands(); mustHave && len(others) > 0 {
		return fmt.Sprintf("variable %s requires %s beside %s, so the VIP alone cannot be written to it: remove %s from the required fields", s.name, others[0], lastOf(s.path), lastOf(s.path))
	}
	if _, ok := s.sample(); !ok {
		return s.refusal()
	}
	return s.portFault()
}

// portFault concerns the variable that the class names for the endpoint's port.
func (s *subject) portFault() string {
	name, _, _ := strings.Cut(s.view.Port.Variable, ".")
	if s.role != vip.ControlPlane || name == "" || s.view.Declares[name] {
		return ""
	}
	return fmt.Sprintf("annotation %s names variable %s, which the class does not declare, so that the endpoint's port is never read from it: declare it, or correct the annotation",
		vip.PortVariableAnnotation, name)
}

// undeclaredFault concerns a class whose patches take what it does not declare.
// What is published as annotation needs no declaration.
func (s *subject) undeclaredFault() string {
	for i := range s.class.Spec.Patches {
		if patch := &s.class.Spec.Patches[i]; takes(patch, s.path) || mentions(patch.EnabledIf, s.path) {
			return fmt.Sprintf("patch %s takes variable %s, which the class does not declare, so that it never has a value: declare it", patch.Name, s.path)
		}
	}
	return ""
}

func (s *subject) declaredInline() bool {
	for i := range s.class.Status.Variables {
		if variable := &s.class.Status.Variables[i]; variable.Name == s.name {
			return inline(variable)
		}
	}
	return false
}

func (s *subject) refusal() string {
	err := s.view.Roles[s.role].Admits(sampleAddress)
	if leaf := s.leaf(); leaf != nil && leaf.Pattern != "" {
		// The addresses of the pools may fit a narrow pattern.
		return fmt.Sprintf("the schema of variable %s takes none of the addresses that were tried: check that its pattern %.80q takes those of your pools", s.path, leaf.Pattern)
	}
	return fmt.Sprintf("the schema of variable %s takes no address (%s): change it", s.path, strings.ReplaceAll(fmt.Sprint(err), "\n", "; "))
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func join(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return first + "; " + second
}
