package lint

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// checkFields finds fields that the type does not have. What an API server printed has none
// but those of a newer Cluster API.
func (l *linter) checkFields(o *object, into any) {
	if o.exported || o.live {
		return
	}
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.raw, into, true)
	if err == nil {
		return
	}
	found := unknownField.FindAllStringSubmatch(err.Error(), -1)
	for i, match := range found {
		field := match[1]
		if i == maxFields && len(found) > maxFields+1 {
			l.add(o, o.line(), Warning, UnknownField, "%d more fields are none of %s %s", len(found)-maxFields, o.kind, o.version)
			return
		}
		severity, effect := Warning, "kubectl refuses it, and the API server drops it"
		if hint := moved(o, field); hint != "" {
			severity, effect = Error, hint
		}
		l.add(o, o.line(steps(field)...), severity, UnknownField, "%.120s is no field of %s %s: %s", field, o.kind, o.version, effect)
	}
}

// maxFields is how many unknown fields of one object are named.
const maxFields = 3

// moved says what a field is called in the version that the manifest states, where it is
// required there.
func moved(o *object, field string) string {
	if o.kind != "Cluster" {
		return ""
	}
	switch {
	case field == "spec.topology.class" && !o.legacy():
		return "there it is spec.topology.classRef.name, without which the API server refuses the Cluster"
	case strings.HasPrefix(field, "spec.topology.classRef") && o.legacy():
		return "there it is spec.topology.class, without which the API server refuses the Cluster"
	}
	return ""
}

// steps are the names in a path that is joined by dots, and the indices in brackets.
func steps(path string) []any {
	var list []any
	for _, part := range strings.Split(path, ".") {
		name, index, indexed := strings.Cut(part, "[")
		list = append(list, name)
		for indexed {
			var text string
			text, index, indexed = strings.Cut(index, "[")
			number := 0
			for _, digit := range strings.TrimSuffix(text, "]") {
				number = number*10 + int(digit-'0')
			}
			list = append(list, number)
		}
	}
	return list
}

// checkRequired finds variables that do not say whether they are required: v1beta2 wants that
// said.
func (l *linter) checkRequired(o *object, class *clusterv1.ClusterClass) {
	for i := range class.Spec.Variables {
		if v := &class.Spec.Variables[i]; v.Required == nil {
			l.add(o, o.line("spec", "variables", i, "name"), Error, BadField, "spec.variables[%d].required of variable %.80s is missing, and the API server refuses the class; write required: false", i, v.Name)
		}
	}
}
