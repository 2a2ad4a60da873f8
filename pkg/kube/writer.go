package kube

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/rancher/lasso/pkg/client"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// FieldManager names us in managedFields.
const FieldManager = "capi-vip-allocator"

// Writer patches Clusters. wrangler's typed clients are not used for that: their
// Update sends the whole object as our version of its type knows it, and their
// Patch takes neither a context nor a field manager.
type Writer struct {
	clusters *client.Client
}

// NewWriter returns a Writer for Clusters of the factory's API server.
func NewWriter(factory client.SharedClientFactory) (*Writer, error) {
	clusters, err := factory.ForKind(clusterv1.GroupVersion.WithKind(clusterKind))
	if err != nil {
		return nil, fmt.Errorf("client for Clusters: %w", err)
	}
	return &Writer{clusters: clusters}, nil
}

// Patch sends the planner's patch and returns the Cluster as it is afterwards. A
// patch whose tests fail is refused as Invalid.
func (w *Writer) Patch(ctx context.Context, cluster *vip.Cluster, ops []vip.PatchOp) (*clusterv1.Cluster, error) {
	return w.patch(ctx, cluster, ops)
}

// Get reads the Cluster from the API server, past the cache.
func (w *Writer) Get(ctx context.Context, namespace, name string) (*clusterv1.Cluster, error) {
	result := &clusterv1.Cluster{}
	if err := w.clusters.Get(ctx, namespace, name, result, metav1.GetOptions{}); err != nil {
		return nil, fmt.Errorf("get Cluster %s/%s: %w", namespace, name, err)
	}
	return result, nil
}

// PatchConditions brings our conditions on the Cluster to what the planner wants
// and leaves everybody else's alone. It returns the Cluster as it is afterwards, or
// nil if no write was needed.
//
// Cluster API sorts the list whenever it writes it, so each entry is guarded by a
// test of its type. A patch that this refuses was made from an old version: on a busy
// API server caches are seconds late. It is then made once more from the Cluster as
// it is, unless somebody changed the spec that the conditions speak of.
func (w *Writer) PatchConditions(ctx context.Context, cluster *clusterv1.Cluster, want map[string]vip.Condition, now metav1.Time) (*clusterv1.Cluster, error) {
	updated, err := w.patchConditions(ctx, cluster, want, now)
	if !apierrors.IsInvalid(err) {
		return updated, err
	}
	live, getErr := w.Get(ctx, cluster.Namespace, cluster.Name)
	if getErr != nil {
		return nil, getErr
	}
	if live.UID != cluster.UID || live.Generation != cluster.Generation {
		return nil, err
	}
	return w.patchConditions(ctx, live, want, now)
}

func (w *Writer) patchConditions(ctx context.Context, cluster *clusterv1.Cluster, want map[string]vip.Condition, now metav1.Time) (*clusterv1.Cluster, error) {
	ops := conditionOps(cluster, want, now)
	if len(ops) == 0 {
		return nil, nil
	}
	view := vip.Cluster{Namespace: cluster.Namespace, Name: cluster.Name}
	ops = append([]vip.PatchOp{{Op: "test", Path: "/metadata/uid", Value: string(cluster.UID)}}, ops...)
	return w.patch(ctx, &view, ops, "status")
}

func (w *Writer) patch(ctx context.Context, cluster *vip.Cluster, ops []vip.PatchOp, subresources ...string) (*clusterv1.Cluster, error) {
	data, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("patch of Cluster %s/%s: %w", cluster.Namespace, cluster.Name, err)
	}
	result := &clusterv1.Cluster{}
	err = w.clusters.Patch(ctx, cluster.Namespace, cluster.Name, types.JSONPatchType, data, result,
		metav1.PatchOptions{FieldManager: FieldManager}, subresources...)
	if err != nil {
		return nil, fmt.Errorf("patch Cluster %s/%s: %w", cluster.Namespace, cluster.Name, err)
	}
	return result, nil
}

// Older tells whether a cached version of an object was written before another one
// of the same object. What cannot be told is not older.
func Older(cached, written string) bool {
	order, err := resourceversion.CompareResourceVersion(cached, written)
	return err == nil && order < 0
}
