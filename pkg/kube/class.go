package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Class views a ClusterClass. A nil class is one that does not exist.
func Class(c *clusterv1.ClusterClass) vip.Class {
	if c == nil {
		return vip.Class{}
	}
	view := vip.Class{
		Exists:   true,
		Ready:    c.Status.ObservedGeneration == c.Generation && meta.IsStatusConditionTrue(c.Status.Conditions, clusterv1.ClusterClassVariablesReadyCondition),
		Declares: map[string]bool{},
		Roles:    map[vip.Role]vip.ClassVariable{},
	}
	for i := range c.Status.Variables {
		view.Declares[c.Status.Variables[i].Name] = true
	}
	for _, role := range vip.Roles() {
		view.Roles[role] = classVariable(c, VariablePath(c, role))
	}
	if shared := view.Roles[vip.Ingress]; shared.Declared && shared.Path == view.Roles[vip.ControlPlane].Path {
		shared.Shared = true
		view.Roles[vip.Ingress] = shared
	}
	view.Port = classPort(c, view.Roles[vip.ControlPlane].Path)
	return view
}

// VariablePath is the variable, or the field of an object variable, that the class uses for the role.
func VariablePath(c *clusterv1.ClusterClass, role vip.Role) string {
	if path := strings.TrimSpace(c.Annotations[role.VariableAnnotation()]); path != "" {
		return path
	}
	return role.DefaultVariable()
}

// maxChoices is how many values of an enum are looked for in each pool.
const maxChoices = 100

// classVariable reads status.variables, which also holds what external patches
// declare and is what Cluster API validates against.
func classVariable(c *clusterv1.ClusterClass, path string) vip.ClassVariable {
	view := vip.ClassVariable{Path: path}
	name, rest, nested := strings.Cut(path, ".")
	list, _, indexed := strings.Cut(path, "[")
	if indexed {
		name, _, _ = strings.Cut(list, ".")
	}
	variable := variableNamed(c, name)
	if variable == nil {
		view.Near = near(c, name)
		return view
	}
	view.Declared = true
	if conflict := variable.DefinitionsConflict; conflict != nil && *conflict {
		view.Problem = "its definitions contradict each other"
		return view
	}
	if indexed {
		view.Problem = fmt.Sprintf("%.80q is a list, and an address in a list is not written", list)
		return view
	}
	schema := &variable.Definitions[0].Schema.OpenAPIV3Schema
	leaf, problem := leafOf(schema, rest, nested)
	if problem == "" && leaf.Type != "string" && leaf.Type != "" {
		problem = fmt.Sprintf("its type is %s, not string", leaf.Type)
	}
	if problem != "" {
		view.Problem = problem
		return view
	}
	view.Default, _ = defaultAt(schema, rest, nested).(string)
	view.Admits = admits(leaf)
	if leaf.Format == "ipv4" || leaf.Format == "ipv6" {
		view.Family = leaf.Format
	}
	if len(leaf.Enum) > maxChoices {
		return view
	}
	for _, choice := range leaf.Enum {
		var text string
		if json.Unmarshal(choice.Raw, &text) == nil {
			view.Choices = append(view.Choices, text)
		}
	}
	return view
}

// variableNamed returns the variable if it has a definition; nil if there is none.
func variableNamed(c *clusterv1.ClusterClass, name string) *clusterv1.ClusterClassStatusVariable {
	for i := range c.Status.Variables {
		if variable := &c.Status.Variables[i]; variable.Name == name && len(variable.Definitions) > 0 {
			return variable
		}
	}
	return nil
}

// near returns the first variable whose name differs in case and separators only, and that
// the class does not use for anything else.
func near(c *clusterv1.ClusterClass, name string) string {
	plain := strings.NewReplacer("-", "", "_", "", ".", "")
	used := []string{PortVariable(c)}
	for _, role := range vip.Roles() {
		used = append(used, VariablePath(c, role))
	}
	for i := range c.Status.Variables {
		other := c.Status.Variables[i].Name
		isUsed := slices.ContainsFunc(used, func(path string) bool { return path == other || strings.HasPrefix(path, other+".") })
		if definitions := c.Status.Variables[i].Definitions; len(definitions) == 0 || definitions[0].Schema.OpenAPIV3Schema.Type != "string" {
			continue // no address can be written to it
		}
		if !isUsed && strings.EqualFold(plain.Replace(other), plain.Replace(name)) {
			return other
		}
	}
	return ""
}

// leafOf follows the path through the schema. Of an object that may hold anything
// nothing is known.
func leafOf(schema *clusterv1.JSONSchemaProps, rest string, nested bool) (*clusterv1.JSONSchemaProps, string) {
	for nested {
		var name string
		name, rest, nested = strings.Cut(rest, ".")
		next, exists := schema.Properties[name]
		switch {
		case exists:
		case schema.AdditionalProperties != nil:
			next = *schema.AdditionalProperties
		case schema.XPreserveUnknownFields != nil && *schema.XPreserveUnknownFields:
			return &clusterv1.JSONSchemaProps{}, ""
		default:
			return nil, fmt.Sprintf("its schema has no field %.80q", name)
		}
		schema = &next
	}
	return schema, ""
}

// classPort finds the port of the endpoint in the class's variables. A variable that
// the class names and does not declare never has a value, which lint tells.
func classPort(c *clusterv1.ClusterClass, hostPath string) vip.ClassPort {
	port := vip.ClassPort{Variable: PortVariable(c)}
	port.Default = portDefault(c, port.Variable)
	at := strings.LastIndexByte(hostPath, '.')
	if at < 0 {
		return port
	}
	beside := hostPath[:at] + ".port"
	name, rest, _ := strings.Cut(beside, ".")
	variable := variableNamed(c, name)
	if variable == nil {
		return port
	}
	leaf, problem := leafOf(&variable.Definitions[0].Schema.OpenAPIV3Schema, rest, true)
	if problem != "" || leaf.Type != "integer" {
		return port
	}
	check := admitsValue(leaf)
	port.Beside, port.BesideDefault = true, portDefault(c, beside)
	port.Admits = func(number int32) error { return check(int64(number)) }
	return port
}

// PortVariable is the variable, or the field of one, that the class names for the port of
// the control plane's endpoint; empty if it names none.
func PortVariable(c *clusterv1.ClusterClass) string {
	return strings.TrimSpace(c.Annotations[vip.PortVariableAnnotation])
}

func portDefault(c *clusterv1.ClusterClass, path string) int32 {
	name, rest, nested := strings.Cut(path, ".")
	variable := variableNamed(c, name)
	if variable == nil {
		return 0
	}
	raw, err := json.Marshal(defaultAt(&variable.Definitions[0].Schema.OpenAPIV3Schema, rest, nested))
	if err != nil {
		return 0
	}
	port, _ := vip.PortOf(raw)
	return port
}

// defaultAt is the value that defaulting puts at the path of a variable that is
// absent: the outermost default, completed by those of the fields that it leaves out.
func defaultAt(schema *clusterv1.JSONSchemaProps, rest string, nested bool) (value any) {
	if schema.Default != nil {
		if json.Unmarshal(schema.Default.Raw, &value) != nil {
			return nil
		}
	}
	for nested {
		var name string
		name, rest, nested = strings.Cut(rest, ".")
		// Of an object that may hold anything the outer default alone says something.
		next := schema.Properties[name]
		object, _ := value.(map[string]any)
		var exists bool
		if value, exists = object[name]; !exists && next.Default != nil && json.Unmarshal(next.Default.Raw, &value) != nil {
			return nil
		}
		schema = &next
	}
	return value
}
