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
	if _, err := r.observeOwn(s); err != nil {
		return nil, err
	}
	return s, r.observeOthers(s)
}

// Asked judges the pool that somebody asks for by name, with its room.
func (r *Reader) Asked(s *vip.Snapshot, role vip.Role, pool *kube.Pool) vip.Candidate {
	view, decision := pool.View(), vip.Decision{}
	want := &vip.Want{Role: role, Claim: role.ClaimName(s.Cluster.Name), Candidates: []vip.Candidate{vip.Asked(s, role, &view)}}
	return r.Allocator.Judge(allocator.RequestOf(s, &decision), want)[0]
}
