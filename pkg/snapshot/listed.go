package snapshot

import (
	"errors"
	"fmt"

	"github.com/rancher/wrangler/v3/pkg/generic"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Listed is what was listed of the API once, where there are no caches that watch.
type Listed struct {
	Clusters  []*clusterv1.Cluster
	Classes   []*clusterv1.ClusterClass
	Claims    []*ipamv1.IPAddressClaim
	Addresses []*ipamv1.IPAddress
	Pools     *kube.Pools
	Leases    *kube.Leases
	// Settings are those of the controllers; HoldGate must say whether the gate is on.
	Settings vip.Settings
	// Evaluator runs the templates of classes, and is waited for.
	Evaluator *sandbox.Evaluator
}

// Reader decides for Clusters that were listed as the controllers do, but for the order in
// which they wait: each is told what it could have if it came first. It reserves nothing.
type Reader struct {
	Builds
}

// NewReader reads the lists. Their objects must not be changed afterwards.
func NewReader(l Listed) (*Reader, error) {
	o := newObserver(l.Pools, l.Leases, l.Settings, l.Evaluator)
	var errs [4]error
	o.Clusters, errs[0] = listed(clusterKind, l.Clusters)
	o.Classes, errs[1] = listed(classKind, l.Classes)
	o.Claims, errs[2] = listed(claimKind, l.Claims)
	o.Addresses, errs[3] = listed(addressKind, l.Addresses)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	o.addIndexers()
	for _, pool := range l.Pools.List() {
		room := pool.Room()
		// Whoever lists may not see all addresses, but the provider has counted them.
		room.Counted = room.Reported
		o.Allocator.SetPool(pool.Ref, room)
	}
	for _, cluster := range l.Clusters {
		o.Allocator.SetCluster(cluster.Namespace+"/"+cluster.Name, o.VIPs(cluster))
	}
	for _, claim := range l.Claims {
		o.Allocator.SetClaim(claim.Namespace, claim.Name, nil, kube.ClaimRoom(claim), false)
	}
	for _, address := range l.Addresses {
		o.Allocator.SetAddress(address.Namespace, nil, kube.AddressRoom(address))
	}
	return &Reader{Builds{o}}, nil
}

// Decide observes the Cluster and decides for it.
func (r *Reader) Decide(cluster *clusterv1.Cluster) (*vip.Snapshot, vip.Decision, error) {
	s, err := r.Observe(cluster)
	if err != nil {
		return nil, vip.Decision{}, err
	}
	decision := vip.Plan(s)
	if placements := r.Allocator.Place(allocator.RequestOf(s, &decision)); len(placements) > 0 {
		s = s.Placed(placements)
		decision = vip.Plan(s)
	}
	return s, decision, nil
}

// Candidates are the pools for the role in the order in which they are tried, with what
// keeps each from serving the Cluster.
func (r *Reader) Candidates(s *vip.Snapshot, role vip.Role) []vip.Candidate {
	decision := vip.Decision{}
	want := &vip.Want{Role: role, Claim: role.ClaimName(s.Cluster.Name), Candidates: vip.Candidates(s, role)}
	return r.Allocator.Judge(allocator.RequestOf(s, &decision), want)
}

// Closest is the pool that was most likely meant to serve the role, where none does.
func (r *Reader) Closest(s *vip.Snapshot, role vip.Role) (vip.NearMiss, bool) {
	var pools []vip.Pool
	for _, pool := range r.Pools.List() {
		pools = append(pools, pool.View())
	}
	for _, pool := range r.Pools.Others() {
		if vip.HasKeys(pool.Labels, pool.Annotations) {
			view := pool.View()
			view.Serves = vip.ParseServes(pool.Labels, pool.Annotations)
			pools = append(pools, view)
		}
	}
	return vip.Closest(s, role, pools)
}

// Free is how many addresses of the pool nobody has or is about to have, if that is known.
func (r *Reader) Free(pool vip.PoolRef) (free int64, known bool) {
	return r.Allocator.Free(pool)
}

// Inspect finds out, for each role, what Cluster API does for a new Cluster of the class
// whose VIP is not known yet; nil while its variables are not reconciled. What is observed
// afterwards takes it into account.
func (r *Reader) Inspect(class *clusterv1.ClusterClass) map[vip.Role]gate.Finding {
	key := vip.ClassKey{Namespace: class.Namespace, Name: class.Name}
	if !r.ViewClass(key, class).Ready {
		return nil
	}
	if findings, known := r.Evaluator.Inspect(class, nil); known {
		r.Views.Inspected(key, class, findings)
	}
	return r.Views.GatesOf(key)
}

// listed is a cache of what was listed.
func listed[T runtime.Object](kind schema.GroupVersionKind, objects []T) (generic.CacheInterface[T], error) {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, object := range objects {
		if err := indexer.Add(object); err != nil {
			return nil, fmt.Errorf("keep %T: %w", object, err)
		}
	}
	return typed[T](indexer, kind), nil
}
