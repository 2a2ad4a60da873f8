package suite

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/provider"
)

// poolObject is either kind of pool of the in-cluster provider.
type poolObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Addresses         []string `json:"addresses"`
		ExcludedAddresses []string `json:"excludedAddresses,omitempty"`
		Prefix            int      `json:"prefix"`
		GraceSeconds      *int32   `json:"addressReuseGracePeriodSeconds,omitempty"`
	} `json:"spec"`
	Status struct {
		IPAddresses *struct {
			Total      int `json:"total"`
			Free       int `json:"free"`
			Used       int `json:"used"`
			OutOfRange int `json:"outOfRange"`
		} `json:"ipAddresses,omitempty"`
	} `json:"status,omitzero"`
}

// pool is an IPAM pool with a range of its own.
type pool struct {
	w               *world
	resource        schema.GroupVersionResource
	namespace, name string
	subnet          string
	draft           *poolObject
}

// pool makes a pool of 20 addresses, cluster-scoped unless told otherwise, and waits
// until its provider has counted them.
func (w *world) pool(options ...poolOption) *pool {
	w.t.Helper()
	p := w.draftPool(options...)
	p.create()
	return p
}

// draftPool plans a pool that does not exist yet.
func (w *world) draftPool(options ...poolOption) *pool {
	w.t.Helper()
	p := &pool{w: w, subnet: newSubnet(), draft: &poolObject{}}
	p.draft.APIVersion, p.draft.Kind, p.draft.Name = "ipam.cluster.x-k8s.io/v1alpha2", "GlobalInClusterIPPool", w.unique("pool")
	p.draft.Spec.Prefix = 24
	for _, option := range append([]poolOption{size(20)}, options...) {
		option.onPool(p.draft)
	}
	p.locate(p.draft)
	p.namespace, p.name, p.resource = p.draft.Namespace, p.draft.Name, observe.GlobalPools
	if p.draft.Kind != "GlobalInClusterIPPool" {
		p.resource = map[string]schema.GroupVersionResource{"InClusterIPPool": namespacedPools, provider.Kind: provider.Pools}[p.draft.Kind]
		if p.namespace == "" {
			p.draft.Namespace, p.namespace = w.namespace, w.namespace
		}
	}
	return p
}

// locate puts the pool's own range in place of SUBNET.
func (p *pool) locate(o *poolObject) {
	for i, addresses := range o.Spec.Addresses {
		o.Spec.Addresses[i] = strings.ReplaceAll(addresses, "SUBNET", p.subnet)
	}
}

func (p *pool) create() {
	p.w.t.Helper()
	create(p.w, p.resource, p.draft)
	if p.draft.Kind == provider.Kind {
		return // nobody counts these
	}
	p.w.eventually("pool "+p.name+" is counted", func() error {
		if p.now().Status.IPAddresses == nil {
			return fmt.Errorf("it has no status")
		}
		return nil
	})
}

// size sets how many addresses the pool has.
func size(n int) poolFunc { return ranges(fmt.Sprintf("SUBNET.10-SUBNET.%d", 9+n)) }

// ranges sets the addresses; SUBNET stands for a range that nobody else uses.
func ranges(addresses ...string) poolFunc {
	return func(o *poolObject) { o.Spec.Addresses = slices.Clone(addresses) }
}

// network sets addresses in a network of that prefix, of IPv4 or IPv6.
func network(prefix int, addresses ...string) poolFunc {
	return func(o *poolObject) {
		ranges(addresses...)(o)
		o.Spec.Prefix = prefix
	}
}

// namespaced makes an InClusterIPPool of it, in the world's namespace unless told otherwise.
func namespaced() poolFunc { return func(o *poolObject) { o.Kind = "InClusterIPPool" } }

// ofExample makes a pool of package provider of it.
func ofExample() poolFunc {
	return func(o *poolObject) { o.Kind, o.APIVersion = provider.Kind, provider.Pools.GroupVersion().String() }
}

// needsGrace skips the test where the IPAM provider hands out what was released at once.
func (w *world) needsGrace() {
	w.t.Helper()
	if w.management.ClusterAPIVersion() != clusterv1.GroupVersion.String() {
		w.t.Skip("the IPAM provider of this release of Cluster API has no addressReuseGracePeriodSeconds")
	}
}

// grace keeps released addresses back for a while.
func grace(seconds int32) poolFunc {
	return func(o *poolObject) { o.Spec.GraceSeconds = ptr.To(seconds) }
}

// eitherRole is what the label of a pool for both roles says.
const eitherRole = controlPlane + "_" + ingress

// serving labels the pool for a role and classes, by name.
func serving(r role, classes ...*class) poolFunc {
	return func(o *poolObject) {
		var names []string
		for _, k := range classes {
			names = append(names, k.name)
		}
		// An annotation has room for any number of names.
		labelled(poolRole, string(r))(o)
		annotated(poolClass, strings.Join(names, ","))(o)
	}
}

// address is the pool's i-th address, from 0. The provider gives the lowest first.
func (p *pool) address(i int) string { return fmt.Sprintf("%s.%d", p.subnet, 10+i) }

func (p *pool) now() *poolObject {
	p.w.t.Helper()
	object := fetch[poolObject](p.w, p.resource, p.namespace, p.name)
	if object == nil {
		p.w.t.Fatalf("pool %s does not exist", p.name)
	}
	return object
}

func (p *pool) change(options ...poolOption) {
	p.w.t.Helper()
	if err := p.tryChange(options...); err != nil {
		p.w.t.Fatalf("change pool %s: %v", p.name, err)
	}
}

// tryChange is for changes that the provider refuses as long as its own caches show an
// address in use that is free again.
func (p *pool) tryChange(options ...poolOption) error {
	p.w.t.Helper()
	return tryChange(p.w, p.resource, p.namespace, p.name, func(o *poolObject) {
		for _, option := range options {
			option.onPool(o)
		}
		p.locate(o)
	})
}

func (p *pool) remove() {
	p.w.t.Helper()
	p.w.remove(p.resource, p.namespace, p.name, metav1.DeleteOptions{})
}

// uses waits until the provider has counted so many addresses as used.
func (p *pool) uses(n int) {
	p.w.t.Helper()
	p.w.eventually(fmt.Sprintf("%d addresses of pool %s are in use", n, p.name), func() error {
		if used := p.now().Status.IPAddresses.Used; used != n {
			return fmt.Errorf("it is %d", used)
		}
		return nil
	})
}

// take has somebody else claim an address of the pool, and returns the address.
func (p *pool) take(claim string) string {
	p.w.t.Helper()
	before := p.now().Status.IPAddresses.Used
	object := &ipamv1.IPAddressClaim{ObjectMeta: metav1.ObjectMeta{Namespace: p.w.namespace, Name: claim}}
	object.APIVersion, object.Kind, object.Spec.PoolRef = ipamv1.GroupVersion.String(), "IPAddressClaim", p.ref()
	create(p.w, observe.Claims, object)
	var address string
	p.w.eventually("claim "+claim+" is bound", func() error {
		bound := fetch[ipamv1.IPAddressClaim](p.w, observe.Claims, p.w.namespace, claim)
		if bound.Status.AddressRef.Name == "" {
			return fmt.Errorf("it is not")
		}
		address = fetch[ipamv1.IPAddress](p.w, observe.Addresses, p.w.namespace, bound.Status.AddressRef.Name).Spec.Address
		return nil
	})
	p.uses(before + 1)
	return address
}

// giveBack releases what take took.
func (p *pool) giveBack(claim string) {
	p.w.t.Helper()
	p.w.remove(observe.Claims, p.w.namespace, claim, metav1.DeleteOptions{})
}

func (p *pool) ref() ipamv1.IPPoolReference {
	return ipamv1.IPPoolReference{APIGroup: p.resource.Group, Kind: p.draft.Kind, Name: p.name}
}

// namespacedOnly limits a cluster-scoped pool to Clusters of some namespaces.
func namespacedOnly(namespaces string) metadata { return annotated(poolNamespaces, namespaces) }
