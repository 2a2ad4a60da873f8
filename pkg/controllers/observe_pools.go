package controllers

import (
	"math"
	"net/netip"
	"slices"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// poolsFor views the pools that serve the Cluster's class or back its claims, less
// the addresses that are spoken for by others.
func (o *observer) poolsFor(s *vip.Snapshot) []vip.Pool {
	var own []string
	for _, role := range vip.Roles() {
		own = append(own, s.Cluster.Namespace+"/"+role.ClaimName(s.Cluster.Name))
	}
	var pools []vip.Pool
	for _, pool := range o.pools.List() {
		if pool.Serves.Class(s.Cluster.Class) || claimed(s, pool.Ref) {
			view := pool.View(o.ledger.taken(pool, own...) + o.memory.unseen(pool.Ref, own...))
			for i, role := range vip.Roles() {
				if o.memory.avoids(own[i], pool) {
					view.Refused = append(view.Refused, role)
				}
			}
			pools = append(pools, view)
		}
	}
	return pools
}

// room is how many more claims the pool could bind, as far as anyone knows, not
// counting claims that no cache shows yet.
func (o *observer) room(pool *kube.Pool, except ...string) int64 {
	if !pool.Known {
		return math.MaxInt64
	}
	return pool.Usable - o.ledger.taken(pool, except...)
}

func claimed(s *vip.Snapshot, pool vip.PoolRef) bool {
	for _, claim := range s.Claims {
		if claim != nil && claim.Pool == pool {
			return true
		}
	}
	return false
}

// observeContest finds out, for each bound claim, whether another pool could hand
// out the same address, and since when the state of a pending claim's pool is known.
func (o *observer) observeContest(s *vip.Snapshot) {
	for role, claim := range s.Claims {
		if claim == nil {
			continue
		}
		if pool := o.pools.Get(claim.Pool); pool != nil && !claim.Bound {
			name := s.Cluster.Namespace + "/" + claim.Name
			claim.PoolSeenSince, claim.Binding = o.crowd.seenSince(name, pool.Seen), o.ledger.isBinding(name)
		}
		if claim.Address == nil {
			continue
		}
		key, ok := vip.Key(claim.Address.Text)
		if pool := o.pools.Get(claim.Pool); ok && pool != nil {
			claim.Address.Outside = pool.Excludes(key)
		}
		rival := func(h vip.Holder) bool { return h.Rival }
		if !ok || (!o.contested(claim.Pool, key) && !slices.ContainsFunc(s.Holders[key], rival)) {
			continue
		}
		holder, leased := o.leases.HolderOf(key)
		claim.Contested = true
		claim.LeaseHeld = leased && holder.ClusterUID == s.Cluster.UID && holder.Role == role
	}
}

// contested tells whether a pool beside the claim's own could hand out the
// address. Every pool that carries our keys counts, whatever it serves today.
func (o *observer) contested(own vip.PoolRef, key netip.Addr) bool {
	mine := o.pools.Get(own)
	return slices.ContainsFunc(o.pools.List(), func(other *kube.Pool) bool {
		return other.Ref != own && (mine == nil || mine.Ranges == nil || other.Contains(key))
	})
}

// recoveries finds, for a VIP that was published from a claim which is gone, the
// pool whose provider can be made to give the same address again.
func (o *observer) recoveries(s *vip.Snapshot) map[vip.Role]vip.PoolRef {
	var result map[vip.Role]vip.PoolRef
	for _, role := range vip.Roles() {
		if s.Cluster.Annotations[role.WrittenAnnotation()] == "" || s.Claims[role] != nil {
			continue
		}
		key, ok := vip.Key(s.Cluster.Annotations[role.Stamp()])
		if !ok {
			continue
		}
		for _, candidate := range vip.Candidates(s, role) {
			pool := o.pools.Get(candidate.Pool.Ref)
			takes := candidate.Verdict == "" || candidate.Verdict == vip.PoolExhausted
			if pool == nil || !takes || !pool.CanPin() || !pool.Contains(key) {
				continue
			}
			if result == nil {
				result = map[vip.Role]vip.PoolRef{}
			}
			result[role] = pool.Ref
			break
		}
	}
	return result
}
