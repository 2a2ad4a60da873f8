package vip

import "strings"

// Prefix starts every label and annotation key of the allocator.
const Prefix = "vip.capi.gorizond.io/"

// Keys on pools.
const (
	// PoolClassKey names the classes that a pool serves (label or annotation).
	PoolClassKey = Prefix + "cluster-class"
	// PoolRoleKey names the roles that a pool serves (label or annotation), and
	// the role of a claim (label).
	PoolRoleKey = Prefix + "role"
	// PoolNamespacesKey limits a cluster-scoped pool to Clusters of some namespaces (annotation).
	PoolNamespacesKey = Prefix + "namespaces"
	// PoolPriorityKey ranks pools, higher first (annotation).
	PoolPriorityKey = Prefix + "priority"
	// PoolBookKey with the value "false" keeps VIPs that people typed from being booked in
	// the pool (annotation).
	PoolBookKey = Prefix + "book-manual"
)

// ManualLabel on an IPAddress with the value "true" says that it books a VIP that somebody typed.
const ManualLabel = Prefix + "manual"

// Keys on Clusters that do not depend on a role.
const (
	// BackfillAnnotation with the value "true" lets variables be filled on a
	// Cluster that already has infrastructure.
	BackfillAnnotation = Prefix + "backfill"
	// HeldAnnotation marks a Cluster that our own admission policy paused.
	HeldAnnotation = Prefix + "held"
	// WrittenForAnnotation names, as namespace/name, the Cluster that our annotations
	// were written for. On any other they are leftovers of a copied manifest.
	WrittenForAnnotation = Prefix + "written-for"
)

// ReservedUntilAnnotation says until when, in RFC 3339, a claim without owner is kept for a
// Cluster of its name. `kubectl vip reserve` makes such claims.
const ReservedUntilAnnotation = Prefix + "reserved-until"

// Keys on Rancher and Fleet Clusters, beside the stamps.
const (
	// PropagatedAnnotation records what was written there and for which Cluster, so
	// that it is told from what others wrote under the same keys.
	PropagatedAnnotation = Prefix + "propagated"
	// FleetNameLabel and FleetNamespaceLabel on a Fleet Cluster that was registered
	// by hand name the Cluster whose VIPs it is to get.
	FleetNameLabel      = Prefix + "cluster-name"
	FleetNamespaceLabel = Prefix + "cluster-namespace"
)

// Keys of Cluster API that the allocator reads or writes.
const (
	ClusterNameLabel = "cluster.x-k8s.io/cluster-name"
	WatchFilterLabel = "cluster.x-k8s.io/watch-filter"
	PausedAnnotation = "cluster.x-k8s.io/paused"
)

// PortVariableAnnotation is the ClusterClass annotation that names the variable, or the
// path of a field in it, which holds the port of the control plane's endpoint.
const PortVariableAnnotation = Prefix + "control-plane-port-variable"

// WrittenNone is the value of the written annotation when a publication wrote no variable.
const WrittenNone = "none"

// EnabledAnnotation is the Cluster annotation that switches the role off with the value "false".
func (r Role) EnabledAnnotation() string { return Prefix + string(r) + "-enabled" }

// PoolAnnotation is the Cluster annotation that filters the role's pools by name.
func (r Role) PoolAnnotation() string { return Prefix + string(r) + "-pool" }

// Stamp is the key of the annotation and label that publish the role's VIP.
func (r Role) Stamp() string { return Prefix + string(r) + "-vip" }

// StampedLabel is the label that says "true" once the role's VIP is stamped.
func (r Role) StampedLabel() string { return Prefix + "has-" + string(r) + "-vip" }

// WrittenAnnotation records which variable a publication from a claim wrote.
func (r Role) WrittenAnnotation() string { return Prefix + string(r) + "-written" }

// VariableAnnotation is the ClusterClass annotation that names the role's
// variable, or the path of a field in it.
func (r Role) VariableAnnotation() string { return Prefix + string(r) + "-variable" }

// DefaultVariable is the variable of a class that names none.
func (r Role) DefaultVariable() string {
	if r == Ingress {
		return "ingressVip"
	}
	return "clusterVip"
}

// place names, for people, where the role's VIP stands first of all.
func (r Role) place() string {
	if r == Ingress {
		return "annotation " + r.Stamp()
	}
	return "spec.controlPlaneEndpoint.host"
}

// ConditionType is the type of the Cluster condition that reports the role.
func (r Role) ConditionType() string {
	if r == Ingress {
		return "IngressVIPReady"
	}
	return "ControlPlaneVIPReady"
}

func (r Role) claimPrefix() string {
	if r == Ingress {
		return "vip-ingress-"
	}
	return "vip-cp-"
}

// ClaimName is the name of the role's claim for the Cluster of that name.
func (r Role) ClaimName(cluster string) string { return r.claimPrefix() + cluster }

// BookingName is the name of the IPAddress that books a typed VIP of the role for the
// Cluster of that name.
func (r Role) BookingName(cluster string) string {
	return "vip-manual-" + strings.TrimPrefix(r.claimPrefix(), "vip-") + cluster
}

// ParseBookingName leads from an IPAddress's name to the Cluster and role that it books
// an address for; ok is false for a name that no booking has.
func ParseBookingName(name string) (cluster string, role Role, ok bool) {
	rest, found := strings.CutPrefix(name, "vip-manual-")
	if !found {
		return "", "", false
	}
	return ParseClaimName("vip-" + rest)
}

// ParseClaimName leads from a claim's name to the Cluster and role that it
// belongs to; ok is false for a name that is not one of ours.
func ParseClaimName(claim string) (cluster string, role Role, ok bool) {
	for _, role := range Roles() {
		if cluster, found := strings.CutPrefix(claim, role.claimPrefix()); found && cluster != "" {
			return cluster, role, true
		}
	}
	return "", "", false
}
