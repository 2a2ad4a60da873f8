package vip

import (
	"slices"
	"strings"
)

// variableOps writes the changes of topology variables. Entries are named by
// their index, so each is guarded by a test of the name found there; new entries
// are appended and removals come last, from the end, so that no index shifts.
func (p *patch) variableOps(w *opWriter) {
	const list = "/spec/topology/variables"
	var appended []map[string]any
	var removed []int
	for _, change := range p.variables {
		name, rest, nested := strings.Cut(change.path, ".")
		index := indexOf(p.cluster.Variables, name)
		switch {
		case index < 0 && change.value != nil:
			appended = appendVariable(appended, name, nest(rest, nested, *change.value))
		case index < 0:
		case change.value == nil && !nested:
			p.testEntry(w, index, true)
			removed = append(removed, index)
		default:
			p.testEntry(w, index, !nested)
			p.fieldOps(w, index, rest, nested, change.value)
		}
	}
	switch {
	case len(appended) > 0 && len(p.cluster.Variables) == 0:
		w.test(list, nil)
		w.add(list, appended)
	default:
		for _, entry := range appended {
			w.add(list+"/-", entry)
		}
	}
	slices.Sort(removed)
	for _, index := range slices.Backward(removed) {
		w.remove(variablePath(index))
	}
}

// appendVariable adds an entry, or merges it into one of the same name: both roles
// may live in fields of one object variable.
func appendVariable(entries []map[string]any, name string, value any) []map[string]any {
	for _, entry := range entries {
		old, oldIsObject := entry["value"].(map[string]any)
		object, isObject := value.(map[string]any)
		if entry["name"] == name && oldIsObject && isObject {
			merge(old, object)
			return entries
		}
	}
	return append(entries, map[string]any{"name": name, "value": value})
}

func merge(into, from map[string]any) {
	for key, value := range from {
		old, oldIsObject := into[key].(map[string]any)
		object, isObject := value.(map[string]any)
		if oldIsObject && isObject {
			merge(old, object)
		} else {
			into[key] = value
		}
	}
}

func (p *patch) testEntry(w *opWriter, index int, value bool) {
	w.test(variablePath(index)+"/name", p.cluster.Variables[index].Name)
	if value {
		w.test(variablePath(index)+"/value", p.cluster.Variables[index].Value)
	}
}

// fieldOps changes the variable's value, or the field of it that the path names.
// Where an object on the way is absent it is tested and made as a whole.
func (p *patch) fieldOps(w *opWriter, index int, rest string, nested bool, value *string) {
	at := variablePath(index) + "/value"
	if !nested {
		w.add(at, *value)
		return
	}
	current := decode(p.cluster.Variables[index].Value)
	for {
		object, isObject := current.(map[string]any)
		if !isObject {
			w.test(at, current)
			w.add(at, nest(rest, true, *value))
			return
		}
		var name string
		name, rest, nested = strings.Cut(rest, ".")
		at += "/" + escape(name)
		next, exists := object[name]
		switch {
		case !nested && value == nil:
			w.test(at, next)
			w.remove(at)
			return
		case !nested:
			w.test(at, next)
			w.add(at, *value)
			return
		case !exists:
			w.test(at, nil)
			w.add(at, nest(rest, true, *value))
			return
		}
		current = next
	}
}

// nest wraps the value in an object for every step of the path.
func nest(path string, nested bool, value string) any {
	if !nested {
		return value
	}
	name, rest, more := strings.Cut(path, ".")
	return map[string]any{name: nest(rest, more, value)}
}
