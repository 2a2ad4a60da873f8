package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// lastAddress is the last one of a pool; the first ends with 1.
const lastAddress = 254

// pool is a pool of 254 addresses.
type pool struct {
	name    string
	network string // its first three bytes, with a dot behind
	uid     string

	mutex sync.Mutex
	used  int
}

func (p *pool) address(number int) string { return fmt.Sprintf("%s%d", p.network, number) }

// makePool makes a pool and its status.
func (w *world) makePool(ctx context.Context, p *pool, role, class string) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "ipam.cluster.x-k8s.io/v1alpha2", "kind": "GlobalInClusterIPPool",
		"metadata": map[string]any{"name": p.name, "labels": map[string]any{observe.RoleLabel: role, observe.ClassLabel: class}},
		"spec": map[string]any{
			"addresses": []any{p.address(1) + "-" + p.address(lastAddress)}, "prefix": int64(16), "gateway": "10.64.255.254",
			"addressReuseGracePeriodSeconds": int64(120),
		},
	}}
	created, err := w.client.Resource(observe.GlobalPools).Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create pool %s: %w", p.name, err)
	}
	p.uid = string(created.GetUID())
	return w.count(ctx, p, 0)
}

// count writes the pool's status when so many more of its addresses are used.
func (w *world) count(ctx context.Context, p *pool, more int) error {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.used += more
	return w.merge(ctx, p, map[string]any{"total": lastAddress, "used": p.used, "free": lastAddress - p.used, "outOfRange": 0})
}

func (w *world) merge(ctx context.Context, p *pool, counts map[string]any) error {
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"ipAddresses": counts}})
	if err != nil {
		return err
	}
	_, err = w.client.Resource(observe.GlobalPools).Patch(ctx, p.name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("status of pool %s: %w", p.name, err)
	}
	return nil
}

// bind gives a claim an address of its pool, as the in-cluster provider does.
func (w *world) bind(ctx context.Context, claim *unstructured.Unstructured, number int) error {
	ref, _, err := unstructured.NestedMap(claim.Object, "spec", "poolRef")
	if err != nil {
		return fmt.Errorf("claim %s: %w", claim.GetName(), err)
	}
	name, _ := ref["name"].(string)
	p := w.pools[name]
	if p == nil {
		return fmt.Errorf("claim %s is for pool %q, which does not exist", claim.GetName(), name)
	}
	namespace := claim.GetNamespace()
	address := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": observe.Addresses.GroupVersion().String(), "kind": "IPAddress",
		"metadata": map[string]any{
			"name": claim.GetName(), "namespace": namespace,
			"ownerReferences": []any{
				map[string]any{
					"apiVersion": observe.Claims.GroupVersion().String(), "kind": "IPAddressClaim", "name": claim.GetName(),
					"uid": string(claim.GetUID()), "controller": true, "blockOwnerDeletion": true,
				},
				map[string]any{
					"apiVersion": observe.GlobalPools.GroupVersion().String(), "kind": "GlobalInClusterIPPool", "name": p.name,
					"uid": p.uid, "controller": false, "blockOwnerDeletion": true,
				},
			},
		},
		"spec": map[string]any{
			"claimRef": map[string]any{"name": claim.GetName()}, "poolRef": ref,
			"address": p.address(number), "prefix": int64(16), "gateway": "10.64.255.254",
		},
	}}
	if _, err := w.client.Resource(observe.Addresses).Namespace(namespace).Create(ctx, address, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create address of claim %s: %w", claim.GetName(), err)
	}
	patch := fmt.Sprintf(`{"status":{"addressRef":{"name":%q}}}`, claim.GetName())
	_, err = w.client.Resource(observe.Claims).Namespace(namespace).
		Patch(ctx, claim.GetName(), types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("bind claim %s: %w", claim.GetName(), err)
	}
	return w.count(ctx, p, +1)
}
