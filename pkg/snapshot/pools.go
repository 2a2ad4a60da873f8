package snapshot

import (
	"net/netip"
	"slices"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// poolsFor views the pools that serve the Cluster's class or back its claims.
func (o *Observer) poolsFor(s *vip.Snapshot) []vip.Pool {
	var pools []vip.Pool
	for _, pool := range o.Pools.List() {
		if pool.Serves.Class(s.Cluster.Class) || claimed(s, pool.Ref) {
			pools = append(pools, pool.View())
		}
	}
	return pools
}

func claimed(s *vip.Snapshot, pool vip.PoolRef) bool {
	for _, claim := range s.Claims {
		if claim != nil && claim.Pool == pool {
			return true
		}
	}
	for _, started := range s.Started {
		if started.Pool == pool {
			return true
		}
	}
	return false
}

// observeContest finds out, for each bound claim, whether another pool could hand
// out the same address.
func (o *Observer) observeContest(s *vip.Snapshot) {
	for role, claim := range s.Claims {
		if claim == nil {
			continue
		}
		claim.Binding = !claim.Bound && o.Allocator.HasAddress(claim.Pool, s.Cluster.Namespace+"/"+claim.Name)
		if claim.Address == nil {
			continue
		}
		key, ok := vip.Key(claim.Address.Text)
		if pool := o.Pools.Get(claim.Pool); ok && pool != nil {
			claim.Address.Outside = pool.Excludes(key)
		}
		rival := func(h vip.Holder) bool { return h.Rival }
		if !ok || (!o.contested(claim.Pool, key) && !slices.ContainsFunc(s.Holders[key], rival)) {
			continue
		}
		holder, leased := o.Leases.HolderOf(key)
		claim.Contested = true
		claim.LeaseHeld = leased && holder.ClusterUID == s.Cluster.UID && holder.Role == role
	}
}

// contested tells whether a pool beside the claim's own could hand out the
// address. Every pool that carries our keys counts, whatever it serves today.
func (o *Observer) contested(own vip.PoolRef, key netip.Addr) bool {
	mine := o.Pools.Get(own)
	return slices.ContainsFunc(o.Pools.List(), func(other *kube.Pool) bool {
		return other.Ref != own && (mine == nil || mine.Ranges == nil || other.Contains(key))
	})
}

// recoveries finds, for a VIP that was published from a claim which is gone, the
// pool whose provider can be made to give the same address again.
func (o *Observer) recoveries(s *vip.Snapshot) map[vip.Role]vip.PoolRef {
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
			pool := o.Pools.Get(candidate.Pool.Ref)
			if pool == nil || candidate.Verdict != "" || !pool.CanPin() || !pool.Contains(key) {
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
