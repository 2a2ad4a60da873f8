package kube

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// PoolScope knows which kinds of pool are namespaced.
type PoolScope map[schema.GroupKind]bool

// Ref completes a claim's reference, which never says where a namespaced pool is:
// in the claim's own namespace.
func (s PoolScope) Ref(ref ipamv1.IPPoolReference, namespace string) vip.PoolRef {
	pool := vip.PoolRef{Group: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}
	if s[schema.GroupKind{Group: ref.APIGroup, Kind: ref.Kind}] {
		pool.Namespace = namespace
	}
	return pool
}
