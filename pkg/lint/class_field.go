package lint

import (
	"slices"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// variableIndex is the place in spec.variables of the variable that the path begins
// with; -1 if it is not there.
func (c *class) variableIndex(path string) int {
	name, _, _ := strings.Cut(path, ".")
	return slices.IndexFunc(c.spec.Spec.Variables, func(v clusterv1.ClusterClassVariable) bool { return v.Name == name })
}

// patchIndex is the place of the patch in spec.patches; -1 if it is not there.
func (c *class) patchIndex(name string) int {
	return slices.IndexFunc(c.spec.Spec.Patches, func(p clusterv1.ClusterClassPatch) bool { return p.Name == name })
}

// below adds steps to a path and leaves the path as it is.
func below(path []any, steps ...any) []any { return slices.Concat(path, steps) }

// schemaPaths lead to the schemas of the variable and of each field on the path; nil
// if the class does not declare the variable.
func (c *class) schemaPaths(path string) [][]any {
	index := c.variableIndex(path)
	if index < 0 {
		return nil
	}
	paths := [][]any{{"spec", "variables", index, "schema", "openAPIV3Schema"}}
	for _, field := range strings.Split(path, ".")[1:] {
		paths = append(paths, below(paths[len(paths)-1], "properties", field))
	}
	return paths
}

// schemas are those of the variable and of each field on the path; nil if it leads nowhere.
func (c *class) schemas(path string) []*clusterv1.JSONSchemaProps {
	index := c.variableIndex(path)
	if index < 0 {
		return nil
	}
	list := []*clusterv1.JSONSchemaProps{&c.spec.Spec.Variables[index].Schema.OpenAPIV3Schema}
	for _, field := range strings.Split(path, ".")[1:] {
		next, exists := list[len(list)-1].Properties[field]
		if !exists {
			return nil
		}
		list = append(list, &next)
	}
	return list
}

// leaf is the schema at the path; nil if there is none.
func (c *class) leaf(path string) *clusterv1.JSONSchemaProps {
	list := c.schemas(path)
	if list == nil {
		return nil
	}
	return list[len(list)-1]
}

// requires leads to what has Cluster API refuse a Cluster that does not state the VIP
// itself; nil if nothing does.
func (c *class) requires(path string) []any {
	list, index := c.schemas(path), c.variableIndex(path)
	if len(list) == 0 || list[0].Default != nil {
		return nil
	}
	if required := c.spec.Spec.Variables[index].Required; required == nil || !*required {
		return nil
	}
	if len(list) == 1 {
		return []any{"spec", "variables", index, "required"}
	}
	if !slices.Contains(list[len(list)-2].Required, path[strings.LastIndexByte(path, '.')+1:]) {
		return nil
	}
	return below(c.schemaPaths(path)[len(list)-2], "required")
}

// variableLine is where a fault of the role's variable stands.
func (c *class) variableLine(role vip.Role) int {
	variable, named := c.view.Roles[role], []any{"metadata", "annotations", role.VariableAnnotation()}
	if variable.Problem != "" && c.has(named...) {
		return c.line(named...)
	}
	if c.variableIndex(variable.Path) < 0 {
		return c.patchLine(c.gates[role].Patch)
	}
	if required := c.requires(variable.Path); required != nil {
		return c.line(required...)
	}
	schemas := c.schemaPaths(variable.Path)
	leaf := schemas[len(schemas)-1]
	for _, field := range []string{"enum", "pattern", "format", "maxLength", "type"} {
		if c.has(below(leaf, field)...) {
			return c.line(below(leaf, field)...)
		}
	}
	return c.line(leaf...)
}

// gateLine is where the gate of a role is open: in the patch's condition, in a
// default, or in the patch as a whole.
func (c *class) gateLine(role vip.Role, patch string) int {
	if condition := []any{"spec", "patches", c.patchIndex(patch), "enabledIf"}; c.has(condition...) {
		return c.line(condition...)
	}
	path := c.view.Roles[role].Path
	for _, schema := range c.schemaPaths(path) {
		if c.has(below(schema, "default")...) {
			return c.line(below(schema, "default")...)
		}
	}
	if patch == "" {
		return c.line("spec", "variables", c.variableIndex(path))
	}
	return c.patchLine(patch)
}

func (c *class) patchLine(name string) int { return c.line("spec", "patches", c.patchIndex(name)) }

// external tells whether the patch of that name cannot be read here.
func (c *class) external(name string) bool {
	index := c.patchIndex(name)
	return index >= 0 && c.spec.Spec.Patches[index].External != nil
}
