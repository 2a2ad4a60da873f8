package scale

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// grow makes converged Clusters until there are so many.
func (w *world) grow(ctx context.Context, clusters int) error {
	begin, before := time.Now(), w.clusters
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for ; w.clusters < clusters; w.clusters++ {
		i := w.clusters
		group.Go(func() error { return w.cast(groupContext, i) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, p := range w.pools {
		if err := w.count(ctx, p, 0); err != nil {
			return err
		}
	}
	w.say("%d clusters, after %d more in %.1fs", w.clusters, w.clusters-before, time.Since(begin).Seconds())
	return nil
}

func clusterName(i int) string { return fmt.Sprintf("c%05d", i) }

// cast makes the i-th converged Cluster with its claims and addresses.
func (w *world) cast(ctx context.Context, i int) error {
	t, name := w.tenants[i%tenants], clusterName(i)
	which, number := i/tenants%poolsPerRole, i/tenants/poolsPerRole+1
	var pools []*pool
	for _, role := range roles {
		p := t.pools[role][which]
		pools = append(pools, p)
		p.mutex.Lock()
		p.used++
		p.mutex.Unlock()
	}
	// The order is that of mould.original. UIDs are not known yet.
	values := []string{name, t.namespace, t.class, "-"}
	for _, p := range pools {
		values = append(values, p.address(number), p.name, p.uid, "-", fmt.Sprintf("%x", sha256.Sum256([]byte(t.namespace+name+p.name)))[:hashLength])
	}
	var err error
	if values[3], err = w.pour(ctx, observe.Clusters, w.mould.cluster, values); err != nil {
		return err
	}
	for j, role := range roles {
		uid := &values[4+5*j+3]
		if *uid, err = w.pour(ctx, observe.Claims, w.mould.claims[role], values); err != nil {
			return err
		}
		if _, err = w.pour(ctx, observe.Addresses, w.mould.addresses[role], values); err != nil {
			return err
		}
	}
	return nil
}

// pour creates an object, and its status if it has one, and returns its UID.
func (w *world) pour(ctx context.Context, resource schema.GroupVersionResource, content string, values []string) (string, error) {
	var pairs []string
	for i := range w.mould.original {
		pairs = append(pairs, w.mould.original[i], values[i])
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON([]byte(strings.NewReplacer(pairs...).Replace(content))); err != nil {
		return "", err
	}
	client := w.client.Resource(resource).Namespace(object.GetNamespace())
	created, err := client.Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("create %s %s: %w", resource.Resource, object.GetName(), err)
	}
	if status, found := object.Object["status"]; found {
		created.Object["status"] = status
		if _, err := client.UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
			return "", fmt.Errorf("status of %s %s: %w", resource.Resource, object.GetName(), err)
		}
	}
	return string(created.GetUID()), nil
}
