package suite

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// The allocator's public names, written out once more: a test that took them from
// the product would follow a typing error there.
const (
	prefix = "vip.capi.gorizond.io/"

	poolRole       = prefix + "role"
	poolClass      = prefix + "cluster-class"
	poolNamespaces = prefix + "namespaces"
	poolPriority   = prefix + "priority"
	backfill       = prefix + "backfill"
	bookManual     = prefix + "book-manual"
	manualLabel    = prefix + "manual"
	writtenFor     = prefix + "written-for"
	reservedUntil  = prefix + "reserved-until"

	clusterNameLabel = "cluster.x-k8s.io/cluster-name"
	watchFilterLabel = "cluster.x-k8s.io/watch-filter"
	pausedAnnotation = "cluster.x-k8s.io/paused"

	writtenNone = "none"
)

// Kinds that package observe does not name.
var (
	namespacedPools = schema.GroupVersionResource{Group: "ipam.cluster.x-k8s.io", Version: "v1alpha2", Resource: "inclusterippools"}
	controlPlanes   = schema.GroupVersionResource{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta2", Resource: "democontrolplanes"}
	coreEvents      = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	namespaces      = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	leases          = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	deployments     = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
)

// role says what a VIP is for.
type role string

const (
	controlPlane role = observe.ControlPlane
	ingress      role = observe.Ingress
)

var bothRoles = []role{controlPlane, ingress}

func (r role) enabled() string    { return prefix + string(r) + "-enabled" }
func (r role) poolFilter() string { return prefix + string(r) + "-pool" }
func (r role) stamp() string      { return prefix + string(r) + "-vip" }
func (r role) hasVIP() string     { return prefix + "has-" + string(r) + "-vip" }
func (r role) written() string    { return prefix + string(r) + "-written" }

// variableKey is the ClusterClass annotation that names the role's variable.
func (r role) variableKey() string { return prefix + string(r) + "-variable" }

// variable is the role's variable in a class that names none.
func (r role) variable() string {
	if r == ingress {
		return observe.IngressVariable
	}
	return observe.ControlPlaneVariable
}

func (r role) condition() string {
	if r == ingress {
		return observe.IngressReady
	}
	return observe.ControlPlaneReady
}

// booking is the name of the IPAddress that books a typed VIP of the role for a Cluster.
func (r role) booking(cluster string) string {
	return "vip-manual" + strings.TrimPrefix(r.claim(cluster), "vip")
}

// claim is the name of the role's claim for a Cluster.
func (r role) claim(cluster string) string {
	if r == ingress {
		return "vip-ingress-" + cluster
	}
	return "vip-cp-" + cluster
}

// ready holds the reasons with which a condition is True.
var ready = map[string]bool{
	"Allocated": true, "Manual": true, "Disabled": true, "VariableNotBackfilled": true,
	"ClaimUnused": true, "DuplicateAddress": true, "VariableInUse": true,
}
