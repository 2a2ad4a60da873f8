package kube

import (
	"fmt"
	"net/netip"

	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Room is the allocator's part of the pool.
func (p *Pool) Room() *allocator.Pool {
	room := &allocator.Pool{
		Spec: fmt.Sprintf("%s/%d", p.UID, p.Generation), Usable: p.Usable, Used: p.Used, Reported: p.Known,
	}
	if p.Ranges != nil {
		room.Size = size(p.Ranges)
		room.Holds = func(address netip.Addr) bool { return !address.IsValid() || !p.Excludes(address) }
	}
	return room
}

// ClaimRoom is the allocator's part of a claim; nil if it is gone. The provider worked on it
// if it bound it or took it up with its finalizer: one that adds that itself does nothing
// else for seconds before a burst.
func ClaimRoom(old, current *ipamv1.IPAddressClaim) *allocator.Claim {
	if current == nil {
		return nil
	}
	_, _, ours := vip.ParseClaimName(current.Name)
	claim := &allocator.Claim{
		Pool: poolRef(current.Spec.PoolRef), Ours: ours,
		Bound: current.Status.AddressRef.Name != "", Deleting: !current.DeletionTimestamp.IsZero(),
	}
	if old != nil && old.Status.AddressRef.Name == "" && old.DeletionTimestamp.IsZero() {
		claim.Worked = claim.Bound || len(current.Finalizers) > len(old.Finalizers)
	}
	return claim
}

// AddressRoom is the allocator's part of an IPAddress; nil if it is gone.
func AddressRoom(address *ipamv1.IPAddress) *allocator.Address {
	if address == nil {
		return nil
	}
	key, _ := vip.Key(address.Spec.Address)
	return &allocator.Address{Pool: poolRef(address.Spec.PoolRef), Claim: address.Spec.ClaimRef.Name, Key: key}
}

func poolRef(ref ipamv1.IPPoolReference) vip.PoolRef {
	return vip.PoolRef{Group: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}
}
