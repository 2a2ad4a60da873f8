package bench

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// script does by hand what the allocator does: it is what people write before
// they have one, and the least work that leads to the same objects.
type script struct {
	client   dynamic.Interface
	recorder *recorder
}

// plainCluster creates a Cluster and leaves its VIPs to the allocator.
func (s *script) plainCluster(ctx context.Context, key types.NamespacedName, _ int) error {
	_, err := s.createCluster(ctx, newCluster(key))
	return err
}

// typedCluster creates a Cluster with its VIPs typed in, and the two claims that
// an allocator would have made.
func (s *script) typedCluster(ctx context.Context, key types.NamespacedName, number int) error {
	cluster := newCluster(key)
	carry(cluster, typedVIPs(number))
	created, err := s.createCluster(ctx, cluster)
	if err != nil {
		return err
	}
	return s.createClaims(ctx, created)
}

// typedWithoutClaims creates a Cluster with its VIPs typed in, and nothing else.
func (s *script) typedWithoutClaims(ctx context.Context, key types.NamespacedName, number int) error {
	cluster := newCluster(key)
	carry(cluster, typedVIPs(number))
	_, err := s.createCluster(ctx, cluster)
	return err
}

// typedVIPs are nobody's: nothing depends on them.
func typedVIPs(number int) map[string]string {
	return map[string]string{
		observe.ControlPlane: fmt.Sprintf("10.66.%d.%d", number/250, number%250+1),
		observe.Ingress:      fmt.Sprintf("10.67.%d.%d", number/250, number%250+1),
	}
}

// scriptedCluster creates a Cluster without VIPs, makes both claims, waits for
// their addresses, and hands them over in one patch.
func (s *script) scriptedCluster(ctx context.Context, key types.NamespacedName, _ int) error {
	created, err := s.createCluster(ctx, newCluster(key))
	if err != nil {
		return err
	}
	if err := s.createClaims(ctx, created); err != nil {
		return err
	}
	var vips map[string]string
	err = s.recorder.await(ctx, func() (bound bool) {
		vips, bound = s.recorder.addressesOf(key)
		return bound
	})
	if err != nil {
		return fmt.Errorf("claims of cluster %s have no addresses: %w", key, err)
	}
	return s.publish(ctx, key, vips)
}

func newCluster(key types.NamespacedName) *clusterv1.Cluster {
	replicas := int32(1)
	cluster := &clusterv1.Cluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster"},
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
	}
	cluster.Spec.Topology.ClassRef.Name = gates.ClassName
	cluster.Spec.Topology.Version = "v1.36.3"
	cluster.Spec.Topology.ControlPlane.Replicas = &replicas
	return cluster
}

// carry puts VIPs into all places of a Cluster that the allocator fills.
func carry(cluster *clusterv1.Cluster, vips map[string]string) {
	controlPlane, ingress := vips[observe.ControlPlane], vips[observe.Ingress]
	cluster.Labels = map[string]string{
		observe.ControlPlaneVIP: controlPlane, observe.HasControlPlaneVIP: "true",
		observe.IngressVIP: ingress, observe.HasIngressVIP: "true",
	}
	cluster.Annotations = map[string]string{
		observe.ControlPlaneVIP: controlPlane, observe.IngressVIP: ingress,
	}
	cluster.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: controlPlane, Port: 6443}
	for name, value := range map[string]string{
		observe.ControlPlaneVariable: controlPlane, observe.IngressVariable: ingress,
	} {
		variable := clusterv1.ClusterVariable{Name: name}
		variable.Value.Raw = []byte(`"` + value + `"`)
		cluster.Spec.Topology.Variables = append(cluster.Spec.Topology.Variables, variable)
	}
}

func (s *script) createCluster(ctx context.Context, cluster *clusterv1.Cluster) (*unstructured.Unstructured, error) {
	created, err := s.create(ctx, observe.Clusters, cluster)
	if err != nil {
		return nil, fmt.Errorf("create cluster %s/%s: %w", cluster.Namespace, cluster.Name, err)
	}
	return created, nil
}

// createClaims makes both claims side by side, owned by the Cluster if it exists.
func (s *script) createClaims(ctx context.Context, cluster *unstructured.Unstructured) error {
	group, ctx := errgroup.WithContext(ctx)
	for role, name := range map[string]string{
		observe.ControlPlane: "vip-cp-" + cluster.GetName(),
		observe.Ingress:      "vip-ingress-" + cluster.GetName(),
	} {
		group.Go(func() error {
			claim := newClaim(cluster, role, name)
			if _, err := s.create(ctx, observe.Claims, claim); err != nil {
				return fmt.Errorf("create claim %s/%s: %w", claim.Namespace, claim.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func newClaim(cluster *unstructured.Unstructured, role, name string) *ipamv1.IPAddressClaim {
	claim := &ipamv1.IPAddressClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: ipamv1.GroupVersion.String(), Kind: "IPAddressClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.GetNamespace(), Name: name, Labels: map[string]string{observe.RoleLabel: role}},
	}
	if cluster.GetUID() != "" { // a provider passes over the claims of a Cluster that does not exist
		claim.Labels[clusterv1.ClusterNameLabel] = cluster.GetName()
		claim.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: cluster.GetAPIVersion(), Kind: cluster.GetKind(), Name: cluster.GetName(), UID: cluster.GetUID(),
		}}
	}
	claim.Spec.PoolRef = ipamv1.IPPoolReference{
		APIGroup: observe.GlobalPools.Group, Kind: "GlobalInClusterIPPool", Name: role, // the pools are named after their roles
	}
	return claim
}

// publish hands the VIPs over: one merge patch with everything.
func (s *script) publish(ctx context.Context, key types.NamespacedName, vips map[string]string) error {
	filled := newCluster(key)
	carry(filled, vips)
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"labels": filled.Labels, "annotations": filled.Annotations},
		"spec": map[string]any{
			"controlPlaneEndpoint": filled.Spec.ControlPlaneEndpoint,
			"topology":             map[string]any{"variables": filled.Spec.Topology.Variables},
		},
	})
	if err != nil {
		return err
	}
	_, err = s.client.Resource(observe.Clusters).Namespace(key.Namespace).
		Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("patch cluster %s: %w", key, err)
	}
	return nil
}

func (s *script) create(
	ctx context.Context, resource schema.GroupVersionResource, object metav1.Object,
) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	// An empty status is not for a client to send.
	unstructured.RemoveNestedField(content, "status")
	return s.client.Resource(resource).Namespace(object.GetNamespace()).
		Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
}
