package kube

import (
	"slices"
	"unique"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Trim drops from a cached object what nobody here reads and what weighs most, and
// shares the strings that thousands of objects have in common. Bookkeeping of apply
// sets stays: they compare it.
func Trim(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		// A tombstone of the informer passes as it is.
		return object, nil //nolint:nilerr // see above
	}
	accessor.SetManagedFields(nil)
	annotations := accessor.GetAnnotations()
	if annotations[lastApplied] != "" {
		// The key stays: a patch must know whether the object has annotations at all.
		annotations[lastApplied] = ""
	}
	accessor.SetNamespace(shared(accessor.GetNamespace()))
	accessor.SetAnnotations(sharedKeys(annotations))
	accessor.SetLabels(sharedKeys(accessor.GetLabels()))
	owners := accessor.GetOwnerReferences()
	for i := range owners {
		owners[i].APIVersion, owners[i].Kind = shared(owners[i].APIVersion), shared(owners[i].Kind)
	}
	accessor.SetOwnerReferences(slices.Clip(owners))
	finalizers := accessor.GetFinalizers()
	for i := range finalizers {
		finalizers[i] = shared(finalizers[i])
	}
	switch object := object.(type) {
	case *clusterv1.Cluster:
		trimCluster(object)
	case *ipamv1.IPAddressClaim:
		shareKind(&object.TypeMeta)
		sharePool(&object.Spec.PoolRef)
	case *ipamv1.IPAddress:
		shareKind(&object.TypeMeta)
		sharePool(&object.Spec.PoolRef)
	}
	return object, nil
}

func shareKind(kind *metav1.TypeMeta) {
	kind.APIVersion, kind.Kind = shared(kind.APIVersion), shared(kind.Kind)
}

func sharePool(pool *ipamv1.IPPoolReference) {
	pool.APIGroup, pool.Kind, pool.Name = shared(pool.APIGroup), shared(pool.Kind), shared(pool.Name)
}

// trimCluster leaves out what Cluster API tells about a Cluster, which is half of it.
// Clusters are patched and never put, so nothing is lost. Of other controllers'
// conditions the types stay: a patch of ours names its place in the list.
func trimCluster(cluster *clusterv1.Cluster) {
	shareKind(&cluster.TypeMeta)
	cluster.Spec.ClusterNetwork = clusterv1.ClusterNetwork{APIServerPort: cluster.Spec.ClusterNetwork.APIServerPort}
	cluster.Spec.Topology.ControlPlane = clusterv1.ControlPlaneTopology{}
	cluster.Spec.Topology.Workers = clusterv1.WorkersTopology{}
	cluster.Status.Deprecated = nil
	cluster.Status.ControlPlane, cluster.Status.Workers, cluster.Status.FailureDomains = nil, nil, nil
	if cluster.Status.Conditions == nil {
		return
	}
	conditions := make([]metav1.Condition, len(cluster.Status.Conditions)) // without spare room
	for i, condition := range cluster.Status.Conditions {
		conditionType := shared(condition.Type)
		if isOwnCondition(conditionType) {
			conditions[i] = condition
		}
		conditions[i].Type = conditionType
	}
	cluster.Status.Conditions = conditions
}

func isOwnCondition(conditionType string) bool {
	for _, role := range vip.Roles() {
		if conditionType == role.ConditionType() {
			return true
		}
	}
	return false
}

// shared returns the one copy of a string.
func shared(text string) string { return unique.Make(text).Value() }

func sharedKeys(values map[string]string) map[string]string {
	if values == nil {
		return nil
	}
	result := make(map[string]string, len(values))
	for key, value := range values {
		result[shared(key)] = value
	}
	return result
}
