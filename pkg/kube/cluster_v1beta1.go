package kube

import (
	"encoding/json"

	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1" //nolint:staticcheck // management clusters before Cluster API 1.11 serve nothing else

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ClusterV1Beta1 views a Cluster of Cluster API v1beta1.
func ClusterV1Beta1(c *clusterv1beta1.Cluster) vip.Cluster {
	view := clusterMeta(&c.ObjectMeta)
	if c.Spec.Paused {
		view.Paused = &c.Spec.Paused
	}
	view.Endpoint = vip.Endpoint{Host: c.Spec.ControlPlaneEndpoint.Host, Port: c.Spec.ControlPlaneEndpoint.Port}
	view.AbsentEndpoint = map[string]any{"host": "", "port": 0}
	view.HasInfrastructure = c.Spec.InfrastructureRef != nil
	view.InfrastructureProvisioned = c.Status.InfrastructureReady
	if topology := c.Spec.Topology; topology != nil {
		view.HasTopology = true
		view.Class, view.ClassField = classKey(topology.ClassNamespace, topology.Class, c.Namespace), "/spec/topology/class"
		for i := range topology.Variables {
			variable := &topology.Variables[i]
			view.Variables = append(view.Variables, vip.Variable{Name: variable.Name, Value: json.RawMessage(variable.Value.Raw)})
		}
	}
	if c.Status.V1Beta2 != nil {
		view.Conditions = ownConditions(c.Status.V1Beta2.Conditions)
	}
	return view
}
