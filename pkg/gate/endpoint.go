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
	if to.kind != ofInfrastructure || patch.ValueFrom.Template == "" || s.lastHost(to) != patch {
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

// lastHost returns the operation that sets the host of this Cluster, of several the last;
// nil where an external patch may do so.
func (s *simulation) lastHost(to *target) (last *clusterv1.JSONPatch) {
	for i := range s.subject.class.Spec.Patches {
		patch := &s.subject.class.Spec.Patches[i]
		if patch.External != nil {
			return nil
		}
		if on, err := s.worlds[0].without.enables(patch.EnabledIf); err == nil && !on {
			continue
		}
		for j := range patch.Definitions {
			definition := &patch.Definitions[j]
			if !to.matches(&definition.Selector) {
				continue
			}
			for k := range definition.JSONPatches {
				if operation := &definition.JSONPatches[k]; operation.Path == hostPath || strings.HasPrefix(hostPath, operation.Path+"/") {
					last = operation
				}
			}
		}
	}
	return last
}
