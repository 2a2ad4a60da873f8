package vip

import (
	"slices"
	"strings"
)

// variableChange sets the value at a path, or removes it if value is nil. With
// whole set it removes the variable that the path begins with.
type variableChange struct {
	path  string
	value any
	whole bool
}

func (p *patch) setVariable(path, value string) {
	if variableAt(p.cluster.Variables, path) != value {
		p.variables = append(p.variables, variableChange{path: path, value: value})
	}
}

func (p *patch) setNumber(path string, number int32) {
	p.variables = append(p.variables, variableChange{path: path, value: number})
}

// removeVariable removes the string at the path if it still is that address.
func (p *patch) removeVariable(path, address string) {
	if sameHost(variableAt(p.cluster.Variables, path), address) && address != "" {
		p.variables = append(p.variables, variableChange{path: path})
	}
}

// dropVariable removes the whole variable.
func (p *patch) dropVariable(name string) {
	p.variables = append(p.variables, variableChange{path: name, whole: true})
}

func (p *patch) setsVariable(path string) bool {
	return slices.ContainsFunc(p.variables, func(c variableChange) bool { return c.path == path && c.value != nil })
}

// variableOps writes the changes of topology variables. The new value of each
// variable is computed once, since both roles may live in fields of one. Entries
// are named by their index, so each is guarded by a test of what was read there;
// new ones are appended and removals come last, from the end, so that no index
// shifts. Nothing guards the absence of an entry: the API server refuses two
// entries of one name.
func (p *patch) variableOps(w *opWriter) {
	const list = "/spec/topology/variables"
	p.testVariables(w)
	var added []any
	var removed []int
	for _, name := range p.changedVariables() {
		index := indexOf(p.cluster.Variables, name)
		value, exists := p.newValue(name, index)
		switch {
		case exists && index < 0:
			added = append(added, map[string]any{"name": name, "value": value})
		case exists:
			w.add(variablePath(index)+"/value", value)
		case index >= 0:
			removed = append(removed, index)
		}
	}
	switch {
	case len(p.cluster.Variables) == 0 && len(added) > 0:
		// JSON tells an empty list from an absent one; v1beta1 admits both.
		var empty any
		if p.cluster.Variables != nil {
			empty = []any{}
		}
		w.test(list, empty)
		w.add(list, added)
		return
	case len(removed) == len(p.cluster.Variables) && len(added) == 0 && len(removed) > 0:
		// The list may be absent, but not empty; and nothing may have joined it.
		w.test(list, listOf(p.cluster.Variables))
		w.remove(list)
		return
	}
	for _, entry := range added {
		w.add(list+"/-", entry)
	}
	slices.Sort(removed)
	for _, index := range slices.Backward(removed) {
		w.remove(variablePath(index))
	}
}

func listOf(variables []Variable) []map[string]any {
	var list []map[string]any
	for i := range variables {
		list = append(list, map[string]any{"name": variables[i].Name, "value": variables[i].Value})
	}
	return list
}

// testVariables tests every variable that the decision read or changes.
func (p *patch) testVariables(w *opWriter) {
	names := p.changedVariables()
	for _, path := range p.reads {
		names = append(names, variableName(path))
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if index := indexOf(p.cluster.Variables, name); index >= 0 {
			w.test(variablePath(index)+"/name", name)
			w.test(variablePath(index)+"/value", p.cluster.Variables[index].Value)
		}
	}
}

func (p *patch) changedVariables() []string {
	var names []string
	for _, change := range p.variables {
		if name := variableName(change.path); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// newValue applies all changes of the variable to its present value.
func (p *patch) newValue(name string, index int) (value any, exists bool) {
	if index >= 0 {
		value, exists = decode(p.cluster.Variables[index].Value), true
	}
	for _, change := range p.variables {
		first, rest, nested := strings.Cut(change.path, ".")
		switch {
		case first != name:
		case change.whole, change.value == nil && !nested:
			value, exists = nil, false
		case change.value == nil:
			removeAt(value, rest)
		case !nested:
			value, exists = change.value, true
		default:
			value, exists = setAt(value, rest, change.value), true
		}
	}
	return value, exists
}

// setAt returns the value with another one at the path, making objects on the way.
func setAt(value any, path string, leaf any) any {
	object, isObject := value.(map[string]any)
	if !isObject {
		object = map[string]any{}
	}
	name, rest, nested := strings.Cut(path, ".")
	if nested {
		object[name] = setAt(object[name], rest, leaf)
	} else {
		object[name] = leaf
	}
	return object
}

func removeAt(value any, path string) {
	name, rest, nested := strings.Cut(path, ".")
	object, isObject := value.(map[string]any)
	switch {
	case !isObject:
	case nested:
		removeAt(object[name], rest)
	default:
		delete(object, name)
	}
}

func variableName(path string) string {
	name, _, _ := strings.Cut(path, ".")
	return name
}
