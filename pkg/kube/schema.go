package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"sync"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// admits returns a check of one value against the schema. What costs a lot, and rules in
// CEL, are left to the API server, whose refusal is reported all the same.
func admits(schema *clusterv1.JSONSchemaProps) func(string) error {
	// A validator is made on first use: most passes never need one.
	compiled := sync.OnceValues(func() (*validator, error) { return newValidator(schema) })
	return func(value string) error {
		v, err := compiled()
		if err != nil {
			return fmt.Errorf("schema cannot be read: %w", err)
		}
		return v.validate(value)
	}
}

// validator checks values. It holds the patterns itself: the library keeps every pattern
// that it was ever given, for as long as the process lives.
type validator struct {
	schema   *validate.SchemaValidator // nil if everything is admitted
	patterns []*regexp.Regexp
}

func newValidator(schema *clusterv1.JSONSchemaProps) (*validator, error) {
	raw, err := json.Marshal(schema)
	if err != nil {
		return nil, err
	}
	parsed := &spec.Schema{}
	if err := json.Unmarshal(raw, parsed); err != nil {
		return nil, err
	}
	v := &validator{}
	if !v.takePatterns(parsed, new(int)) {
		return &validator{}, nil
	}
	v.schema = validate.NewSchemaValidator(parsed, nil, "value", strfmt.Default)
	return v, nil
}

func (v *validator) validate(value string) error {
	if v.schema == nil {
		return nil
	}
	errs := v.schema.Validate(value).Errors
	for _, pattern := range v.patterns {
		if !pattern.MatchString(value) {
			errs = append(errs, fmt.Errorf("value in body should match '%s'", pattern))
		}
	}
	return errors.Join(errs...)
}

// maxPatterns is how large the patterns of a schema may be together once repetitions are
// written out: some megabytes when they are compiled. That of an IPv6 address has some
// hundreds.
const maxPatterns = 50_000

// takePatterns moves the patterns that every value must match from the schema to the
// validator. It is not ok if they are too large, or if there are others: a pattern that is
// left out where it may fail would change what is admitted.
func (v *validator) takePatterns(schema *spec.Schema, size *int) (ok bool) {
	if schema.Pattern != "" {
		parsed, err := syntax.Parse(schema.Pattern, syntax.Perl)
		if err != nil {
			return false
		}
		if *size += patternSize(parsed); *size > maxPatterns {
			return false
		}
		pattern, err := regexp.Compile(schema.Pattern)
		if err != nil {
			return false
		}
		v.patterns, schema.Pattern = append(v.patterns, pattern), ""
	}
	for i := range schema.AllOf {
		if !v.takePatterns(&schema.AllOf[i], size) {
			return false
		}
	}
	for _, list := range [][]spec.Schema{schema.AnyOf, schema.OneOf} {
		for i := range list {
			if hasPattern(&list[i]) {
				return false
			}
		}
	}
	return schema.Not == nil || !hasPattern(schema.Not)
}

func hasPattern(schema *spec.Schema) bool {
	if schema.Pattern != "" {
		return true
	}
	for _, list := range [][]spec.Schema{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for i := range list {
			if hasPattern(&list[i]) {
				return true
			}
		}
	}
	return schema.Not != nil && hasPattern(schema.Not)
}

// patternSize estimates the size of the compiled pattern, whose repetitions are copies.
func patternSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		size += patternSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, maxPatterns+1)
}
