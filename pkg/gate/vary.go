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
	if found.consumed() {
		if found.gate == nil {
			return "", ""
		}
		for _, v := range s.variations(found.gate.patch) {
			other := s.varied(v)
			built := other.judge(without)
			e := other.builder(&built, without)
			if e == nil {
				continue
			}
			if e == built.open {
				return "if " + v.text + ", " + s.whyOpen(e, without), e.patch.Name
			}
			return s.whyOff(e, "if "+v.text), e.patch.Name
		}
		return "", ""
	}
	if found.off == nil || s.builder(found, without) == nil {
		return "", ""
	}
	for _, v := range s.variations(found.off.patch) {
		if other := s.varied(v).judge(without); other.gate != nil && other.open == nil {
			return s.whyOff(found.off, "unless "+v.text), found.off.patch.Name
		}
	}
	return s.whyOff(found.off, "for a Cluster that sets nothing else"), found.off.patch.Name
}

// builder returns the patch for which Cluster API builds this Cluster without its VIP: one
// that takes no VIP, or that would wait and is off. It claims nothing of a Cluster that the
// class may not admit.
func (s *subject) builder(found *judgement, without situation) *effect {
	e := found.open
	if e == nil || e.off {
		e = found.off
	}
	if e == nil || found.consumed() || !s.sure(e.patch.EnabledIf) || s.fails(without) {
		return nil
	}
	return e
}

// fails tells whether any patch of the class fails for this Cluster, whatever it is for.
func (s *subject) fails(without situation) bool {
	run := &simulation{subject: s, worlds: s.worlds(without)}
	list := targets(s.class)
	for i := range s.class.Spec.Patches {
		for j := range list {
			if patch := &s.class.Spec.Patches[i]; patch.External == nil && run.failsOn(patch, &list[j]) {
				return true
			}
		}
	}
	return false
}

// failsOn goes by the first world alone: that of the Cluster which sets as little as possible.
func (s *simulation) failsOn(patch *clusterv1.ClusterClassPatch, to *target) bool {
	in := s.seenBy(to)[0].without
	for i := range patch.Definitions {
		definition := &patch.Definitions[i]
		if to.worker != "" || !to.matches(&definition.Selector) {
			continue
		}
		s.subject.evaluator.begin(patch)
		if on, err := in.enables(patch.EnabledIf); err != nil || !on {
			return err != nil
		}
		for _, operation := range definition.JSONPatches {
			if operation.ValueFrom == nil || operation.Op == "remove" {
				continue
			}
			if _, err := in.valueFrom(operation.ValueFrom); err != nil {
				return true
			}
		}
	}
	return false
}

// sure tells whether the samples of the variables that the text names are values that the
// class admits, as far as can be told without its rules.
func (s *subject) sure(text string) bool {
	for i := range s.class.Status.Variables {
		variable := &s.class.Status.Variables[i]
		if len(variable.Definitions) == 0 || variable.Name == s.name || !mentions(text, variable.Name) {
			continue
		}
		if definition := &variable.Definitions[0]; isRequired(definition) && !sureSample(&definition.Schema.OpenAPIV3Schema) {
			return false
		}
	}
	return true
}

// sureSample tells whether sampleOf makes a value that the schema takes.
func sureSample(schema *clusterv1.JSONSchemaProps) bool {
	switch {
	case schema.Default != nil:
		return true
	case ruled(schema):
		return false
	case len(schema.Enum) > 0 || schema.Type == "boolean":
		return true
	case schema.Type == "object":
		if schema.MinProperties != nil || schema.MaxProperties != nil {
			return false
		}
		for _, name := range schema.Required {
			if property, exists := schema.Properties[name]; !exists || !sureSample(&property) {
				return false
			}
		}
		return true
	case schema.Type == "array":
		return schema.MinItems == nil
	case schema.Type == "integer" || schema.Type == "number":
		return schema.Maximum == nil || number(schema.Maximum) >= max(1, number(schema.Minimum))
	}
	return schema.Pattern == "" && schema.Format == "" && schema.MaxLength == nil && number(schema.MinLength) <= 256
}

// ruled tells whether only the API server can say what the schema takes.
func ruled(schema *clusterv1.JSONSchemaProps) bool {
	return len(schema.XValidations)+len(schema.AllOf)+len(schema.AnyOf)+len(schema.OneOf) > 0 || schema.Not != nil
}

func (s *subject) whyOff(e *effect, when string) string {
	return fmt.Sprintf("patch %s, which takes variable %s, is off %s, so infrastructure is then built without the VIP: let it be on for every Cluster, %s",
		e.patch.Name, s.path, when, guardIt)
}

// varied is the class for that other Cluster.
func (s *subject) varied(v variation) *subject {
	other := *s
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
		if !isRequired(definition) && definition.Schema.OpenAPIV3Schema.Default == nil && variable.Name != s.name && variable.Name != otherName {
			list = append(list, variation{fmt.Sprintf("variable %s is absent", variable.Name), func(s *subject) { s.fixed = func(in inputs) { delete(in, variable.Name) } }})
		}
		list = append(list, s.choices(variable.Name, &definition.Schema.OpenAPIV3Schema, text, maxDepth)...)
	}
	return list[:min(len(list), maxVariations)]
}

// choices lists the values that a template may ask for at the path.
func (s *subject) choices(path string, schema *clusterv1.JSONSchemaProps, text string, depth int) (list []variation) {
	if path == s.path || path == s.other() || depth == 0 || !mentions(text, path) || ruled(schema) {
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
	switch {
	case len(schema.Enum) > 0:
		return choicesOf(schema, text)
	case schema.Type == "boolean":
		return []any{false, true}
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
	words := []string{"sample", ""}
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
	list := []string{"v1.28.0" + suffix, "v1.99.0" + suffix}
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
