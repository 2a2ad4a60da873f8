package cli

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/ui"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// atlas says what each address of the pools is used for.
type atlas struct {
	*sketch
	scope     kube.PoolScope
	claims    map[string]*ipamv1.IPAddressClaim // by namespace/name
	addresses map[vip.PoolRef][]ui.Address
	pending   map[vip.PoolRef][]ui.Address
	// typed are the addresses that stand on Clusters, with one of these each.
	typed map[netip.Addr]*clusterState
}

func newAtlas(s *sketch) *atlas {
	a := &atlas{
		sketch: s, scope: s.Pools.Scope(), claims: map[string]*ipamv1.IPAddressClaim{},
		addresses: map[vip.PoolRef][]ui.Address{}, pending: map[vip.PoolRef][]ui.Address{}, typed: map[netip.Addr]*clusterState{},
	}
	for _, claim := range s.Claims {
		a.claims[claim.Namespace+"/"+claim.Name] = claim
	}
	bound := map[string]bool{}
	for _, address := range s.Addresses {
		ref := a.scope.Ref(address.Spec.PoolRef, address.Namespace)
		bound[address.Namespace+"/"+address.Spec.ClaimRef.Name] = true
		told := a.address(address, s.Pools.Get(ref))
		if !told.Key.IsValid() {
			told.Condition = fmt.Sprintf("IPAddress %s holds %.80q, which is no address", address.Name, address.Spec.Address)
			a.pending[ref] = append(a.pending[ref], told)
			continue
		}
		a.addresses[ref] = append(a.addresses[ref], told)
	}
	for _, claim := range s.Claims {
		if !bound[claim.Namespace+"/"+claim.Name] {
			ref := a.scope.Ref(claim.Spec.PoolRef, claim.Namespace)
			a.pending[ref] = append(a.pending[ref], a.waiting(claim))
		}
	}
	for _, of := range s.standing {
		for _, key := range snapshot.AddressesOf(of.Cluster) {
			if other := a.typed[key.Unmap()]; other == nil || older(of.Cluster, other.Cluster) {
				a.typed[key.Unmap()] = &of
			}
		}
	}
	return a
}

// older orders Clusters.
func older(a, b *clusterv1.Cluster) bool {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name)) < 0
}

// pools are those that a user of the namespace could draw from; all if it is empty. Pools
// that share addresses stand beside each other.
func (a *atlas) pools(namespace string) []ui.Pool {
	all := slices.DeleteFunc(a.Pools.List(), func(p *kube.Pool) bool { return !(&wanted{namespace: namespace}).takes(p) })
	slices.SortFunc(all, func(x, y *kube.Pool) int { return strings.Compare(x.Ref.String(), y.Ref.String()) })
	var result []ui.Pool
	shown := map[vip.PoolRef]bool{}
	for _, pool := range all {
		if shown[pool.Ref] {
			continue
		}
		shown[pool.Ref] = true
		result = append(result, a.pool(pool))
		for _, other := range all {
			if !shown[other.Ref] && pool.SurelyOverlaps(other) {
				shown[other.Ref] = true
				result = append(result, a.pool(other))
			}
		}
	}
	return result
}

func (a *atlas) pool(pool *kube.Pool) ui.Pool {
	told := a.sketch.pool(pool, a.crowd, false)
	p := ui.Pool{
		PoolID: poolID(pool.Ref), Classes: told.Classes, Roles: told.Roles, Namespaces: told.Namespaces, Priority: told.Priority,
		Waiting: told.Waiting, Warnings: told.Warnings, Declared: uiRanges(pool.Declared), HandedOut: uiRanges(pool.Ranges),
		Addresses: a.addresses[pool.Ref], Pending: a.pending[pool.Ref],
	}
	if c := told.Capacity; c != nil {
		p.Capacity = &ui.Capacity{Total: c.Total, Used: c.Used, Free: c.Free}
	}
	p.Addresses = append(p.Addresses, a.unkept(pool, p.Addresses)...)
	slices.SortFunc(p.Addresses, func(x, y ui.Address) int { return cmp.Or(x.Key.Compare(y.Key), strings.Compare(x.Claim, y.Claim)) })
	slices.SortFunc(p.Pending, func(x, y ui.Address) int { return cmp.Or(x.Since.Compare(y.Since), strings.Compare(x.Claim, y.Claim)) })
	return p
}

func poolID(ref vip.PoolRef) ui.PoolID {
	return ui.PoolID{Kind: ref.Kind, Group: ref.Group, Name: ui.Name{Namespace: ref.Namespace, Name: ref.Name}}
}

func uiRanges(set *netipx.IPSet) []ui.Range {
	if set == nil {
		return nil
	}
	var result []ui.Range
	for _, r := range set.Ranges() {
		result = append(result, ui.Range{From: r.From(), To: r.To()})
	}
	return result
}

// unkept are addresses of the pool that a Cluster uses and none of its IPAddresses keeps.
func (a *atlas) unkept(pool *kube.Pool, kept []ui.Address) []ui.Address {
	if pool.Ranges == nil {
		return nil
	}
	known := map[netip.Addr]bool{}
	for i := range kept {
		known[kept[i].Key] = true
	}
	var result []ui.Address
	for key, of := range a.typed {
		if known[key] || !pool.Contains(key) {
			continue
		}
		result = append(result, ui.Address{
			Key: key, State: ui.InUse, Cluster: ui.Name{Namespace: of.Namespace, Name: of.Name}, Exists: true,
			Note: "the Cluster uses it, and no IPAddress of this pool keeps it from being given to others",
		})
	}
	return result
}

// address tells what an IPAddress is for.
func (a *atlas) address(address *ipamv1.IPAddress, pool *kube.Pool) ui.Address {
	claim := a.claims[address.Namespace+"/"+address.Spec.ClaimRef.Name]
	result := ui.Address{State: ui.Foreign, Claim: address.Namespace + "/" + address.Spec.ClaimRef.Name, Since: address.CreationTimestamp.Time}
	if key, ok := vip.Key(address.Spec.Address); ok {
		result.Key = key.Unmap()
	}
	if kube.IsBooking(address) {
		result.State, result.Claim = ui.Booked, ""
		a.booked(&result, address)
		return result
	}
	a.owner(&result, address.Namespace, address.Spec.ClaimRef.Name, claim, address.OwnerReferences)
	switch said := a.said(&result); {
	case result.Role == "":
		result.Note = "none of ours"
	case said != nil && refuses(said):
		result.State = ui.Refused
	default:
		result.State = map[string]ui.State{string(vip.ControlPlane): ui.ControlPlane, string(vip.Ingress): ui.Ingress}[result.Role]
	}
	switch {
	case claim == nil && !a.misses(claims.kind):
		result.Note = "its claim does not exist"
	case claim != nil && !claim.DeletionTimestamp.IsZero():
		result.State, result.Note = ui.Grace, graceNote(claim.DeletionTimestamp, pool)
	}
	return result
}

func graceNote(deleted *metav1.Time, pool *kube.Pool) string {
	if pool == nil || pool.Grace == 0 {
		return "being released"
	}
	return "kept back until " + deleted.Add(pool.Grace).UTC().Format("15:04:05 UTC")
}

// booked names the Cluster whose typed VIP it is.
func (a *atlas) booked(result *ui.Address, address *ipamv1.IPAddress) {
	name, role, _ := vip.ParseBookingName(address.Name)
	result.Cluster, result.Role = ui.Name{Namespace: address.Namespace, Name: name}, string(role)
	a.said(result)
}

// owner names the Cluster and role that a claim serves, unless it is none of ours. Who owned a
// claim that is being deleted may be gone.
func (a *atlas) owner(result *ui.Address, namespace, name string, claim *ipamv1.IPAddressClaim, owners []metav1.OwnerReference) {
	cluster, role, ours := vip.ParseClaimName(name)
	if !ours {
		return
	}
	if claim != nil {
		owners = claim.OwnerReferences
	}
	of, exists := a.standing[namespace+"/"+cluster]
	owned := exists && kube.OwnedBy(owners, string(of.UID))
	if leaving := claim != nil && !claim.DeletionTimestamp.IsZero(); owned || leaving || a.misses(clusters.kind) {
		result.Cluster, result.Role = ui.Name{Namespace: namespace, Name: cluster}, string(role)
	}
}

// said is how it stands with the Cluster's role, which the address repeats; nil if there is
// no such Cluster to see.
func (a *atlas) said(result *ui.Address) *Role {
	of, exists := a.standing[result.Cluster.String()]
	if result.Exists = exists; !exists {
		return nil
	}
	at := slices.IndexFunc(of.roles[:], func(r Role) bool { return r.Role == result.Role })
	if at < 0 {
		return nil
	}
	if r := &of.roles[at]; r.Reason != "" {
		result.Condition = r.Reason + ": " + r.Message
	}
	return &of.roles[at]
}

// refuses tells whether the claim is bound and its address yet no VIP.
func refuses(r *Role) bool {
	switch vip.Reason(r.Reason) {
	case vip.AddressInUse, vip.AddressInvalid, vip.VariableRefused, vip.PatchRefused, vip.PoolNotAccepted:
		return true
	}
	return false
}

// waiting tells whose claim it is that has no address.
func (a *atlas) waiting(claim *ipamv1.IPAddressClaim) ui.Address {
	result := ui.Address{Claim: claim.Namespace + "/" + claim.Name, Since: claim.CreationTimestamp.Time}
	a.owner(&result, claim.Namespace, claim.Name, claim, nil)
	a.said(&result)
	return result
}
