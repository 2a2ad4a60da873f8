package controllers

import (
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

// NewListReader observes what was listed just as controllers that have just started
// observe their caches. The objects must not be changed afterwards.
func NewListReader(l Listed) (*Reader, error) {
	clusters, classes := emptyIndexer(), emptyIndexer()
	claims, addresses := emptyIndexer(), emptyIndexer()
	o := &observer{
		clusters:  generic.NewCache[*clusterv1.Cluster](clusters, schema.GroupResource{Group: clusterv1.GroupVersion.Group, Resource: "clusters"}),
		classes:   generic.NewCache[*clusterv1.ClusterClass](classes, schema.GroupResource{Group: clusterv1.GroupVersion.Group, Resource: "clusterclasses"}),
		claims:    generic.NewCache[*ipamv1.IPAddressClaim](claims, schema.GroupResource{Group: ipamv1.GroupVersion.Group, Resource: "ipaddressclaims"}),
		addresses: generic.NewCache[*ipamv1.IPAddress](addresses, schema.GroupResource{Group: ipamv1.GroupVersion.Group, Resource: "ipaddresses"}),
		pools:     l.Pools, leases: l.Leases, allocator: allocator.New(), expectations: newExpectations(), settings: l.Settings,
		evaluator: l.Evaluator, views: newClassViews(),
	}
	o.addIndexers()
	if err := keepAll(clusters, l.Clusters); err != nil {
		return nil, err
	}
	if err := keepAll(classes, l.Classes); err != nil {
		return nil, err
	}
	if err := keepAll(claims, l.Claims); err != nil {
		return nil, err
	}
	if err := keepAll(addresses, l.Addresses); err != nil {
		return nil, err
	}
	for _, pool := range l.Pools.List() {
		room := pool.Room()
		if room.Reported {
			// Whoever lists may not see all addresses, but the provider has counted them.
			room.Holds = nil
		}
		o.allocator.SetPool(pool.Ref, room)
	}
	for _, claim := range l.Claims {
		o.allocator.SetClaim(claim.Namespace, claim.Name, nil, kube.ClaimRoom(claim), false)
	}
	for _, address := range l.Addresses {
		o.allocator.SetAddress(address.Namespace, nil, kube.AddressRoom(address))
	}
	return &Reader{observer: o}, nil
}

// Decide decides for the Cluster as the controllers would, and reserves nothing.
func (r *Reader) Decide(cluster *clusterv1.Cluster) (*vip.Snapshot, vip.Decision, error) {
	s, err := r.Observe(cluster)
	if err != nil {
		return nil, vip.Decision{}, err
	}
	decision := vip.Plan(s)
	if placements := r.observer.allocator.Place(allocator.RequestOf(s, &decision)); len(placements) > 0 {
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
	return r.observer.allocator.Judge(allocator.RequestOf(s, &decision), want)
}

// Free is how many addresses of the pool nobody has or is about to have, if that is known.
func (r *Reader) Free(pool vip.PoolRef) (free int64, known bool) {
	return r.observer.allocator.Free(pool)
}

// Inspect finds out, for each role, what Cluster API does for a new Cluster of the class
// whose VIP is not known yet; nil while its variables are not reconciled. What is observed
// afterwards takes it into account.
func (r *Reader) Inspect(class *clusterv1.ClusterClass) map[vip.Role]gate.Finding {
	key := vip.ClassKey{Namespace: class.Namespace, Name: class.Name}
	if !r.observer.view(key, class).Ready {
		return nil
	}
	if findings, known := r.observer.evaluator.Inspect(class, nil); known {
		r.observer.views.inspected(key, class, findings)
	}
	return r.observer.views.gatesOf(key)
}

func emptyIndexer() cache.Indexer {
	return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
}

func keepAll[T runtime.Object](indexer cache.Indexer, objects []T) error {
	for _, object := range objects {
		if err := indexer.Add(object); err != nil {
			return fmt.Errorf("keep %T: %w", object, err)
		}
	}
	return nil
}
