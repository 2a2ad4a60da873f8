package snapshot

import (
	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Named observes what there is under the name of a Cluster, which need not exist, nor have
// a class.
func (r *Reader) Named(cluster vip.Cluster) (*vip.Snapshot, error) {
	s := &vip.Snapshot{Cluster: cluster, Claims: map[vip.Role]*vip.Claim{}, Settings: r.Settings}
	class, err := r.Class(cluster.Class)
	if err != nil {
		return nil, err
	}
	s.Class = r.ViewClass(cluster.Class, class)
	scope := r.Pools.Scope()
	for _, role := range vip.Roles() {
		if s.Claims[role], err = r.Claim(&s.Cluster, role, scope); err != nil {
			return nil, err
		}
	}
	s.Pools = r.poolsFor(s)
	if s.Holders, err = r.holders(s); err != nil {
		return nil, err
	}
	r.observeContest(s)
	return s, nil
}

// Asked judges the pool that somebody asks for by name, with its room.
func (r *Reader) Asked(s *vip.Snapshot, role vip.Role, pool *kube.Pool) vip.Candidate {
	view, decision := pool.View(), vip.Decision{}
	want := &vip.Want{Role: role, Claim: role.ClaimName(s.Cluster.Name), Candidates: []vip.Candidate{vip.Asked(s, role, &view)}}
	return r.Allocator.Judge(allocator.RequestOf(s, &decision), want)[0]
}
