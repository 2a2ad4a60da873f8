package gate

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// variation is another Cluster than the one that sets as little as possible.
type variation struct {
	// text says what is different, as in "variable kubeVip.enabled is true".
	text string
	make func(*subject)
}

// What a class may ask is without bounds; this is what is tried.
const (
	maxVariations = 50
	maxDepth      = 4
	maxChoices    = 8 // of an enum, beside those that the template names
)

// switchedOff tells whether a patch that would wait is off for some Cluster, and nothing
// else waits then. It returns the patch, and by what it is off.
func (s *subject) switchedOff(found *judgement, without situation) (why, patch string) {
	if s.external() != "" {
		return "", "" // which may wait then
	}
	if !found.consumed() {
		if found.off == nil {
			return "", ""
		}
		for _, v := range s.variations(found.off.patch) {
			if other := s.varied(v, found).judge(without); other.gate != nil && other.open == nil {
				return s.whyOff(found.off, "unless "+v.text), found.off.patch.Name
			}
		}
		return s.whyOff(found.off, "for a Cluster that sets nothing else"), found.off.patch.Name
	}
	if found.gate == nil {
		return "", ""
	}
	for _, v := range s.variations(found.gate.patch) {
		if other := s.varied(v, found).judge(without); other.open == nil && !other.consumed() && other.off != nil {
			return s.whyOff(other.off, "if "+v.text), other.off.patch.Name
		}
	}
	return "", ""
}

func (s *subject) whyOff(e *effect, when string) string {
	return fmt.Sprintf("patch %s, which takes variable %s, is off %s, so infrastructure is then built without the VIP: let it be on for every Cluster, %s",
		e.patch.Name, s.path, when, guardIt)
}

// varied is the class for that other Cluster, without the patches that do nothing with the VIP.
func (s *subject) varied(v variation, found *judgement) *subject {
	other := *s
	other.only = found.acting
	v.make(&other)
	return &other
}

// variations lists the Clusters for which the patch may be on or off: with other values of
// what its enabledIf names.
func (s *subject) variations(patch *clusterv1.ClusterClassPatch) (list []variation) {
	text := patch.EnabledIf
	if !strings.Contains(text, "{{") {
		return nil
	}
	if mentions(text, "version") {
		for _, version := range s.versions(text) {
			list = append(list, variation{"the version is " + version, func(s *subject) { s.version = version }})
		}
	}
	if mentions(text, "replicas") {
		for _, replicas := range []float64{1, 3, 5} {
			list = append(list, variation{fmt.Sprintf("the number of replicas is %.0f", replicas), func(s *subject) { s.replicas = replicas }})
		}
	}
	otherName, _, _ := strings.Cut(s.other(), ".")
	for i := range s.class.Status.Variables {
		variable := &s.class.Status.Variables[i]
		if len(variable.Definitions) == 0 || !inline(variable) || !mentions(text, variable.Name) {
			continue
		}
		definition := &variable.Definitions[0]
		if required := definition.Required != nil && *definition.Required; !required && definition.Schema.OpenAPIV3Schema.Default == nil && variable.Name != s.name && variable.Name != otherName {
			list = append(list, variation{fmt.Sprintf("variable %s is absent", variable.Name), func(s *subject) { s.fixed = func(in inputs) { delete(in, variable.Name) } }})
		}
		list = append(list, s.choices(variable.Name, &definition.Schema.OpenAPIV3Schema, text, maxDepth)...)
	}
	return list[:min(len(list), maxVariations)]
}

// choices lists the values that a template may ask for at the path.
func (s *subject) choices(path string, schema *clusterv1.JSONSchemaProps, text string, depth int) (list []variation) {
	if path == s.path || path == s.other() || depth == 0 || !mentions(text, path) {
		return nil
	}
	if schema.Type == "object" {
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			property := schema.Properties[name]
			list = append(list, s.choices(path+"."+name, &property, text, depth-1)...)
		}
		return list
	}
	for _, value := range valuesOf(schema, text) {
		shown, err := json.Marshal(value)
		if err != nil {
			continue
		}
		list = append(list, variation{
			fmt.Sprintf("variable %s is %.80s", path, shown),
			func(s *subject) { s.fixed = func(in inputs) { set(in, path, value) } },
		})
	}
	return list
}

var (
	literal     = regexp.MustCompile("\"([^\"]{1,80})\"|`([^`]{1,80})`")
	versionText = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)
)

// valuesOf lists values of the schema that differ for a template: both of a boolean, some
// of an enum, and the words of the template itself. What only rules can tell is left out.
func valuesOf(schema *clusterv1.JSONSchemaProps, text string) []any {
	ruled := len(schema.XValidations)+len(schema.AllOf)+len(schema.AnyOf)+len(schema.OneOf) > 0 || schema.Not != nil
	switch {
	case len(schema.Enum) > 0:
		return choicesOf(schema, text)
	case schema.Type == "boolean":
		return []any{false, true}
	case ruled:
		return nil
	case schema.Type == "integer" || schema.Type == "number":
		return numbersOf(schema)
	case schema.Type == "string" && schema.Pattern == "" && schema.Format == "":
		return wordsOf(schema, text)
	}
	return nil
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

func numbersOf(schema *clusterv1.JSONSchemaProps) (values []any) {
	if schema.ExclusiveMinimum != nil || schema.ExclusiveMaximum != nil {
		return nil
	}
	for _, more := range []float64{0, 1, 5} {
		if value := number(schema.Minimum) + more; schema.Maximum == nil || value <= number(schema.Maximum) {
			values = append(values, value)
		}
	}
	return values
}

func wordsOf(schema *clusterv1.JSONSchemaProps, text string) (values []any) {
	words := []string{"sample"}
	for _, match := range literal.FindAllStringSubmatch(text, -1) {
		words = append(words, match[1]+match[2])
	}
	for _, word := range words {
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
	list := []string{"v1.20.0" + suffix, "v1.99.0" + suffix}
	for _, version := range versionText.FindAllString(text, -1) {
		if strings.Count(version, ".") == 1 {
			version += ".0"
		}
		list = append(list, "v"+version+suffix)
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
