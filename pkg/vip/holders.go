package vip

import (
	"encoding/json"
	"net/netip"
)

// Addresses returns the keys of every address that stands anywhere in the Cluster
// where a VIP could stand: endpoint, stamps, and every string in a variable, since
// which variable counts is only known with the class.
func Addresses(c *Cluster) map[netip.Addr]bool {
	keys := map[netip.Addr]bool{}
	add := func(text string) {
		if key, ok := Key(text); ok {
			keys[key] = true
		}
	}
	add(c.Endpoint.Host)
	for _, role := range Roles() {
		add(c.Annotations[role.Stamp()])
	}
	for i := range c.Variables {
		eachString(c.Variables[i].Value, add)
	}
	return keys
}

func eachString(raw json.RawMessage, visit func(string)) {
	var walk func(value any)
	walk = func(value any) {
		switch v := value.(type) {
		case string:
			visit(v)
		case map[string]any:
			for _, field := range v {
				walk(field)
			}
		}
	}
	walk(decode(raw))
}

// VIPs returns the keys of the addresses that the Cluster uses as a VIP: those for
// which Where names a field. They are few, however long its variables are.
func VIPs(c *Cluster, class Class) map[netip.Addr]bool {
	keys := map[netip.Addr]bool{}
	add := func(text string) {
		if key, ok := Key(text); ok {
			keys[key] = true
		}
	}
	add(c.Endpoint.Host)
	for _, role := range Roles() {
		add(c.Annotations[role.Stamp()])
		add(variableAt(c.Variables, class.path(role)))
	}
	return keys
}

// path is the role's variable, also of a class that is not known yet.
func (k *Class) path(role Role) string {
	if path := k.Roles[role].Path; path != "" {
		return path
	}
	return role.DefaultVariable()
}

// Where says which field of the Cluster uses the address as a VIP; empty if none does.
func Where(c *Cluster, class Class, key netip.Addr) string {
	is := func(text string) bool {
		other, ok := Key(text)
		return ok && other == key
	}
	if is(c.Endpoint.Host) {
		return "spec.controlPlaneEndpoint.host"
	}
	for _, role := range Roles() {
		if is(c.Annotations[role.Stamp()]) {
			return "annotation " + role.Stamp()
		}
		if path := class.path(role); is(variableAt(c.Variables, path)) {
			return "variable " + path
		}
	}
	return ""
}
