package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// admits returns a check of one value against the schema. Rules in CEL are left
// to the API server, whose refusal is reported all the same.
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
