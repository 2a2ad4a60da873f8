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
//
// An address stands in one column at a time: its claim waits until an IPAddress
// names the claim, and the IPAddress counts until the pool's status counts it.
type ledger struct {
	mu sync.Mutex
	// claims holds our unbound claims, by namespace/name, and where they are counted.
	claims map[string][2]poolSlot
	// binding counts the IPAddresses that name a claim, by the claim's namespace/name.
	binding   map[string]int
	waiting   map[poolSlot]int64
	addresses map[poolSlot]int64
}

// poolSlot is a pool reference as claims and addresses make it, with the namespace
// that they are in. The slot without a namespace sums up all of them.
type poolSlot struct {
	group, kind, name, namespace string
}

func newLedger() *ledger {
	return &ledger{claims: map[string][2]poolSlot{}, binding: map[string]int{}, waiting: map[poolSlot]int64{}, addresses: map[poolSlot]int64{}}
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

func claimKey(claim *ipamv1.IPAddressClaim) string { return claim.Namespace + "/" + claim.Name }

func waitsForAddress(claim *ipamv1.IPAddressClaim) bool {
	_, _, ours := vip.ParseClaimName(claim.Name)
	return ours && claim.Status.AddressRef.Name == "" && claim.DeletionTimestamp.IsZero()
}

func (l *ledger) onClaim(old, current *ipamv1.IPAddressClaim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	claim := claimKey(either(old, current))
	l.recount(claim, func() {
		if current != nil && waitsForAddress(current) {
			l.claims[claim] = slotsOf(current.Spec.PoolRef, current.Namespace)
		} else {
			delete(l.claims, claim)
		}
	})
}

func (l *ledger) onAddress(old, current *ipamv1.IPAddress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old != nil {
		l.countAddress(old, -1)
	}
	if current != nil {
		l.countAddress(current, +1)
	}
}

func (l *ledger) countAddress(address *ipamv1.IPAddress, step int) {
	for _, slot := range slotsOf(address.Spec.PoolRef, address.Namespace) {
		add(l.addresses, slot, int64(step))
	}
	claim := address.Namespace + "/" + address.Spec.ClaimRef.Name
	l.recount(claim, func() { add(l.binding, claim, step) })
}

// recount makes the change and counts the claim as it is then.
func (l *ledger) recount(claim string, change func()) {
	l.countWaiting(claim, -1)
	change()
	l.countWaiting(claim, +1)
}

func (l *ledger) countWaiting(claim string, step int64) {
	slots, unbound := l.claims[claim]
	if !unbound || l.binding[claim] > 0 {
		return
	}
	for _, slot := range slots {
		add(l.waiting, slot, step)
	}
}

func add[K comparable, N int | int64](counts map[K]N, key K, step N) {
	if counts[key] += step; counts[key] <= 0 {
		delete(counts, key)
	}
}

// taken counts the addresses of the pool that its status calls free although an
// IPAddress or one of our claims, but for the excepted ones, has them.
func (l *ledger) taken(pool *kube.Pool, except ...string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := slotOf(pool.Ref)
	count := max(0, l.addresses[slot]-pool.Used) + l.waiting[slot]
	for _, claim := range except {
		if slots, unbound := l.claims[claim]; unbound && l.binding[claim] == 0 && slices.Contains(slots[:], slot) {
			count--
		}
	}
	return count
}

// isBinding tells whether an IPAddress for the claim exists.
func (l *ledger) isBinding(claim string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.binding[claim] > 0
}

// pending lists our claims that wait on the pool, as namespace/name.
func (l *ledger) pending(pool vip.PoolRef) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := slotOf(pool)
	return slices.Sorted(func(yield func(string) bool) {
		for claim, slots := range maps.All(l.claims) {
			if slices.Contains(slots[:], slot) && !yield(claim) {
				return
			}
		}
	})
}
