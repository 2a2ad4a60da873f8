package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// complete tells whether there is nothing left to wait for.
func complete(rows []row) bool {
	for _, r := range rows {
		if r.served.IsZero() || r.infrastructure == nil {
			return false
		}
	}
	return true
}

// faults says which infrastructure was born without a VIP of its Cluster.
func faults(rows []row) error {
	var errs []error
	for _, r := range rows {
		if fault := r.fault(); fault != "" {
			errs = append(errs, fmt.Errorf("infrastructure %s of cluster %s was born with %s",
				r.infrastructure.name, r.name, fault))
		}
	}
	return errors.Join(errs...)
}

// fault says what the Cluster's infrastructure lacked when it was born.
func (r row) fault() string {
	switch {
	case r.infrastructure == nil:
		return ""
	case r.infrastructure.host == "":
		return "no host"
	case r.controlPlaneVIP != "" && r.infrastructure.host != r.controlPlaneVIP:
		return "another host: " + r.infrastructure.host
	case r.wantsIngress && r.infrastructure.ingressVIP == "":
		return "no ingress VIP"
	default:
		return ""
	}
}

// countDocuments counts the objects of a YAML stream.
func countDocuments(content []byte) (int, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for count := 0; ; {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return 0, err
		}
		if len(object) > 0 {
			count++
		}
	}
}
