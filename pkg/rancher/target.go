package rancher

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Kind is a kind of target, in the words that people read.
type Kind string

// The kinds of targets.
const (
	// RancherCluster is a Cluster of management.cattle.io.
	RancherCluster Kind = "Rancher Cluster"
	// FleetCluster is a Cluster of fleet.cattle.io.
	FleetCluster Kind = "Fleet Cluster"
)

// Kinds lists the kinds of targets.
func Kinds() []Kind { return []Kind{RancherCluster, FleetCluster} }

// Keys of others that say what a target is.
const (
	// Rancher Turtles puts these on the Rancher Cluster that it imports a Cluster as.
	importedNameLabel      = "cluster-api.cattle.io/capi-cluster-owner"
	importedNamespaceLabel = "cluster-api.cattle.io/capi-cluster-owner-ns"
	// externallyManaged on a Rancher Cluster says that Rancher makes no Fleet Cluster of it.
	externallyManaged = "provisioning.cattle.io/externally-managed"
	// derivedLabel is on every Fleet Cluster that Rancher makes.
	derivedLabel = "management.cattle.io/cluster-name"
	// addonManager is CAAPF in managedFields.
	addonManager = "addon-provider-fleet"
	// clusterGroup and clusterKind are the Cluster's own, in ownerReferences.
	clusterGroup, clusterKind = "cluster.x-k8s.io/", "Cluster"
)

// Target is a Rancher or Fleet Cluster.
type Target struct {
	Kind                          Kind
	Namespace, Name, UID, Version string
	Labels, Annotations           map[string]string
	Deleting, External, Derived   bool
	// ByAddon says that CAAPF made it, for the Cluster of OwnerUID if that is set.
	ByAddon  bool
	OwnerUID string
	// Cluster is the Cluster that it belongs to, and Named says that it names that
	// Cluster itself; otherwise only our record does.
	Cluster types.NamespacedName
	Named   bool
	Record  Record
	// Settling names the roles of which somebody has just taken off a label.
	Settling map[vip.Role]bool
}

// String returns "Kind namespace/name".
func (t *Target) String() string {
	if t.Namespace == "" {
		return string(t.Kind) + " " + t.Name
	}
	return string(t.Kind) + " " + t.Namespace + "/" + t.Name
}

// NewTarget views the metadata of a Rancher or Fleet Cluster.
func NewTarget(kind Kind, o *metav1.PartialObjectMetadata) Target {
	t := Target{
		Kind: kind, Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), Version: o.ResourceVersion,
		Labels: o.Labels, Annotations: o.Annotations, Deleting: !o.DeletionTimestamp.IsZero(),
		Record: parseRecord(o.Annotations[vip.PropagatedAnnotation]),
	}
	if kind == RancherCluster {
		// As Rancher reads it.
		t.External = o.Annotations[externallyManaged] != "" && o.Annotations[externallyManaged] != "false"
		t.name(o.Labels[importedNamespaceLabel], o.Labels[importedNameLabel])
	} else {
		t.viewFleet(o)
	}
	if !t.Named {
		t.Cluster = t.Record.Cluster // on a derived one a copy, like the stamps
	}
	return t
}

func (t *Target) viewFleet(o *metav1.PartialObjectMetadata) {
	_, t.Derived = o.Labels[derivedLabel]
	t.ByAddon = slices.ContainsFunc(o.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == addonManager })
	t.name(o.Labels[vip.FleetNamespaceLabel], o.Labels[vip.FleetNameLabel])
	for _, owner := range o.OwnerReferences {
		if isCluster(owner) {
			t.ByAddon, t.OwnerUID = true, string(owner.UID)
			t.name(o.Namespace, owner.Name)
		}
	}
}

func (t *Target) name(namespace, name string) {
	if namespace != "" && name != "" {
		t.Cluster, t.Named = types.NamespacedName{Namespace: namespace, Name: name}, true
	}
}

// stripped tells whether a label that we wrote for the role is gone.
func (t *Target) stripped(role vip.Role) bool {
	return slices.ContainsFunc(entries(role, t.Record.VIPs[role]), func(e entry) bool {
		return e.label && e.value != "" && e.on(t) == ""
	})
}

// carries tells whether the target has the whole stamp of a role.
func (t *Target) carries(role vip.Role, address string) bool {
	return !slices.ContainsFunc(entries(role, address), func(e entry) bool { return e.on(t) != e.value })
}

func isCluster(owner metav1.OwnerReference) bool {
	return owner.Kind == clusterKind && strings.HasPrefix(owner.APIVersion, clusterGroup)
}

// sameMetadata tells whether two states of an object are the same target. Rancher
// and Fleet write the status of theirs all the time.
func sameMetadata(a, b *metav1.PartialObjectMetadata) bool {
	return a.UID == b.UID && a.DeletionTimestamp.IsZero() == b.DeletionTimestamp.IsZero() &&
		maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) &&
		len(a.ManagedFields) == len(b.ManagedFields) && slices.EqualFunc(a.OwnerReferences, b.OwnerReferences,
		func(x, y metav1.OwnerReference) bool { return x.UID == y.UID && x.Name == y.Name })
}

// trim leaves of an object what NewTarget reads.
func trim(object any) (any, error) {
	o, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil // a tombstone of the informer
	}
	o.Labels, o.Annotations = ours(o.Labels), ours(o.Annotations)
	o.OwnerReferences = slices.DeleteFunc(o.OwnerReferences, func(owner metav1.OwnerReference) bool { return !isCluster(owner) })
	managed := slices.ContainsFunc(o.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == addonManager })
	if o.ManagedFields = nil; managed {
		o.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: addonManager}}
	}
	o.Finalizers, o.GenerateName = nil, ""
	return o, nil
}

func ours(values map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range values {
		switch key {
		case importedNameLabel, importedNamespaceLabel, externallyManaged, derivedLabel:
			kept[key] = value
		default:
			if strings.HasPrefix(key, vip.Prefix) {
				kept[key] = value
			}
		}
	}
	return kept
}
