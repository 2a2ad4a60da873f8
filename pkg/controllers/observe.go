package controllers

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	clustercontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	ipamcontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/ipam.cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// observer reads the caches. Nothing in it makes a request.
type observer struct {
	clusters     clustercontrollers.ClusterCache
	classes      clustercontrollers.ClusterClassCache
	claims       ipamcontrollers.IPAddressClaimCache
	addresses    ipamcontrollers.IPAddressCache
	pools        *kube.Pools
	leases       *kube.Leases
	hold         *kube.HoldGate
	allocator    *allocator.Allocator
	expectations *expectations
	settings     vip.Settings
	// builds says that what is asked is whether a Cluster may be built, so that it
	// matters of every Cluster, not only of held ones, what its class needs.
	builds bool
	// evaluator runs the templates of classes.
	evaluator *sandbox.Evaluator
	// wake enqueues a Cluster once something is known that it waits for; nil if whoever
	// observes asks again.
	wake  func(namespace, name string)
	views *classViews
}

// observe reads everything that concerns the Cluster.
func (o *observer) observe(cluster *clusterv1.Cluster) (*vip.Snapshot, error) {
	s := &vip.Snapshot{Cluster: kube.Cluster(cluster), Claims: map[vip.Role]*vip.Claim{}, Settings: o.settings}
	if !s.Cluster.HasTopology {
		return s, nil
	}
	class, err := o.class(s.Cluster.Class)
	if err != nil {
		return nil, err
	}
	s.Class = o.view(s.Cluster.Class, class)
	scope := o.pools.Scope()
	for _, role := range vip.Roles() {
		if s.Claims[role], err = o.claim(&s.Cluster, role, scope); err != nil {
			return nil, err
		}
	}
	s.Settings.HoldGate = s.Settings.HoldGate || o.hold.On()
	o.observeNeeds(s, class)
	s.Pools = o.poolsFor(s)
	s.Recoveries = o.recoveries(s)
	if s.Holders, err = o.holders(s); err != nil {
		return nil, err
	}
	o.observeContest(s)
	return s, nil
}

func (o *observer) class(key vip.ClassKey) (*clusterv1.ClusterClass, error) {
	class, err := o.classes.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get ClusterClass %s: %w", key, err)
	}
	return class, nil
}

func (o *observer) view(key vip.ClassKey, class *clusterv1.ClusterClass) vip.Class {
	return o.views.of(key, class).class
}

func (o *observer) claim(cluster *vip.Cluster, role vip.Role, scope kube.PoolScope) (*vip.Claim, error) {
	claim, err := o.claims.Get(cluster.Namespace, role.ClaimName(cluster.Name))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get claim: %w", err)
	}
	var address *ipamv1.IPAddress
	if name := claim.Status.AddressRef.Name; name != "" {
		// The claim may be shown as bound before its address is shown at all.
		if address, err = o.addresses.Get(cluster.Namespace, name); err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get IPAddress: %w", err)
		}
		if err != nil {
			address = nil
		}
	}
	return kube.Claim(claim, address, cluster, role, scope), nil
}

// observeNeeds asks what the class's patches do with this Cluster, only where the answer
// matters: when a variable is about to be withdrawn, and where a Cluster is to be built or
// let go. It does not wait for an answer that is not known yet.
func (o *observer) observeNeeds(s *vip.Snapshot, class *clusterv1.ClusterClass) {
	disabled := s.Cluster.Annotations[vip.Ingress.EnabledAnnotation()] == "false"
	asked := o.builds || s.Cluster.Held()
	if class == nil || (!disabled && !asked) {
		return
	}
	var then func()
	if namespace, name := s.Cluster.Namespace, s.Cluster.Name; o.wake != nil {
		then = func() { o.wake(namespace, name) }
	}
	patches := o.views.of(s.Cluster.Class, class).patches
	// The view of the class is shared by all its Clusters.
	s.Class.Roles = maps.Clone(s.Class.Roles)
	for role, variable := range s.Class.Roles {
		if asked && variable.Declared {
			consumes, known := o.evaluator.Consumes(patches[role](), &s.Cluster, then)
			// Until it is known, and if it cannot be known, every role is waited for.
			variable.Consumed, variable.Pending = consumes || !known, !known
		}
		if disabled && role == vip.Ingress && s.Cluster.VariableAt(variable.Path) != "" {
			var known bool
			variable.NeededBy, variable.Unclear, known = o.evaluator.NeededBy(patches[role](), &s.Cluster, then)
			variable.Pending = variable.Pending || !known
		}
		s.Class.Roles[role] = variable
	}
}

// holders finds who else uses an address that the Cluster claims or carries.
func (o *observer) holders(s *vip.Snapshot) (map[netip.Addr][]vip.Holder, error) {
	result := map[netip.Addr][]vip.Holder{}
	for _, key := range keysOfInterest(s) {
		holders, err := o.clusterHolders(s, key)
		if err != nil {
			return nil, err
		}
		addresses, err := o.addresses.GetByIndex(byAddress, key.String())
		if err != nil {
			return nil, fmt.Errorf("look up IPAddress %s: %w", key, err)
		}
		for _, address := range addresses {
			if !ownAddress(s, address) {
				holders = append(holders, vip.Holder{Kind: "IPAddress", Namespace: address.Namespace, Name: address.Name, Rival: o.isRival(address)})
			}
		}
		// An index has no order. Messages name the first: one that changed with every pass
		// would be a write with every pass, and each write the cause of the next pass.
		slices.SortFunc(holders, byName)
		if holder, leased := o.leases.HolderOf(key); leased && holder.ClusterUID != s.Cluster.UID {
			holders = append(holders, vip.Holder{Kind: "Cluster", Name: holder.Cluster, Where: "Lease " + kube.LeaseName(key)})
		}
		if len(holders) > 0 {
			result[key] = holders
		}
	}
	return result, nil
}

// byName orders Clusters before IPAddresses.
func byName(a, b vip.Holder) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

func (o *observer) clusterHolders(s *vip.Snapshot, key netip.Addr) ([]vip.Holder, error) {
	clusters, err := o.clusters.GetByIndex(byAddress, key.String())
	if err != nil {
		return nil, fmt.Errorf("look up Clusters of %s: %w", key, err)
	}
	var holders []vip.Holder
	for _, cluster := range clusters {
		if string(cluster.UID) == s.Cluster.UID {
			continue
		}
		other := kube.Cluster(cluster)
		class, err := o.class(other.Class)
		if err != nil {
			return nil, err
		}
		if where := vip.Where(&other, o.view(other.Class, class), key); where != "" {
			holders = append(holders, vip.Holder{Kind: "Cluster", Namespace: other.Namespace, Name: other.Name, Where: where})
		}
	}
	return holders, nil
}

func keysOfInterest(s *vip.Snapshot) []netip.Addr {
	// Not all that stand in its variables: a user may put ten thousands there.
	keys := vip.VIPs(&s.Cluster, s.Class)
	for _, claim := range s.Claims {
		if claim == nil || claim.Address == nil {
			continue
		}
		if key, ok := vip.Key(claim.Address.Text); ok {
			keys[key] = true
		}
	}
	result := make([]netip.Addr, 0, len(keys))
	for key := range keys {
		result = append(result, key)
	}
	return result
}

// isRival tells whether the IPAddress belongs to a VIP claim of a Cluster that exists.
func (o *observer) isRival(address *ipamv1.IPAddress) bool {
	name, _, ours := vip.ParseClaimName(address.Spec.ClaimRef.Name)
	if !ours {
		return false
	}
	claim, err := o.claims.Get(address.Namespace, address.Spec.ClaimRef.Name)
	if err != nil {
		return false
	}
	cluster, err := o.clusters.Get(address.Namespace, name)
	return err == nil && kube.OwnedBy(claim.OwnerReferences, string(cluster.UID))
}

// ownAddress tells whether the IPAddress is one of the Cluster's claims'. After a
// lost claim was half taken back it may exist before its claim does.
func ownAddress(s *vip.Snapshot, address *ipamv1.IPAddress) bool {
	cluster, role, ours := vip.ParseClaimName(address.Spec.ClaimRef.Name)
	if address.Namespace != s.Cluster.Namespace || !ours || cluster != s.Cluster.Name {
		return false
	}
	if claim := s.Claims[role]; claim != nil {
		return claim.Address != nil && claim.Address.Name == address.Name
	}
	return kube.OwnedBy(address.OwnerReferences, s.Cluster.UID)
}
