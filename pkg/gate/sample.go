package gate

import (
	"encoding/json"
	"slices"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// sampleOf makes a value that a user of the class may have chosen: the default, or
// what the schema requires at least. A full one has every optional field too.
func sampleOf(schema *clusterv1.JSONSchemaProps, full bool) any {
	var value any
	switch {
	case schema.Default != nil && json.Unmarshal(schema.Default.Raw, &value) == nil:
	case len(schema.Enum) > 0 && json.Unmarshal(schema.Enum[0].Raw, &value) == nil:
	default:
		value = sampleOfType(schema, full)
	}
	applyDefaults(schema, value)
	return value
}

func sampleOfType(schema *clusterv1.JSONSchemaProps, full bool) any {
	switch schema.Type {
	case "object":
		object := map[string]any{}
		for name := range schema.Properties {
			if property := schema.Properties[name]; full || slices.Contains(schema.Required, name) {
				object[name] = sampleOf(&property, full)
			}
		}
		return object
	case "array":
		list := []any{}
		if schema.Items != nil && (full || number(schema.MinItems) > 0) {
			list = append(list, sampleOf(schema.Items, full))
		}
		return list
	case "boolean":
		return true
	case "integer", "number":
		return max(1, number(schema.Minimum))
	}
	// No sane schema asks for more, and an insane one must not cost memory.
	if missing := min(number(schema.MinLength), 256) - float64(len(sampleWord)); missing > 0 {
		return sampleWord + strings.Repeat("x", int(missing))
	}
	return sampleWord
}

// number has the type that decoding JSON gives to numbers.
func number(pointer *int64) float64 {
	if pointer == nil {
		return 0
	}
	return float64(*pointer)
}

// applyDefaults completes a value as Cluster API does: fields that are absent from
// an object that is there.
func applyDefaults(schema *clusterv1.JSONSchemaProps, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name := range schema.Properties {
			property := schema.Properties[name]
			if _, exists := value[name]; !exists && property.Default != nil {
				var field any
				if json.Unmarshal(property.Default.Raw, &field) == nil {
					value[name] = field
				}
			}
			if field, exists := value[name]; exists {
				applyDefaults(&property, field)
			}
		}
		if schema.AdditionalProperties != nil {
			for name, field := range value {
				if _, declared := schema.Properties[name]; !declared {
					applyDefaults(schema.AdditionalProperties, field)
				}
			}
		}
	case []any:
		if schema.Items != nil {
			for _, entry := range value {
				applyDefaults(schema.Items, entry)
			}
		}
	}
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
