package lint

import (
	"maps"
	"slices"
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// meaning lists the labels and annotations of ours that mean something on a kind.
type meaning struct{ labels, annotations []string }

func onPools() meaning {
	both := []string{vip.PoolClassKey, vip.PoolRoleKey}
	return meaning{labels: both, annotations: append(both, vip.PoolNamespacesKey, vip.PoolPriorityKey, vip.PoolBookKey)}
}

func onClasses() meaning {
	m := meaning{annotations: []string{vip.PortVariableAnnotation}}
	for _, role := range vip.Roles() {
		m.annotations = append(m.annotations, role.VariableAnnotation())
	}
	return m
}

func onClusters() meaning {
	m := meaning{annotations: []string{vip.BackfillAnnotation, vip.HeldAnnotation, vip.WrittenForAnnotation}}
	for _, role := range vip.Roles() {
		m.labels = append(m.labels, role.Stamp(), role.StampedLabel())
		m.annotations = append(m.annotations, role.EnabledAnnotation(), role.PoolAnnotation(), role.Stamp(), role.WrittenAnnotation())
	}
	return m
}

// checkKeys finds keys of ours that mean nothing: misspelt, or in the wrong place.
func (l *linter) checkKeys(o *object, m meaning) {
	for _, place := range []struct {
		field, other string
		known, there []string
	}{
		{"labels", "annotation", m.labels, m.annotations},
		{"annotations", "label", m.annotations, m.labels},
	} {
		for _, key := range slices.Sorted(maps.Keys(o.keys(place.field))) {
			if !strings.HasPrefix(key, vip.Prefix) || slices.Contains(place.known, key) {
				continue
			}
			what := strings.TrimSuffix(place.field, "s")
			line := o.line("metadata", place.field, key)
			if slices.Contains(place.there, key) {
				l.add(o, line, Warning, UnknownKey, "%s is read as %s only; make it one", key, place.other)
				continue
			}
			l.add(o, line, Warning, UnknownKey, "%s %.100q means nothing on a %s; known are %s", what, key, o.kind, strings.Join(short(place.known), ", "))
		}
	}
}

// short leaves out the common prefix of keys.
func short(keys []string) []string {
	if len(keys) == 0 {
		return []string{"none"}
	}
	var list []string
	for _, key := range keys {
		list = append(list, strings.TrimPrefix(key, vip.Prefix))
	}
	return list
}
