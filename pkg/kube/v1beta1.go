package kube

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1" //nolint:staticcheck // management clusters before Cluster API 1.11 serve nothing else
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1beta1 "sigs.k8s.io/cluster-api/api/ipam/v1beta1" //nolint:staticcheck // as above
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

// Objects of v1beta1 are handled in the Go types of v1beta2. They keep their
// apiVersion: by it Cluster and the conditions know where a field stands in the API
// server, which is what patches speak of.

// Decode reads an object of any kind and version into a Go type: one of v1beta2 where
// the object is of Kinds.
func Decode(object *unstructured.Unstructured, into any) error {
	gvk := object.GroupVersionKind()
	if !isOldKind(gvk) {
		return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
	}
	data, err := object.MarshalJSON()
	if err != nil {
		return fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	read, err := fromV1Beta1(gvk, data)
	if err != nil {
		return err
	}
	return assign(into, read)
}

// isOldKind tells whether the kind is one of Kinds at v1beta1.
func isOldKind(kind schema.GroupVersionKind) bool {
	return kind.Version == oldest && slices.Contains(Kinds(), atNewest(kind))
}

func atNewest(kind schema.GroupVersionKind) schema.GroupVersionKind {
	kind.Version = newest
	return kind
}

// assign copies what was read into an object of the same type.
func assign(into, read any) error {
	to, from := reflect.ValueOf(into), reflect.ValueOf(read)
	if to.Type() != from.Type() {
		return fmt.Errorf("%T is read as %T", into, read)
	}
	to.Elem().Set(from.Elem())
	return nil
}

// fromV1Beta1 reads an object of Kinds that is of v1beta1.
func fromV1Beta1(kind schema.GroupVersionKind, data []byte) (runtime.Object, error) {
	switch kind.GroupKind() {
	case clusterv1.GroupVersion.WithKind(clusterKind).GroupKind():
		return clusterFromV1Beta1(data)
	case clusterv1.GroupVersion.WithKind("ClusterClass").GroupKind():
		return converted(data, new(clusterv1.ClusterClass), clusterv1beta1.Convert_v1beta1_ClusterClass_To_v1beta2_ClusterClass)
	case ipamv1.GroupVersion.WithKind("IPAddressClaim").GroupKind():
		return converted(data, new(ipamv1.IPAddressClaim), ipamv1beta1.Convert_v1beta1_IPAddressClaim_To_v1beta2_IPAddressClaim)
	case ipamv1.GroupVersion.WithKind("IPAddress").GroupKind():
		return converted(data, new(ipamv1.IPAddress), ipamv1beta1.Convert_v1beta1_IPAddress_To_v1beta2_IPAddress)
	}
	return nil, fmt.Errorf("%s of %s is not known here", kind.Kind, kind.GroupVersion())
}

// converted reads an object of the older type and fills the one of the newer type.
func converted[Old any, New runtime.Object](data []byte, object New, convert func(*Old, New, conversion.Scope) error) (New, error) {
	old := new(Old)
	var kind metav1.TypeMeta
	err := json.Unmarshal(data, &kind)
	if err == nil {
		err = json.Unmarshal(data, old)
	}
	if err == nil {
		err = convert(old, object, nil)
	}
	if err != nil {
		return object, fmt.Errorf("read %s of v1beta1: %w", kind.Kind, err)
	}
	accessor, err := meta.TypeAccessor(object)
	if err != nil {
		return object, fmt.Errorf("read %s of v1beta1: %w", kind.Kind, err)
	}
	accessor.SetKind(kind.Kind)
	accessor.SetAPIVersion(kind.APIVersion)
	return object, nil
}

func clusterFromV1Beta1(data []byte) (*clusterv1.Cluster, error) {
	cluster, err := converted(data, new(clusterv1.Cluster), convertCluster)
	if err != nil {
		return nil, err
	}
	// The older type cannot tell an explicit false from none, but the patch must: it
	// tests for what the API server holds.
	var explicit struct {
		Spec struct {
			Paused *bool `json:"paused"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(data, &explicit); err != nil {
		return nil, fmt.Errorf("read Cluster of v1beta1: %w", err)
	}
	cluster.Spec.Paused = explicit.Spec.Paused
	return cluster, nil
}

// ClusterFromV1Beta1 converts a Cluster of the older type.
func ClusterFromV1Beta1(old *clusterv1beta1.Cluster) (*clusterv1.Cluster, error) {
	cluster := &clusterv1.Cluster{TypeMeta: old.TypeMeta}
	if err := convertCluster(old, cluster, nil); err != nil {
		return nil, fmt.Errorf("convert Cluster %s/%s of v1beta1: %w", old.Namespace, old.Name, err)
	}
	return cluster, nil
}

// convertCluster completes what Cluster API's own conversion leaves to its webhook.
func convertCluster(old *clusterv1beta1.Cluster, cluster *clusterv1.Cluster, scope conversion.Scope) error {
	if err := clusterv1beta1.Convert_v1beta1_Cluster_To_v1beta2_Cluster(old, cluster, scope); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	cluster.Spec.Paused = nil
	if old.Spec.Paused {
		cluster.Spec.Paused = &old.Spec.Paused
	}
	cluster.Spec.InfrastructureRef = contractReference(old.Spec.InfrastructureRef)
	cluster.Spec.ControlPlaneRef = contractReference(old.Spec.ControlPlaneRef)
	cluster.Status.Initialization.InfrastructureProvisioned = &old.Status.InfrastructureReady
	return nil
}

func contractReference(ref *corev1.ObjectReference) clusterv1.ContractVersionedObjectReference {
	if ref == nil {
		return clusterv1.ContractVersionedObjectReference{}
	}
	group, _, _ := strings.Cut(ref.APIVersion, "/")
	return clusterv1.ContractVersionedObjectReference{APIGroup: group, Kind: ref.Kind, Name: ref.Name}
}

// isV1Beta1 tells whether the object is of v1beta1 in the API server.
func isV1Beta1(cluster *clusterv1.Cluster) bool {
	return cluster.APIVersion == clusterv1beta1.GroupVersion.String()
}
