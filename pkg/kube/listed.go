package kube

import (
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// ListedPools holds pools that were listed once, by kind, and are not watched. A
// kind that could not be listed belongs there too, without pools: only with its
// scope the claims on it are understood.
func ListedPools(found map[PoolKind][]unstructured.Unstructured) (*Pools, error) {
	viewed := map[PoolKind][]*Pool{}
	for kind, objects := range found {
		viewed[kind] = nil
		for i := range objects {
			viewed[kind] = append(viewed[kind], NewPool(&objects[i], kind.Namespaced))
		}
	}
	return PoolsOf(viewed)
}

// PoolsOf is ListedPools of pools that were viewed already.
func PoolsOf(found map[PoolKind][]*Pool) (*Pools, error) {
	pools := &Pools{caches: map[schema.GroupResource]poolCache{}}
	for kind, objects := range found {
		store := cache.NewStore(cache.MetaNamespaceKeyFunc)
		for _, pool := range objects {
			if err := store.Add(pool); err != nil {
				return nil, fmt.Errorf("keep %s %s: %w", kind.Kind, pool.Name, err)
			}
		}
		pools.caches[kind.GroupResource()] = poolCache{kind: kind, store: store}
	}
	return pools, nil
}

// ListedLeases holds Leases of addresses that were listed once and are not watched.
func ListedLeases(namespace string, found []*coordinationv1.Lease) (*Leases, error) {
	leases := &Leases{namespace: namespace, store: cache.NewStore(cache.MetaNamespaceKeyFunc)}
	for _, lease := range found {
		if err := leases.store.Add(lease); err != nil {
			return nil, fmt.Errorf("keep Lease %s: %w", lease.Name, err)
		}
	}
	return leases, nil
}
