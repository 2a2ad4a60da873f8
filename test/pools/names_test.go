package pools

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// The allocator's public names, written out once more.
const (
	prefix           = "vip.capi.gorizond.io/"
	pausedAnnotation = "cluster.x-k8s.io/paused"
	watchFilter      = "cluster.x-k8s.io/watch-filter"
	clusterName      = "cluster.x-k8s.io/cluster-name"
)

var (
	inClusterPools = schema.GroupVersionResource{Group: "ipam.cluster.x-k8s.io", Version: "v1alpha2", Resource: "inclusterippools"}
	leases         = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	namespaces     = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	coreEvents     = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

// role says what a VIP is for.
type role string

const (
	controlPlane role = observe.ControlPlane
	ingress      role = observe.Ingress
)

var bothRoles = []role{controlPlane, ingress}

func (r role) stamp() string   { return prefix + string(r) + "-vip" }
func (r role) written() string { return prefix + string(r) + "-written" }

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

func (r role) claim(cluster string) string {
	if r == ingress {
		return "vip-ingress-" + cluster
	}
	return "vip-cp-" + cluster
}

var addressLease = regexp.MustCompile(`^vip-[0-9a-f]{32}$`)

// leases lists the Leases of addresses that Clusters of the world hold or held.
func (w *world) leases() []string {
	w.t.Helper()
	var names []string
	for _, lease := range w.list(leases, allocator.Namespace) {
		holder := lease.GetAnnotations()[prefix+"cluster"]
		if addressLease.MatchString(lease.GetName()) && strings.HasPrefix(holder, w.namespace+"/") {
			names = append(names, lease.GetName())
		}
	}
	return names
}
