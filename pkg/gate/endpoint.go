package gate

import (
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"
)

const (
	endpointPath = "/spec/template/spec/controlPlaneEndpoint"
	hostPath     = endpointPath + "/host"
)

// leavesHostNull tells whether the patch would make the host of the infrastructure
// cluster's endpoint null. A template that renders nothing is null, not an empty
// string, and there the topology controller fails before it builds anything: it reads
// the host to find out whether the provider may choose one.
func (s *simulation) leavesHostNull(patch *clusterv1.JSONPatch, to *target, rendered string) bool {
	if to.kind != ofInfrastructure || patch.ValueFrom.Template == "" || !s.setsHostAlone(to) {
		return false
	}
	var value any
	if yaml.Unmarshal([]byte(rendered), &value) != nil {
		return false
	}
	switch patch.Path {
	case hostPath:
		return value == nil
	case endpointPath:
		endpoint, _ := value.(map[string]any)
		host, exists := endpoint["host"]
		return exists && host == nil
	}
	return false
}

// setsHostAlone tells whether the class has one operation only that changes the host.
// Of several, another one may put a value there.
func (s *simulation) setsHostAlone(to *target) bool {
	writers := 0
	for i := range s.subject.class.Spec.Patches {
		patch := &s.subject.class.Spec.Patches[i]
		if patch.External != nil {
			return false
		}
		for j := range patch.Definitions {
			if !to.matches(&patch.Definitions[j].Selector) {
				continue
			}
			for _, operation := range patch.Definitions[j].JSONPatches {
				if operation.Path == hostPath || strings.HasPrefix(hostPath, operation.Path+"/") {
					writers++
				}
			}
		}
	}
	return writers == 1
}
