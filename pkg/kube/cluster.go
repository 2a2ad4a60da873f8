package kube

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Cluster views a Cluster. One of v1beta1 has its apiVersion set, see fromV1Beta1.
func Cluster(c *clusterv1.Cluster) vip.Cluster {
	view := clusterMeta(&c.ObjectMeta)
	classField := "/spec/topology/classRef/name"
	view.APIVersion = clusterv1.GroupVersion.String()
	if isV1Beta1(c) {
		view.APIVersion, classField = c.APIVersion, "/spec/topology/class"
		// Cluster API's webhook writes it so, whatever a user left out.
		view.AbsentEndpoint = map[string]any{"host": "", "port": 0}
	}
	view.Paused = c.Spec.Paused
	view.Endpoint = vip.Endpoint{Host: c.Spec.ControlPlaneEndpoint.Host, Port: c.Spec.ControlPlaneEndpoint.Port}
	view.APIServerPort = c.Spec.ClusterNetwork.APIServerPort
	view.HasInfrastructure = c.Spec.InfrastructureRef.Name != ""
	provisioned := c.Status.Initialization.InfrastructureProvisioned
	view.InfrastructureProvisioned = provisioned != nil && *provisioned
	if view.HasTopology = c.Spec.Topology.IsDefined(); view.HasTopology {
		view.Class, view.ClassField = ClassOf(c), classField
		if c.Spec.Topology.Variables != nil {
			view.Variables = []vip.Variable{}
		}
		for i := range c.Spec.Topology.Variables {
			variable := &c.Spec.Topology.Variables[i]
			view.Variables = append(view.Variables, vip.Variable{Name: variable.Name, Value: json.RawMessage(variable.Value.Raw)})
		}
	}
	view.Conditions = ownConditions(c.Status.Conditions)
	return view
}

// ClassOf returns the ClusterClass that the Cluster names; its Name is empty if it names none.
func ClassOf(c *clusterv1.Cluster) vip.ClassKey {
	ref := c.Spec.Topology.ClassRef
	return classKey(ref.Namespace, ref.Name, c.Namespace)
}

func clusterMeta(m *metav1.ObjectMeta) vip.Cluster {
	view := vip.Cluster{
		Namespace: m.Namespace, Name: m.Name, UID: string(m.UID),
		Created: m.CreationTimestamp.Time, Labels: m.Labels, Annotations: m.Annotations,
		Deleting: !m.DeletionTimestamp.IsZero(),
	}
	for _, owner := range m.OwnerReferences {
		if owner.Kind == "Cluster" && strings.HasPrefix(owner.APIVersion, "provisioning.cattle.io/") {
			view.OwnedByRancher = true
		}
	}
	return view
}

func classKey(namespace, name, clusterNamespace string) vip.ClassKey {
	if namespace == "" {
		namespace = clusterNamespace
	}
	return vip.ClassKey{Namespace: namespace, Name: name}
}

func ownConditions(conditions []metav1.Condition) map[string]vip.Condition {
	own := map[string]vip.Condition{}
	for _, role := range vip.Roles() {
		for i := range conditions {
			if c := &conditions[i]; c.Type == role.ConditionType() {
				own[c.Type] = vip.Condition{True: c.Status == metav1.ConditionTrue, Reason: vip.Reason(c.Reason), Message: c.Message}
			}
		}
	}
	return own
}
