package lint

import (
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// variable returns the value at the path of the Cluster's variables, and the place of
// the variable in their list; -1 if it is not there.
func (c *cluster) variable(path string) (index int, value any, exists bool) {
	spec, _ := c.raw["spec"].(map[string]any)
	topology, _ := spec["topology"].(map[string]any)
	list, _ := topology["variables"].([]any)
	name, rest, nested := strings.Cut(path, ".")
	for i, entry := range list {
		variable, _ := entry.(map[string]any)
		if variable["name"] != name {
			continue
		}
		value, exists = variable["value"]
		for nested && exists {
			object, _ := value.(map[string]any)
			name, rest, nested = strings.Cut(rest, ".")
			value, exists = object[name]
		}
		return i, value, exists
	}
	return -1, nil, false
}

func (c *cluster) variableLine(path string) int {
	name, rest, nested := strings.Cut(path, ".")
	index, _, _ := c.variable(name)
	if index < 0 {
		return c.line("spec", "topology", "variables")
	}
	at := []any{"spec", "topology", "variables", index, "value"}
	for nested {
		name, rest, nested = strings.Cut(rest, ".")
		at = append(at, name)
	}
	return c.line(at...)
}

// checkVariables compares the Cluster's variables with its class.
func (l *linter) checkVariables(c *cluster, of *class) {
	for i := range c.view.Variables {
		if name := c.view.Variables[i].Name; !of.view.Declares[name] && of.discoverer == "" {
			l.add(c.object, c.line("spec", "topology", "variables", i, "name"), Error, VariableValue, "ClusterClass %s (%s:%d) declares no variable %.80q, so Cluster API refuses the Cluster; remove it or declare it",
				of.name, of.file, of.line(), name)
		}
	}
	for _, role := range vip.Roles() {
		l.checkValue(c, of, role)
	}
}

// checkValue tries the value of a role's variable on the class's schema.
func (l *linter) checkValue(c *cluster, of *class, role vip.Role) {
	variable := of.view.Roles[role]
	_, value, exists := c.variable(variable.Path)
	if !exists || !variable.Declared || variable.Problem != "" {
		return
	}
	line := c.variableLine(variable.Path)
	text, isText := value.(string)
	if !isText {
		l.add(c.object, line, Error, VariableValue, "the value of variable %s must be a string; put it in quotes", variable.Path)
		return
	}
	if variable.Admits == nil {
		return
	}
	err := variable.Admits(text)
	switch {
	case err == nil:
	case text != "":
		l.add(c.object, line, Error, VariableValue, "ClusterClass %s (%s:%d) refuses %.80q as variable %s: %s; correct it, or leave the variable to the allocator",
			of.name, of.file, of.line(), text, variable.Path, strings.ReplaceAll(err.Error(), "\n", "; "))
	case c.runs():
		l.add(c.object, line, Error, EmptyVariable, "variable %s is \"\", which ClusterClass %s (%s:%d) refuses: once the class is applied every update of this Cluster is refused; remove the value or set the VIP before, or leave out minLength",
			variable.Path, of.name, of.file, of.line())
	default:
		l.add(c.object, line, Error, EmptyVariable, "variable %s is \"\", which ClusterClass %s (%s:%d) refuses; remove it, and the allocator fills it", variable.Path, of.name, of.file, of.line())
	}
}
