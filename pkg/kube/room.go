package kube

import (
	"net/netip"

	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Room is the allocator's part of the pool.
func (p *Pool) Room() *allocator.Pool {
	view := p.View()
	room := &allocator.Pool{Usable: p.Usable, Used: p.Used, Reported: p.Known, Idle: view.Paused || view.Deleting, Generation: p.Generation}
	if p.Ranges != nil {
		room.Size = size(p.Ranges)
		room.Holds = func(address netip.Addr) bool { return !address.IsValid() || !p.Excludes(address) }
	}
	if p.CanPin() {
		room.Addresses = p.addresses
	}
	return room
}

// addresses are all that the pool hands out, as vip.Key returns them.
func (p *Pool) addresses(yield func(netip.Addr) bool) {
	for _, r := range p.Ranges.Ranges() {
		for address := r.From(); address.IsValid() && address.Compare(r.To()) <= 0; address = address.Next() {
			if !yield(netip.AddrFrom16(address.As16())) {
				return
			}
		}
	}
}

// ClaimRoom is the allocator's part of a claim; nil if there is none.
func ClaimRoom(claim *ipamv1.IPAddressClaim) *allocator.Claim {
	if claim == nil {
		return nil
	}
	_, _, ours := vip.ParseClaimName(claim.Name)
	return &allocator.Claim{Pool: poolRef(claim.Spec.PoolRef), Ours: ours, Bound: bound(claim), Deleting: !claim.DeletionTimestamp.IsZero()}
}

func bound(claim *ipamv1.IPAddressClaim) bool { return claim.Status.AddressRef.Name != "" }

// Worked tells whether the provider did something for the claim: bound it, or took it up
// with its finalizer. One that adds that itself does nothing else for seconds before a burst.
func Worked(old, current *ipamv1.IPAddressClaim) bool {
	return old != nil && current != nil && !bound(old) && old.DeletionTimestamp.IsZero() &&
		(bound(current) || len(current.Finalizers) > len(old.Finalizers))
}

// AddressRoom is the allocator's part of an IPAddress; nil if there is none.
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
