package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var (
	rancherClusters = schema.GroupVersionResource{Group: "management.cattle.io", Version: "v3", Resource: "clusters"}
	fleetClusters   = schema.GroupVersionResource{Group: "fleet.cattle.io", Version: "v1alpha1", Resource: "clusters"}
)

// downstream finds the Clusters of Rancher and Fleet that stand for the Cluster, by
// the labels that Rancher, its integration and users give them. Where these kinds are
// not installed or not visible, there is nothing to tell.
func (r *reading) downstream(ctx context.Context, cluster *clusterv1.Cluster) ([]Downstream, error) {
	imported, err := r.find(ctx, rancherClusters, "", labels.Set{
		"cluster-api.cattle.io/capi-cluster-owner": cluster.Name, "cluster-api.cattle.io/capi-cluster-owner-ns": cluster.Namespace,
	})
	if err != nil {
		return nil, err
	}
	fleet, err := r.find(ctx, fleetClusters, "", labels.Set{vip.Prefix + "cluster-name": cluster.Name, vip.Prefix + "cluster-namespace": cluster.Namespace})
	if err != nil {
		return nil, err
	}
	for i := range imported {
		more, err := r.find(ctx, fleetClusters, "", labels.Set{"management.cattle.io/cluster-name": imported[i].GetName()})
		if err != nil {
			return nil, err
		}
		fleet = append(fleet, more...)
	}
	beside, err := r.find(ctx, fleetClusters, cluster.Namespace, nil)
	if err != nil {
		return nil, err
	}
	for i := range beside {
		if kube.OwnedBy(beside[i].GetOwnerReferences(), string(cluster.UID)) {
			fleet = append(fleet, beside[i])
		}
	}
	seen := map[types.UID]bool{}
	var result []Downstream
	for _, object := range append(imported, fleet...) {
		if !seen[object.GetUID()] {
			seen[object.GetUID()] = true
			result = append(result, Downstream{
				Kind: object.GroupVersionKind().GroupKind().String(), Namespace: object.GetNamespace(), Name: object.GetName(),
				ControlPlane: stampOn(&object, vip.ControlPlane), Ingress: stampOn(&object, vip.Ingress),
			})
		}
	}
	return result, nil
}

// find lists what is there to see.
func (r *reading) find(ctx context.Context, resource schema.GroupVersionResource, namespace string, selector labels.Set) ([]unstructured.Unstructured, error) {
	if r.followed != nil {
		return selected(r.followed[resource], namespace, selector), nil
	}
	list, err := r.client.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.AsSelector().String()})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		return nil, nil // a name that is too long for a label stands on nothing
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource.GroupResource(), err)
	}
	return list.Items, nil
}

// selected is what a list would hold; nothing if there is no store.
func selected(store cache.Store, namespace string, selector labels.Set) []unstructured.Unstructured {
	if store == nil {
		return nil
	}
	var found []unstructured.Unstructured
	for _, object := range store.List() {
		u, ok := object.(*unstructured.Unstructured)
		if ok && (namespace == "" || u.GetNamespace() == namespace) && selector.AsSelector().Matches(labels.Set(u.GetLabels())) {
			found = append(found, *u)
		}
	}
	slices.SortFunc(found, func(a, b unstructured.Unstructured) int {
		return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
	})
	return found
}

func stampOn(object metav1.Object, role vip.Role) Stamp {
	return Stamp{Annotation: object.GetAnnotations()[role.Stamp()], Label: object.GetLabels()[role.Stamp()]}
}
