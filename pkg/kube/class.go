package kube

import (
	"encoding/json"
	"fmt"
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
	return view
}

// VariablePath is the variable, or the field of an object variable, that the class uses for the role.
func VariablePath(c *clusterv1.ClusterClass, role vip.Role) string {
	if path := strings.TrimSpace(c.Annotations[role.VariableAnnotation()]); path != "" {
		return path
	}
	return role.DefaultVariable()
}

// classVariable reads status.variables, which also holds what external patches
// declare and is what Cluster API validates against.
func classVariable(c *clusterv1.ClusterClass, path string) vip.ClassVariable {
	view := vip.ClassVariable{Path: path}
	name, rest, nested := strings.Cut(path, ".")
	for i := range c.Status.Variables {
		variable := &c.Status.Variables[i]
		if variable.Name != name || len(variable.Definitions) == 0 {
			continue
		}
		view.Declared = true
		if conflict := variable.DefinitionsConflict; conflict != nil && *conflict {
			view.Problem = "its definitions contradict each other"
			return view
		}
		schema := &variable.Definitions[0].Schema.OpenAPIV3Schema
		leaf, problem := leafOf(schema, rest, nested)
		if problem != "" {
			view.Problem = problem
			return view
		}
		view.Default = defaultAt(schema, rest, nested)
		view.Admits = admits(leaf)
	}
	return view
}

// leafOf follows the path through the schema to a string.
func leafOf(schema *clusterv1.JSONSchemaProps, rest string, nested bool) (*clusterv1.JSONSchemaProps, string) {
	for nested {
		var name string
		name, rest, nested = strings.Cut(rest, ".")
		next, exists := schema.Properties[name]
		if !exists {
			return nil, fmt.Sprintf("its schema has no field %.80q", name)
		}
		schema = &next
	}
	if schema.Type != "string" && schema.Type != "" {
		return nil, fmt.Sprintf("its type is %s, not string", schema.Type)
	}
	return schema, ""
}

// defaultAt is the string that defaulting puts at the path of a variable that is
// absent: the outermost default, completed by those of the fields that it leaves out.
func defaultAt(schema *clusterv1.JSONSchemaProps, rest string, nested bool) string {
	var value any
	if schema.Default != nil {
		if json.Unmarshal(schema.Default.Raw, &value) != nil {
			return ""
		}
	}
	for nested {
		var name string
		name, rest, nested = strings.Cut(rest, ".")
		next, exists := schema.Properties[name]
		if !exists {
			return ""
		}
		object, _ := value.(map[string]any)
		if value, exists = object[name]; !exists && next.Default != nil && json.Unmarshal(next.Default.Raw, &value) != nil {
			return ""
		}
		schema = &next
	}
	text, _ := value.(string)
	return text
}
