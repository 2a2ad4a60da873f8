package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp/syntax"
	"sync"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// admits returns a check of one value against the schema. Rules in CEL and patterns that
// cost a lot are left to the API server, whose refusal is reported all the same.
func admits(schema *clusterv1.JSONSchemaProps) func(string) error {
	// A validator is made on first use: most passes never need one.
	compiled := sync.OnceValues(func() (*validate.SchemaValidator, error) {
		raw, err := json.Marshal(schema)
		if err != nil {
			return nil, err
		}
		parsed := &spec.Schema{}
		if err := json.Unmarshal(raw, parsed); err != nil {
			return nil, err
		}
		dropCostlyPatterns(parsed)
		return validate.NewSchemaValidator(parsed, nil, "value", strfmt.Default), nil
	})
	return func(value string) error {
		validator, err := compiled()
		if err != nil {
			return fmt.Errorf("schema cannot be read: %w", err)
		}
		return errors.Join(validator.Validate(value).Errors...)
	}
}

// maxPattern is how large a pattern may be once its repetitions are written out: some
// megabytes when it is compiled. That of an IPv6 address has some hundreds.
const maxPattern = 50_000

// dropCostlyPatterns leaves out patterns that would take much memory once compiled, for as
// long as their class exists.
func dropCostlyPatterns(schema *spec.Schema) {
	if schema == nil {
		return
	}
	if parsed, err := syntax.Parse(schema.Pattern, syntax.Perl); err == nil && patternSize(parsed) > maxPattern {
		schema.Pattern = ""
	}
	for _, list := range [][]spec.Schema{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for i := range list {
			dropCostlyPatterns(&list[i])
		}
	}
	dropCostlyPatterns(schema.Not)
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
	return min(size, maxPattern+1)
}
