package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"sync"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// admits returns a check of one value against the schema. What costs a lot, and rules in
// CEL, are left to the API server, whose refusal is reported all the same.
func admits(schema *clusterv1.JSONSchemaProps) func(string) error {
	check := admitsValue(schema)
	return func(value string) error { return check(value) }
}

func admitsValue(schema *clusterv1.JSONSchemaProps) func(any) error {
	// A validator is made on first use: most passes never need one.
	compiled := sync.OnceValues(func() (*validator, error) { return newValidator(schema) })
	return func(value any) error {
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
	schema   *validate.SchemaValidator
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
	v.takePatterns(parsed, new(int))
	v.schema = validate.NewSchemaValidator(parsed, nil, "value", strfmt.Default)
	return v, nil
}

func (v *validator) validate(value any) error {
	errs := v.schema.Validate(value).Errors
	text, isText := value.(string)
	for _, pattern := range v.patterns {
		if isText && !pattern.MatchString(text) {
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
// validator. What it must leave out is left out whole, so that no value is refused which
// the API server takes: a pattern that is too large, and what decides by patterns of its own.
func (v *validator) takePatterns(schema *spec.Schema, size *int) {
	if parsed, err := syntax.Parse(schema.Pattern, syntax.Perl); err == nil && schema.Pattern != "" {
		if *size += patternSize(parsed); *size <= maxPatterns {
			if pattern, err := regexp.Compile(schema.Pattern); err == nil {
				v.patterns = append(v.patterns, pattern)
			}
		}
	}
	schema.Pattern = ""
	for i := range schema.AllOf {
		v.takePatterns(&schema.AllOf[i], size)
	}
	if slices.ContainsFunc(schema.AnyOf, hasPattern) {
		schema.AnyOf = nil
	}
	if slices.ContainsFunc(schema.OneOf, hasPattern) {
		schema.OneOf = nil
	}
	if schema.Not != nil && hasPattern(*schema.Not) {
		schema.Not = nil
	}
}

func hasPattern(schema spec.Schema) bool {
	return schema.Pattern != "" || slices.ContainsFunc(schema.AllOf, hasPattern) || slices.ContainsFunc(schema.AnyOf, hasPattern) ||
		slices.ContainsFunc(schema.OneOf, hasPattern) || schema.Not != nil && hasPattern(*schema.Not)
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
