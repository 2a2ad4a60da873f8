// Package snapshot observes: it turns caches, or lists, into the Snapshot that is planned
// from. It owns the indexes of the caches, which are made once.
package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	lassocache "github.com/rancher/lasso/pkg/cache"
	"github.com/rancher/wrangler/v3/pkg/generic"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	clustercontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	ipamcontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/ipam.cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ErrBehind says that the caches do not show the Cluster that was asked about.
var ErrBehind = errors.New("the caches do not show this Cluster yet")

// Observer reads caches, of a replica that leads or one that stands by, or lists. Nothing in
// it makes a request.
type Observer struct {
	Clusters  clustercontrollers.ClusterCache
	Classes   clustercontrollers.ClusterClassCache
	Claims    ipamcontrollers.IPAddressClaimCache
	Addresses ipamcontrollers.IPAddressCache
	Pools     *kube.Pools
	Leases    *kube.Leases
	Allocator *allocator.Allocator
	// Evaluator runs the templates of classes.
	Evaluator *sandbox.Evaluator
	Views     *ClassViews
	Settings  vip.Settings
	hold      *kube.HoldGate
	// builds says that what is asked is whether a Cluster may be built, so that it
	// matters of every Cluster, not only of held ones, what its class needs.
	builds bool
	// wake enqueues a Cluster once something is known that it waits for; nil if whoever
	// observes asks again.
	wake func(namespace, name string)
}

var (
	clusterKind = clusterv1.GroupVersion.WithKind("Cluster")
	classKind   = clusterv1.GroupVersion.WithKind("ClusterClass")
	claimKind   = ipamv1.GroupVersion.WithKind("IPAddressClaim")
	addressKind = ipamv1.GroupVersion.WithKind("IPAddress")
)

func newObserver(pools *kube.Pools, leases *kube.Leases, settings vip.Settings, evaluator *sandbox.Evaluator) *Observer {
	return &Observer{Pools: pools, Leases: leases, Allocator: allocator.New(), Evaluator: evaluator, Views: newClassViews(), Settings: settings}
}

// New reads the caches of kube.Warm, which must have synced. It creates no controller: one
// that is not started would queue every event for ever.
func New(caches lassocache.SharedCacheFactory, pools *kube.Pools, leases *kube.Leases, settings vip.Settings, evaluator *sandbox.Evaluator) (*Observer, error) {
	o := newObserver(pools, leases, settings, evaluator)
	informers := map[schema.GroupVersionKind]cache.SharedIndexInformer{}
	for _, kind := range []schema.GroupVersionKind{clusterKind, classKind, claimKind, addressKind} {
		informer, err := caches.ForKind(kind)
		if err != nil {
			return nil, fmt.Errorf("cache of %s: %w", kind.Kind, err)
		}
		informers[kind] = informer
	}
	o.Clusters = typed[*clusterv1.Cluster](informers[clusterKind].GetIndexer(), clusterKind)
	o.Classes = typed[*clusterv1.ClusterClass](informers[classKind].GetIndexer(), classKind)
	o.Claims = typed[*ipamv1.IPAddressClaim](informers[claimKind].GetIndexer(), claimKind)
	o.Addresses = typed[*ipamv1.IPAddress](informers[addressKind].GetIndexer(), addressKind)
	o.addIndexers()
	_, err := kube.OnEvent(informers[classKind], func(old, current *clusterv1.ClusterClass) {
		if current == nil {
			o.Views.Forget(vip.ClassKey{Namespace: old.Namespace, Name: old.Name})
		}
	})
	return o, err
}

func typed[T runtime.Object](indexer cache.Indexer, kind schema.GroupVersionKind) generic.CacheInterface[T] {
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	return generic.NewCache[T](indexer, resource.GroupResource())
}

// ForControllers observes with the hold gate, and wakes a Cluster once what its class needs
// is known.
func (o *Observer) ForControllers(hold *kube.HoldGate, wake func(namespace, name string)) *Observer {
	leading := *o
	leading.hold, leading.wake = hold, wake
	return &leading
}

// Builds observes as for a decision whether a Cluster may be built.
type Builds struct{ *Observer }

// ForBuilds observes Clusters as they are given, which need not be their newest versions.
func (o *Observer) ForBuilds() Builds {
	building := *o
	building.builds = true
	return Builds{&building}
}

// Observe is ErrBehind if the caches do not hold the Cluster at all: then they may lack its
// class and pools too.
func (b Builds) Observe(cluster *clusterv1.Cluster) (*vip.Snapshot, error) {
	cached, err := b.Clusters.Get(cluster.Namespace, cluster.Name)
	if err != nil || cached.UID != cluster.UID {
		return nil, fmt.Errorf("observe Cluster %s/%s: %w", cluster.Namespace, cluster.Name, ErrBehind)
	}
	return b.Observer.Observe(cluster)
}

// Observe reads everything that concerns the Cluster.
func (o *Observer) Observe(cluster *clusterv1.Cluster) (*vip.Snapshot, error) {
	s := &vip.Snapshot{Cluster: kube.Cluster(cluster), Claims: map[vip.Role]*vip.Claim{}, Settings: o.Settings}
	if !s.Cluster.HasTopology {
		return s, nil
	}
	class, err := o.observeOwn(s)
	if err != nil {
		return nil, err
	}
	s.Settings.HoldGate = s.Settings.HoldGate || o.hold.On()
	o.observeNeeds(s, class)
	if err := o.observeStarted(s); err != nil {
		return nil, err
	}
	return s, o.observeOthers(s)
}

// observeOwn reads the Cluster's class and claims.
func (o *Observer) observeOwn(s *vip.Snapshot) (*clusterv1.ClusterClass, error) {
	class, err := o.Class(s.Cluster.Class)
	if err != nil {
		return nil, err
	}
	s.Class = o.ViewClass(s.Cluster.Class, class)
	scope := o.Pools.Scope()
	for _, role := range vip.Roles() {
		if s.Claims[role], err = o.Claim(&s.Cluster, role, scope); err != nil {
			return nil, err
		}
	}
	return class, nil
}

// observeOthers reads the pools, and who else uses what the Cluster claims or carries.
func (o *Observer) observeOthers(s *vip.Snapshot) (err error) {
	s.Pools = o.poolsFor(s)
	s.Recoveries = o.recoveries(s)
	if s.Holders, err = o.holders(s); err != nil {
		return err
	}
	o.observeContest(s)
	return nil
}

// Class is nil if there is none of that name.
func (o *Observer) Class(key vip.ClassKey) (*clusterv1.ClusterClass, error) {
	class, err := o.Classes.Get(key.Namespace, key.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get ClusterClass %s: %w", key, err)
	}
	return class, nil
}

// VIPs are the addresses that the Cluster uses as VIPs, sorted, as vip.Key returns them.
func (o *Observer) VIPs(cluster *clusterv1.Cluster) []netip.Addr {
	view := kube.Cluster(cluster)
	class, err := o.Class(view.Class)
	if err != nil {
		class = nil // as of one that does not exist
	}
	return slices.SortedFunc(maps.Keys(vip.VIPs(&view, o.ViewClass(view.Class, class))), netip.Addr.Compare)
}

// ViewClass reads the class, once for each of its versions; nil is one that does not exist.
func (o *Observer) ViewClass(key vip.ClassKey, class *clusterv1.ClusterClass) vip.Class {
	return o.Views.of(key, class).class
}

// Claim views the role's claim of the Cluster; nil if there is none.
func (o *Observer) Claim(cluster *vip.Cluster, role vip.Role, scope kube.PoolScope) (*vip.Claim, error) {
	claim, err := o.Claims.Get(cluster.Namespace, role.ClaimName(cluster.Name))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get claim: %w", err)
	}
	var address *ipamv1.IPAddress
	if name := claim.Status.AddressRef.Name; name != "" {
		// The claim may be shown as bound before its address is shown at all.
		if address, err = o.Addresses.Get(cluster.Namespace, name); err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get IPAddress: %w", err)
		}
		if err != nil {
			address = nil
		}
	}
	return kube.Claim(claim, address, cluster, role, scope), nil
}

// observeStarted looks for IPAddresses whose claims were not made any more.
func (o *Observer) observeStarted(s *vip.Snapshot) error {
	scope := o.Pools.Scope()
	for _, role := range vip.Roles() {
		if s.Claims[role] != nil {
			continue
		}
		address, err := o.Addresses.Get(s.Cluster.Namespace, role.ClaimName(s.Cluster.Name))
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get IPAddress: %w", err)
		}
		if key, ok := vip.Key(address.Spec.Address); ok && address.DeletionTimestamp.IsZero() && kube.OwnedBy(address.OwnerReferences, s.Cluster.UID) {
			if s.Started == nil {
				s.Started = map[vip.Role]vip.Started{}
			}
			s.Started[role] = vip.Started{Pool: scope.Ref(address.Spec.PoolRef, address.Namespace), Key: key}
		}
	}
	return nil
}

// observeNeeds asks what the class's patches do with this Cluster, only where the answer
// matters: when a variable is about to be withdrawn, and where a Cluster is to be built or
// let go. It does not wait for an answer that is not known yet.
func (o *Observer) observeNeeds(s *vip.Snapshot, class *clusterv1.ClusterClass) {
	disabled := s.Cluster.Annotations[vip.Ingress.EnabledAnnotation()] == "false"
	asked := o.builds || s.Cluster.Held()
	if class == nil || (!disabled && !asked) {
		return
	}
	var then func()
	if namespace, name := s.Cluster.Namespace, s.Cluster.Name; o.wake != nil {
		then = func() { o.wake(namespace, name) }
	}
	patches := o.Views.of(s.Cluster.Class, class).patches
	// The view of the class is shared by all its Clusters.
	s.Class.Roles = maps.Clone(s.Class.Roles)
	for role, variable := range s.Class.Roles {
		if asked && variable.Declared {
			consumes, known := o.Evaluator.Consumes(patches[role](), &s.Cluster, then)
			// Until it is known, and if it cannot be known, every role is waited for.
			variable.Consumed, variable.Pending = consumes || !known, !known
		}
		if disabled && role == vip.Ingress && s.Cluster.VariableAt(variable.Path) != "" {
			var known bool
			variable.NeededBy, variable.Unclear, known = o.Evaluator.NeededBy(patches[role](), &s.Cluster, then)
			variable.Pending = variable.Pending || !known
		}
		s.Class.Roles[role] = variable
	}
}

// holders finds who else uses an address that the Cluster claims or carries.
func (o *Observer) holders(s *vip.Snapshot) (map[netip.Addr][]vip.Holder, error) {
	result := map[netip.Addr][]vip.Holder{}
	for _, key := range keysOfInterest(s) {
		holders, err := o.clusterHolders(s, key)
		if err != nil {
			return nil, err
		}
		addresses, err := o.Addresses.GetByIndex(ByAddress, key.String())
		if err != nil {
			return nil, fmt.Errorf("look up IPAddress %s: %w", key, err)
		}
		for _, address := range addresses {
			if !o.ownAddress(s, address, key) {
				holders = append(holders, vip.Holder{Kind: "IPAddress", Namespace: address.Namespace, Name: address.Name, Rival: o.IsRival(address)})
			}
		}
		// An index has no order. Messages name the first: one that changed with every pass
		// would be a write with every pass, and each write the cause of the next pass.
		slices.SortFunc(holders, byName)
		if holder, leased := o.Leases.HolderOf(key); leased && holder.ClusterUID != s.Cluster.UID {
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

func (o *Observer) clusterHolders(s *vip.Snapshot, key netip.Addr) ([]vip.Holder, error) {
	clusters, err := o.Clusters.GetByIndex(ByAddress, key.String())
	if err != nil {
		return nil, fmt.Errorf("look up Clusters of %s: %w", key, err)
	}
	var holders []vip.Holder
	for _, cluster := range clusters {
		if string(cluster.UID) == s.Cluster.UID {
			continue
		}
		other := kube.Cluster(cluster)
		class, err := o.Class(other.Class)
		if err != nil {
			return nil, err
		}
		if where := vip.Where(&other, o.ViewClass(other.Class, class), key); where != "" {
			holders = append(holders, vip.Holder{Kind: "Cluster", Namespace: other.Namespace, Name: other.Name, Where: where, Allocated: o.allocated(&other, key)})
		}
	}
	return holders, nil
}

// allocated tells whether the Cluster has the address from a claim of its own.
func (o *Observer) allocated(c *vip.Cluster, key netip.Addr) bool {
	scope := o.Pools.Scope()
	for _, role := range vip.Roles() {
		claim, err := o.Claim(c, role, scope)
		if err != nil || claim == nil || claim.Address == nil || !slices.Contains(claim.OwnerUIDs, c.UID) {
			continue
		}
		if has, ok := vip.Key(claim.Address.Text); ok && has == key {
			return true
		}
	}
	return false
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

// IsRival tells whether the IPAddress belongs to a VIP claim of a Cluster that exists.
func (o *Observer) IsRival(address *ipamv1.IPAddress) bool {
	name, _, ours := vip.ParseClaimName(address.Spec.ClaimRef.Name)
	if !ours {
		return false
	}
	claim, err := o.Claims.Get(address.Namespace, address.Spec.ClaimRef.Name)
	if err != nil {
		return false
	}
	cluster, err := o.Clusters.Get(address.Namespace, name)
	return err == nil && kube.OwnedBy(claim.OwnerReferences, string(cluster.UID))
}

// ownAddress tells whether the IPAddress is one of the Cluster's claims', or books its typed
// VIP; a manual one anything of the Cluster's keeps. After a lost claim was half taken back it
// may exist before its claim does.
func (o *Observer) ownAddress(s *vip.Snapshot, address *ipamv1.IPAddress, key netip.Addr) bool {
	cluster, role, ours := vip.ParseClaimName(address.Spec.ClaimRef.Name)
	if !ours {
		books := kube.IsBooking(address) && kube.OwnedBy(address.OwnerReferences, s.Cluster.UID)
		return books || (o.belongs(&s.Cluster, address) && slices.Contains(slices.Collect(maps.Values(vip.ManualVIPs(s))), key))
	}
	if address.Namespace != s.Cluster.Namespace || cluster != s.Cluster.Name {
		return false
	}
	if claim := s.Claims[role]; claim != nil {
		return claim.Address != nil && claim.Address.Name == address.Name
	}
	return kube.OwnedBy(address.OwnerReferences, s.Cluster.UID)
}
