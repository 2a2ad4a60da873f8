package controllers

import (
	"maps"
	"slices"
	"sync"

	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ledger counts, per pool, what a pool's status does not tell or not yet: our
// claims that wait on it, and the IPAddresses that exist. It is kept by events,
// since counting anew on every pass would cost as much as there are claims.
type ledger struct {
	mu        sync.Mutex
	unbound   map[poolSlot]map[string]bool
	addresses map[poolSlot]int
}

// poolSlot is a pool reference as claims and addresses make it, with the namespace
// that they are in. The slot without a namespace sums up all of them.
type poolSlot struct {
	group, kind, name, namespace string
}

func newLedger() *ledger {
	return &ledger{unbound: map[poolSlot]map[string]bool{}, addresses: map[poolSlot]int{}}
}

func slotsOf(ref ipamv1.IPPoolReference, namespace string) [2]poolSlot {
	all := poolSlot{group: ref.APIGroup, kind: ref.Kind, name: ref.Name}
	one := all
	one.namespace = namespace
	return [2]poolSlot{all, one}
}

func slotOf(ref vip.PoolRef) poolSlot {
	return poolSlot{group: ref.Group, kind: ref.Kind, name: ref.Name, namespace: ref.Namespace}
}

func (l *ledger) onClaim(old, current *ipamv1.IPAddressClaim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old != nil {
		for _, slot := range slotsOf(old.Spec.PoolRef, old.Namespace) {
			delete(l.unbound[slot], claimKey(old))
			if len(l.unbound[slot]) == 0 {
				delete(l.unbound, slot)
			}
		}
	}
	if current == nil || !waitsForAddress(current) {
		return
	}
	for _, slot := range slotsOf(current.Spec.PoolRef, current.Namespace) {
		if l.unbound[slot] == nil {
			l.unbound[slot] = map[string]bool{}
		}
		l.unbound[slot][claimKey(current)] = true
	}
}

func waitsForAddress(claim *ipamv1.IPAddressClaim) bool {
	_, _, ours := vip.ParseClaimName(claim.Name)
	return ours && claim.Status.AddressRef.Name == "" && claim.DeletionTimestamp.IsZero()
}

func claimKey(claim *ipamv1.IPAddressClaim) string { return claim.Namespace + "/" + claim.Name }

func (l *ledger) onAddress(old, current *ipamv1.IPAddress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for address, step := range map[*ipamv1.IPAddress]int{old: -1, current: +1} {
		if address == nil {
			continue
		}
		for _, slot := range slotsOf(address.Spec.PoolRef, address.Namespace) {
			if l.addresses[slot] += step; l.addresses[slot] <= 0 {
				delete(l.addresses, slot)
			}
		}
	}
}

// waiting counts our claims on the pool that are not bound, but for the excepted ones.
func (l *ledger) waiting(pool vip.PoolRef, except map[string]bool) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	claims := l.unbound[slotOf(pool)]
	count := int64(len(claims))
	for claim := range except {
		if claims[claim] {
			count--
		}
	}
	return count
}

// pending lists our claims that wait on the pool, as namespace/name.
func (l *ledger) pending(pool vip.PoolRef) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.unbound[slotOf(pool)]))
}

// knows tells whether the claim is counted as waiting on the pool.
func (l *ledger) knows(pool vip.PoolRef, claim string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unbound[slotOf(pool)][claim]
}

// lag counts the addresses of the pool that its status does not count as used yet.
func (l *ledger) lag(pool *kube.Pool) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, int64(l.addresses[slotOf(pool.Ref)])-pool.Used)
}
