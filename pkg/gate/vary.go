package gate

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// variation is another Cluster than the one that sets as little as possible.
type variation struct {
	// of is what it differs in, and text says how, as in "variable kubeVip.enabled is true".
	of, text string
	make     func(*subject)
}

// What a template may ask is without bounds; this is what is tried.
const (
	maxDepth   = 4 // of a field in an object
	maxChoices = 8 // of an enum, beside those that the template names
	maxNames   = 3 // of labels and annotations
)

// varied is the class for that other Cluster.
func (s *subject) varied(v variation) *subject {
	other := *s
	v.make(&other)
	other.varies = append(slices.Clip(other.varies), v.of)
	return &other
}

// variations lists other Clusters, with other values of what a template names.
func (s *subject) variations(text string) (list []variation) {
	if mentions(text, "version") {
		for _, version := range s.versions(text) {
			list = append(list, variation{"version", "the version is " + version, func(s *subject) { s.version = version }})
		}
	}
	if mentions(text, "replicas") {
		for _, replicas := range []float64{1, 3, 5} {
			list = append(list, variation{"replicas", fmt.Sprintf("the number of replicas is %.0f", replicas), func(s *subject) { s.replicas = replicas }})
		}
		list = append(list, variation{"replicas", "the number of replicas is not set", func(s *subject) { s.replicas = nil }})
	}
	if mentions(text, "network") {
		list = append(list, variation{"network", "the Cluster has a network", func(s *subject) { s.network = true }})
	}
	list = append(list, s.withMetadata(text)...)
	_, there := s.without(false)
	for i := range s.class.Status.Variables {
		variable := &s.class.Status.Variables[i]
		if len(variable.Definitions) > 0 && inline(variable) && asksFor(text, variable.Name) && (there || variable.Name != s.name) {
			list = append(list, s.choices(variable.Name, &variable.Definitions[0].Schema.OpenAPIV3Schema, text, maxDepth)...)
		}
	}
	return slices.DeleteFunc(list, func(v variation) bool {
		return slices.ContainsFunc(s.varies, func(of string) bool { return reads(of, v.of) || reads(v.of, of) })
	})
}

// withMetadata lists Clusters with a label or an annotation, of the names that a template has
// in quotes and of another one. Those of the allocator say what is to become of the VIP.
func (s *subject) withMetadata(text string) (list []variation) {
	var words []string
	for _, match := range keyed.FindAllStringSubmatch(text, -1) {
		words = append(words, match[1])
	}
	words = slices.DeleteFunc(append(words, literals(text)...), func(word string) bool {
		return strings.HasPrefix(word, vip.Prefix) || len(validation.IsQualifiedName(word)) > 0
	})
	words = append([]string{sampleWord}, words[:min(len(words), maxNames)]...)
	for i, name := range words {
		for _, value := range words {
			if i == 0 && value != sampleWord {
				continue // nobody asks for it
			}
			only := map[string]string{name: value}
			if mentions(text, "annotations") {
				list = append(list, variation{"annotations", name + ": " + value + " is among the annotations", func(s *subject) { s.annotations = only }})
			}
			if mentions(text, "labels") {
				list = append(list, variation{"labels", name + ": " + value + " is among the labels", func(s *subject) { s.labels = only }})
			}
		}
	}
	return list
}

// asksFor tells whether a template asks for the variable, as in .mode, index . "mode" or
// dig "mode" "x" "" . and not for a field of that name.
func asksFor(text, name string) bool {
	return mentions(literal.ReplaceAllString(text, ""), name) ||
		slices.ContainsFunc(dug.FindAllStringSubmatch(text, -1), func(match []string) bool { return match[1] == name })
}

// choices lists the values that a template may ask for at the path.
func (s *subject) choices(path string, schema *clusterv1.JSONSchemaProps, text string, depth int) (list []variation) {
	if path == s.path || path == s.other() || depth == 0 || !mentions(text, path) || !mentions(text, lastOf(path)) || ruled(schema) {
		return nil
	}
	values := valuesOf(schema, text)
	if schema.Type == "object" {
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			property := schema.Properties[name]
			list = append(list, s.choices(path+"."+name, &property, text, depth-1)...)
		}
		if path != s.name && sureSample(schema) {
			values = append(values, sampleOf(schema, false))
		}
	}
	for _, value := range values {
		shown, err := json.Marshal(value)
		if err != nil {
			continue
		}
		list = append(list, variation{path, fmt.Sprintf("variable %s is %.80s", path, shown), func(s *subject) {
			s.fixed = append(slices.Clip(s.fixed), func(in inputs) { s.fix(in, path, value) })
		}})
	}
	return list
}

// fix sets the value at the path of a variable. An object that the Cluster lacks gets what
// it requires.
func (s *subject) fix(in inputs, path string, value any) {
	name, _, nested := strings.Cut(path, ".")
	if _, exists := in[name]; nested && !exists {
		variable := s.variable(name)
		if variable == nil {
			return
		}
		in[name] = sampleOf(&variable.Definitions[0].Schema.OpenAPIV3Schema, false)
	}
	set(in, path, runtime.DeepCopyJSONValue(value))
}

var (
	literal     = regexp.MustCompile("\"([^\"]{0,80})\"|`([^`]{0,80})`")
	dug         = regexp.MustCompile(`\b(?:dig|index|get|hasKey)\s+(?:[.$]\s+)?"([^"]{1,80})"`)
	keyed       = regexp.MustCompile(`(?:annotations"?|labels"?|get \$\w+)\s+"([^"]{1,80})"`)
	wholeNumber = regexp.MustCompile(`\b\d{1,6}\b`)
	versionText = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)
)

// literals lists the words that a template has in quotes.
func literals(text string) (words []string) {
	for _, match := range literal.FindAllStringSubmatch(text, -1) {
		if word := match[1] + match[2]; !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

// valuesOf lists values of the schema that differ for a template: both of a boolean, some
// of an enum, and the words of the template itself. What only rules can tell is left out.
func valuesOf(schema *clusterv1.JSONSchemaProps, text string) []any {
	switch {
	case len(schema.Enum) > 0:
		return choicesOf(schema, text)
	case schema.Type == "boolean":
		return []any{false, true}
	case schema.Type == "integer" || schema.Type == "number":
		return numbersOf(schema, text)
	case schema.Type == "array":
		return listsOf(schema, text)
	case schema.Type == "string" && schema.Pattern == "" && schema.Format == "":
		return wordsOf(schema, text)
	}
	return nil
}

// listsOf are the empty list, and those of one value.
func listsOf(schema *clusterv1.JSONSchemaProps, text string) (values []any) {
	if number(schema.MinItems) == 0 {
		values = append(values, []any{})
	}
	if number(schema.MinItems) <= 1 && schema.Items != nil && !ruled(schema.Items) {
		for _, value := range valuesOf(schema.Items, text) {
			values = append(values, []any{value})
		}
		if schema.Items.Type == "object" && sureSample(schema.Items) {
			values = append(values, []any{sampleOf(schema.Items, true)})
		}
	}
	return values
}

func choicesOf(schema *clusterv1.JSONSchemaProps, text string) (values []any) {
	for i, choice := range schema.Enum {
		var value any
		if json.Unmarshal(choice.Raw, &value) != nil {
			continue
		}
		if word, isText := value.(string); i < maxChoices || (isText && strings.Contains(text, word)) {
			values = append(values, value)
		}
	}
	return values
}

func numbersOf(schema *clusterv1.JSONSchemaProps, text string) (values []any) {
	if schema.ExclusiveMinimum != nil || schema.ExclusiveMaximum != nil {
		return nil
	}
	least := number(schema.Minimum)
	candidates := []float64{least, least + 1, least + 5, number(schema.Maximum)}
	for _, digits := range wholeNumber.FindAllString(text, maxNames) {
		if n, err := strconv.Atoi(digits); err == nil {
			candidates = append(candidates, float64(n-1), float64(n), float64(n+1))
		}
	}
	for _, value := range candidates {
		if value >= least && (schema.Maximum == nil || value <= number(schema.Maximum)) && !slices.Contains(values, any(value)) {
			values = append(values, value)
		}
	}
	return values
}

func wordsOf(schema *clusterv1.JSONSchemaProps, text string) (values []any) {
	words := literals(text)
	for _, word := range append([]string{sampleWord, ""}, words[:min(len(words), maxChoices)]...) {
		length := float64(len(word))
		if length >= number(schema.MinLength) && (schema.MaxLength == nil || length <= number(schema.MaxLength)) {
			values = append(values, word)
		}
	}
	return values
}

// versions lists those that the class admits or, if it admits all, what lies below, above
// and at the versions that the text names.
func (s *subject) versions(text string) []string {
	if admitted := s.class.Spec.KubernetesVersions; len(admitted) > 0 {
		return admitted
	}
	suffix := versionSuffix(s.class)
	list := []string{"v1.28.0" + suffix, "v1.99.0" + suffix}
	for _, version := range versionText.FindAllString(text, maxNames) {
		parts := strings.Split(version, ".")
		if len(parts) == 2 {
			version += ".0"
		}
		list = append(list, "v"+version+suffix)
		if minor, err := strconv.Atoi(parts[1]); err == nil && minor > 0 {
			list = append(list, fmt.Sprintf("v%s.%d.0%s", parts[0], minor-1, suffix))
		}
	}
	return list
}

// sampleVersion is a version that a Cluster of the class may have.
func sampleVersion(class *clusterv1.ClusterClass) string {
	if admitted := class.Spec.KubernetesVersions; len(admitted) > 0 {
		return admitted[len(admitted)-1]
	}
	return "v1.36.0" + versionSuffix(class)
}

// versionSuffix is what the versions of a distribution end with.
func versionSuffix(class *clusterv1.ClusterClass) string {
	switch kind := class.Spec.ControlPlane.TemplateRef.Kind; {
	case strings.HasPrefix(kind, "RKE2"):
		return "+rke2r1"
	case strings.HasPrefix(kind, "KThrees"):
		return "+k3s1"
	}
	return ""
}
