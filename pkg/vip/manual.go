package vip

import (
	"net/netip"
	"slices"
)

// ManualVIPs returns, as Key does, the addresses that somebody else chose as VIPs of the
// Cluster, with or without a topology. A role that has a claim of ours is not among them, nor
// one whose VIP came from a claim that was lost.
func ManualVIPs(s *Snapshot) map[Role]netip.Addr {
	manual := map[Role]netip.Addr{}
	for _, role := range Roles() {
		v := view(s, role, newPatch(&s.Cluster))
		value := v.current()
		if key, ok := Key(value); ok && !v.live && !v.lost(value) && !v.copies(value) {
			manual[role] = key
		}
	}
	return manual
}

// SkipsBooking tells whether nothing is booked for the Cluster at present, nor released: a
// paused one may be about to come from another management cluster with its own bookings.
func SkipsBooking(c *Cluster, settings Settings) bool {
	return c.Deleting || c.paused() || settings.outOfReach(c) != ""
}

// Books tells whether the pool may book the address for the Cluster.
func (p *Pool) Books(c *Cluster, key netip.Addr) bool {
	inReach := p.Ref.Namespace == c.Namespace || (p.Ref.Namespace == "" && p.Serves.servesNamespace(c.Namespace))
	return inReach && p.Serves.Err == nil && p.KeepsBooking(key)
}

// KeepsBooking tells whether what is booked in the pool stays.
func (p *Pool) KeepsBooking(key netip.Addr) bool {
	return !p.Deleting && !p.Serves.Unbooked && p.Holds != nil && p.Holds(key.Unmap())
}

// BookingPool is the pool that books the address for the Cluster, nil if none does.
func BookingPool(c *Cluster, pools []Pool, key netip.Addr) *Pool {
	var fit []Candidate
	for i := range pools {
		if pools[i].Books(c, key) {
			fit = append(fit, Candidate{Pool: &pools[i], Match: pools[i].Serves.match(c.Class)})
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return slices.MinFunc(fit, rank).Pool
}

// BookedBefore tells whether of two Clusters that name one address the first has it booked.
func BookedBefore(a, b *Cluster) bool {
	if order := a.Created.Compare(b.Created); order != 0 {
		return order < 0
	}
	return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
}

// TakesReserved tells whether the claim, which was reserved, is to become that of the
// Cluster, which has no topology that would be planned for. It must carry no other VIP.
func TakesReserved(s *Snapshot, claim *Claim) bool {
	c := &s.Cluster
	if c.UID == "" || (c.HasTopology && !c.OwnedByRancher) || claim.Address == nil || SkipsBooking(c, s.Settings) {
		return false
	}
	v := view(s, claim.Role, newPatch(c))
	return v.mayTake(claim.Address.Text)
}
