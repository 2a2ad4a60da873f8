package observe

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

// Resources that tests and benchmarks look at.
var (
	Clusters       = clusterv1.GroupVersion.WithResource("clusters")
	ClusterClasses = clusterv1.GroupVersion.WithResource("clusterclasses")
	Claims         = ipamv1.GroupVersion.WithResource("ipaddressclaims")
	Addresses      = ipamv1.GroupVersion.WithResource("ipaddresses")
	GlobalPools    = schema.GroupVersionResource{
		Group: "ipam.cluster.x-k8s.io", Version: "v1alpha2", Resource: "globalinclusterippools",
	}
	DemoClusters = schema.GroupVersionResource{
		Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Resource: "democlusters",
	}
)

// The allocator's public names.
const (
	RoleLabel            = "vip.capi.gorizond.io/role"
	ClassLabel           = "vip.capi.gorizond.io/cluster-class"
	ControlPlane         = "control-plane" // a value of RoleLabel
	Ingress              = "ingress"       // likewise
	IngressEnabled       = "vip.capi.gorizond.io/ingress-enabled"
	ControlPlaneVIP      = "vip.capi.gorizond.io/control-plane-vip"
	IngressVIP           = "vip.capi.gorizond.io/ingress-vip"
	HasControlPlaneVIP   = "vip.capi.gorizond.io/has-control-plane-vip"
	HasIngressVIP        = "vip.capi.gorizond.io/has-ingress-vip"
	ControlPlaneVariable = "clusterVip"
	IngressVariable      = "ingressVip"
	ControlPlaneReady    = "ControlPlaneVIPReady" // a condition
	IngressReady         = "IngressVIPReady"      // likewise
	UserAgent            = "capi-vip-allocator"   // what its requests call themselves
)

// DemoCluster is the infrastructure cluster of the management cluster for tests.
type DemoCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ControlPlaneEndpoint clusterv1.APIEndpoint `json:"controlPlaneEndpoint"`
		IngressVIP           string                `json:"ingressVIP"`
	} `json:"spec"`
}

// Variable is the value of a string variable of a Cluster, "" if it has none.
func Variable(cluster *clusterv1.Cluster, name string) string {
	for _, variable := range cluster.Spec.Topology.Variables {
		if variable.Name != name {
			continue
		}
		var value string
		if err := json.Unmarshal(variable.Value.Raw, &value); err == nil {
			return value
		}
	}
	return ""
}

// WantsIngress tells whether a Cluster should get an ingress VIP.
func WantsIngress(cluster *clusterv1.Cluster) bool {
	return cluster.Annotations[IngressEnabled] != "false"
}

// CarriesControlPlaneVIP tells whether a Cluster has a control-plane VIP
// wherever the example class needs it.
func CarriesControlPlaneVIP(cluster *clusterv1.Cluster) bool {
	host := cluster.Spec.ControlPlaneEndpoint.Host
	return host != "" && cluster.Spec.ControlPlaneEndpoint.Port != 0 &&
		Variable(cluster, ControlPlaneVariable) == host
}

// CarriesIngressVIP tells whether a Cluster has an ingress VIP as variable and
// as stamp.
func CarriesIngressVIP(cluster *clusterv1.Cluster) bool {
	vip := Variable(cluster, IngressVariable)
	return vip != "" && cluster.Annotations[IngressVIP] == vip
}
