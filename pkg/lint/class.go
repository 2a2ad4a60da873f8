package lint

import (
	"encoding/json"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1" //nolint:staticcheck // manifests of that version are in use
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

type class struct {
	*object
	spec  *clusterv1.ClusterClass
	view  vip.Class
	gates map[vip.Role]gate.Finding
	// discoverer names an external patch that may declare variables which no manifest shows.
	discoverer string
}

func (l *linter) loadClass(o *object) {
	spec := new(clusterv1.ClusterClass)
	switch {
	case o.legacy():
		var old clusterv1beta1.ClusterClass
		if !l.readable(o, &old) {
			return
		}
		l.checkFields(o, new(clusterv1beta1.ClusterClass))
		if err := clusterv1beta1.Convert_v1beta1_ClusterClass_To_v1beta2_ClusterClass(&old, spec, nil); err != nil {
			l.add(o, o.line(), Error, BadField, "%v", err)
			return
		}
	case !l.readable(o, spec):
		return
	default:
		l.checkFields(o, new(clusterv1.ClusterClass))
		l.checkRequired(o, spec)
	}
	c := &class{object: o, spec: spec}
	for i := range spec.Spec.Patches {
		if patch := &spec.Spec.Patches[i]; patch.External != nil && patch.External.DiscoverVariablesExtension != "" {
			c.discoverer = patch.Name
		}
	}
	reconcile(spec)
	c.view = kube.Class(spec)
	c.gates, _ = l.evaluator.Inspect(spec, nil)
	l.classes = append(l.classes, c)
}

// reconcile sets status.variables as Cluster API will: to what spec declares, and to
// what external patches have declared if the class was read from an API server.
func reconcile(class *clusterv1.ClusterClass) {
	var variables []clusterv1.ClusterClassStatusVariable
	for _, variable := range class.Spec.Variables {
		variables = append(variables, clusterv1.ClusterClassStatusVariable{
			Name: variable.Name,
			Definitions: []clusterv1.ClusterClassStatusVariableDefinition{
				{From: clusterv1.VariableDefinitionFromInline, Required: variable.Required, Schema: variable.Schema},
			},
		})
	}
	for _, known := range class.Status.Variables {
		for _, definition := range known.Definitions {
			if definition.From == clusterv1.VariableDefinitionFromInline {
				continue
			}
			at := -1
			for i := range variables {
				if variables[i].Name == known.Name {
					at = i
				}
			}
			if at < 0 {
				at = len(variables)
				variables = append(variables, clusterv1.ClusterClassStatusVariable{Name: known.Name})
			}
			variables[at].Definitions = append(variables[at].Definitions, definition)
			variables[at].DefinitionsConflict = known.DefinitionsConflict
		}
	}
	class.Status.Variables = variables
}

func (c *class) key() vip.ClassKey { return vip.ClassKey{Namespace: c.namespace, Name: c.name} }

func (l *linter) checkClass(c *class) {
	l.checkKeys(c.object, onClasses())
	if len(c.name) > validation.LabelValueMaxLength {
		l.add(c.object, c.line("metadata", "name"), Info, ClassName, "a pool can name this class by annotation %s only: a label value has at most %d characters", vip.PoolClassKey, validation.LabelValueMaxLength)
	}
	for _, role := range vip.Roles() {
		l.checkRole(c, role)
		l.checkMigration(c, role)
	}
}

// checkRole judges the variable of a role, and the gate that hangs on it.
func (l *linter) checkRole(c *class, role vip.Role) {
	found, variable := c.gates[role], c.view.Roles[role]
	switch {
	case !variable.Declared && l.checkUndeclared(c, role):
	case variable.Near != "" && found.State != gate.Unconcerned:
		l.add(c.object, c.variableLine(role), Warning, ClassVariable, "%s: %s", role, found.Why)
	case variable.Problem != "", variable.Shared:
		l.add(c.object, c.variableLine(role), Error, ClassVariable, "%s: %s", role, found.Why)
	case c.external(found.Patch):
		l.add(c.object, c.patchLine(found.Patch), Info, ClassExternal, "%s: %s", role, found.Why)
	case found.State == gate.Ungated:
		l.reportGate(c, role, found)
	case found.State == gate.Unclear:
		l.add(c.object, c.patchLine(found.Patch), Warning, ClassUnclear, "%s: %s", role, found.Why)
	case found.Why != "" && c.certain(role):
		l.add(c.object, c.variableLine(role), Error, ClassVariable, "%s: %s", role, found.Why)
	case found.State == gate.GatedUnlessEmpty:
		l.add(c.object, c.variableLine(role), Warning, ClassEmpty, "%s: %s", role, found.Why)
	case c.refusesAll(role):
		// A pattern may take the addresses of the pools and no other.
		if !l.checkSchema(c, role) {
			l.add(c.object, c.variableLine(role), Warning, ClassVariable, "%s: %s", role, found.Why)
		}
	case found.Why != "":
		l.add(c.object, c.patchLine(found.Patch), Warning, ClassVariable, "%s: %s", role, found.Why)
	default:
		l.checkSchema(c, role)
	}
}

// checkUndeclared judges a class whose spec does not declare the role's variable. It
// tells whether there is no more to say: patches may take the variable all the same.
func (l *linter) checkUndeclared(c *class, role vip.Role) (done bool) {
	found, path := c.gates[role], c.view.Roles[role].Path
	named := c.has("metadata", "annotations", role.VariableAnnotation())
	server := l.poolFor(c, role)
	taken := found.State != gate.Unconcerned
	switch {
	case c.discoverer != "":
		if named || taken || server != nil {
			l.add(c.object, c.patchLine(c.discoverer), Info, ClassExternal, "%s: variable %s is not in spec.variables; external patch %s may declare it, which cannot be seen here", role, path, c.discoverer)
		}
	case taken:
		return false
	case named:
		l.add(c.object, c.line("metadata", "annotations", role.VariableAnnotation()), Error, ClassVariable,
			"%s: the annotation names variable %s, which the class does not declare; declare it or correct the annotation", role, path)
	case server != nil:
		l.reportServed(c, role, server)
	}
	return true
}

// reportGate reports a gate that is open.
func (l *linter) reportGate(c *class, role vip.Role, found gate.Finding) {
	severity, unless := Error, " (or use the hold gate or the hook gate, and lint with --other-gate)"
	if l.options.OtherGate {
		severity, unless = Info, ""
	}
	l.add(c.object, c.gateLine(role, found.Patch), severity, ClassGate, "%s: %s%s", role, found.Why, unless)
}

// reportServed reports a class that declares no variable for a role that a pool serves.
func (l *linter) reportServed(c *class, role vip.Role, server *pool) {
	line := c.line("spec", "variables")
	if role == vip.Ingress {
		l.add(c.object, line, Info, ClassVariable, "%s (%s:%d) serves role %s, and the class declares no variable %s: the VIP is published as annotation and label only",
			server.Ref, server.file, server.line(), role, role.DefaultVariable())
		return
	}
	l.add(c.object, line, Warning, ClassVariable, "%s (%s:%d) serves role %s: %s", server.Ref, server.file, server.line(), role, c.gates[role].Why)
}

// poolFor returns a pool of the input that names the class for the role.
func (l *linter) poolFor(c *class, role vip.Role) *pool {
	for _, p := range l.pools {
		if p.mayServe(role, c.key(), true) {
			return p
		}
	}
	return nil
}

// certain tells whether what is wrong with the variable does not depend on anything
// that is not in the class.
func (c *class) certain(role vip.Role) bool {
	variable := c.view.Roles[role]
	return !variable.Declared || c.requires(variable.Path) != nil || c.refusesAll(role) && c.leaf(variable.Path).Pattern == ""
}

// refusesAll tells whether the variable takes no address that could be thought of.
func (c *class) refusesAll(role vip.Role) bool {
	variable := c.view.Roles[role]
	schema := c.leaf(variable.Path)
	if variable.Admits == nil || schema == nil {
		return false
	}
	addresses := []string{"10.0.0.1", "fd00::1"}
	for _, choice := range schema.Enum {
		var text string
		if json.Unmarshal(choice.Raw, &text) == nil && text != "" {
			addresses = append(addresses, text)
		}
	}
	return !slices.ContainsFunc(addresses, func(text string) bool {
		_, err := vip.ParseAddress(text)
		return err == nil && variable.Admits(text) == nil
	})
}

// checkSchema tries the addresses of the given pools on the variable, and tells
// whether there are any.
func (l *linter) checkSchema(c *class, role vip.Role) (tried bool) {
	variable := c.view.Roles[role]
	if variable.Admits == nil {
		return false
	}
	for _, p := range l.pools {
		if p.Ranges == nil || !p.mayServe(role, c.key(), true) {
			continue
		}
		for _, r := range p.Ranges.Ranges() {
			tried = true
			if err := variable.Admits(r.From().String()); err != nil {
				l.add(c.object, c.variableLine(role), Error, ClassVariable, "%s: the schema of variable %s refuses %s, an address of %s (%s:%d): %v; change the schema or the pool",
					role, variable.Path, r.From(), p.Ref, p.file, p.line(), err)
				break
			}
		}
	}
	return tried
}
