package allocator

import (
	"net/netip"
	"strings"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Pool is what decides how many addresses a pool has.
type Pool struct {
	// Spec changes whenever its ranges do.
	Spec string
	// Size is how many addresses its own ranges have, and Holds tells whether an address is
	// one of them; Holds is nil if the ranges cannot be read.
	Size  int64
	Holds func(netip.Addr) bool
	// Usable and Used are how many addresses the provider reports as free and as given
	// away; they mean nothing unless Reported, and only if the ranges cannot be read.
	Usable, Used int64
	Reported     bool
}

// Claim is an IPAddressClaim of anybody.
type Claim struct {
	// Pool has no Namespace: a claim does not say whether its pool has one.
	Pool            vip.PoolRef
	Bound, Deleting bool
	// Ours says that it is for a VIP.
	Ours bool
	// Worked says that the provider did something for it just now.
	Worked bool
}

// Address is an IPAddress.
type Address struct {
	Pool  vip.PoolRef // without Namespace
	Claim string      // the name of the claim that it is for
	Key   netip.Addr  // as vip.Key returns it; invalid if it is no address
}

// holding is all that is known under the namespace/name of one claim. Together it is at
// most one address of a pool, unless there are several IPAddresses.
type holding struct {
	claim     *Claim
	addresses map[string]Address
	reserved  *reservation
}

// reservation is the place of a claim that may be made now.
type reservation struct {
	pool    vip.PoolRef
	pin     netip.Addr
	cluster string
	// made is when it was; zero before. From then on it is an expectation: the claim is
	// waited for, not made again.
	made time.Time
}

type pin struct {
	pool    vip.PoolRef
	address netip.Addr
}

// occupancy counts the addresses of a pool that are not free: the union of IPAddresses,
// claims and reservations. bound are those that are given away for good.
type occupancy struct{ used, bound int64 }

// share is what a holding occupies of one pool.
type share struct {
	pool vip.PoolRef
	occupancy
}

// slots are the two pools that a reference from the namespace may mean, of which there can
// be one only: a kind of pool either has namespaces or has not.
func slots(pool vip.PoolRef, namespace string) [2]vip.PoolRef {
	namespaced := pool
	namespaced.Namespace = namespace
	return [2]vip.PoolRef{pool, namespaced}
}

// shares lists what the holding occupies. An address out of the pool's ranges occupies
// nothing there, nor does the claim that has it.
func (a *Allocator) shares(key string, h *holding) []share {
	namespace, _, _ := strings.Cut(key, "/")
	all := make([]share, 0, 2)
	of := func(pool vip.PoolRef) *occupancy {
		for i := range all {
			if all[i].pool == pool {
				return &all[i].occupancy
			}
		}
		return nil
	}
	add := func(pool vip.PoolRef, o occupancy) {
		if known := of(pool); known != nil {
			known.used, known.bound = known.used+o.used, known.bound+o.bound
			return
		}
		all = append(all, share{pool, o})
	}
	for _, address := range h.addresses {
		for _, slot := range slots(address.Pool, namespace) {
			if holds := a.pools[slot].Holds; holds == nil || holds(address.Key) {
				add(slot, occupancy{1, 1})
			} else {
				add(slot, occupancy{})
			}
		}
	}
	if h.claim != nil {
		for _, slot := range slots(h.claim.Pool, namespace) {
			if of(slot) != nil {
				continue
			}
			o := occupancy{used: 1}
			if h.claim.Bound {
				o.bound = 1 // its IPAddress is not to be seen
			}
			add(slot, o)
		}
	}
	if h.reserved != nil && of(h.reserved.pool) == nil {
		add(h.reserved.pool, occupancy{used: 1})
	}
	return all
}

// touched are pools that a change concerns, and whether they were full before.
type touched map[vip.PoolRef]bool

func (t touched) add(a *Allocator, pool vip.PoolRef) {
	if _, known := t[pool]; !known {
		t[pool] = a.full(pool)
	}
}

// change makes the change of a holding and counts anew.
func (a *Allocator) change(t touched, key string, change func(*holding)) {
	h := a.holdings[key]
	if h == nil {
		h = &holding{}
		a.holdings[key] = h
	}
	count := func(step int64) {
		for _, s := range a.shares(key, h) {
			t.add(a, s.pool)
			o := a.occupied[s.pool]
			o.used, o.bound = o.used+step*s.used, o.bound+step*s.bound
			if a.occupied[s.pool] = o; o == (occupancy{}) {
				delete(a.occupied, s.pool)
			}
		}
	}
	count(-1)
	before := h.awaited()
	change(h)
	count(+1)
	a.await(before, h.awaited())
	if h.claim == nil && h.reserved == nil && len(h.addresses) == 0 {
		delete(a.holdings, key)
	}
}

// reserve sets the reservation of the claim, or takes it back.
func (a *Allocator) reserve(t touched, key string, r *reservation) {
	a.change(t, key, func(h *holding) { a.setReserved(key, h, r) })
}

func (a *Allocator) setReserved(key string, h *holding, r *reservation) {
	if h.reserved != nil {
		delete(a.pins, pin{h.reserved.pool, h.reserved.pin})
		delete(a.expected, key)
	}
	if h.reserved = r; r != nil && r.pin.IsValid() {
		a.pins[pin{r.pool, r.pin}] = key
	}
}

// wakes returns whom the change concerns: those who may have what came free, those whose
// claims wait on a pool that ran dry, and those who waited for a burst that is over.
func (a *Allocator) wakes(t touched) (wake []string) {
	for pool, wasFull := range t {
		if wake = append(wake, a.admit(pool)...); !wasFull && a.full(pool) {
			wake = append(wake, a.pending(pool)...)
		}
	}
	if a.drained {
		a.drained = false
		wake = append(wake, a.undefer(a.now())...)
	}
	return wake
}

// SetClaim notes what became of a claim; nil says that it is gone. Seeing it ends its
// reservation.
func (a *Allocator) SetClaim(namespace, name string, claim *Claim) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, t := claimKey(namespace, name), touched{}
	a.change(t, key, func(h *holding) {
		if h.claim = claim; h.reserved != nil && (claim != nil || !h.reserved.made.IsZero()) {
			a.setReserved(key, h, nil)
		}
	})
	if claim != nil && claim.Worked {
		a.kindOf(claim.Pool).progress = a.now()
	}
	return a.wakes(t)
}

// SetAddress notes what became of an IPAddress; nil says that it is gone.
func (a *Allocator) SetAddress(namespace, name string, address *Address) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, t := claimKey(namespace, name), touched{}
	if claim, known := a.claimOf[key]; known && (address == nil || claim != claimKey(namespace, address.Claim)) {
		delete(a.claimOf, key)
		a.change(t, claim, func(h *holding) { delete(h.addresses, name) })
	}
	if address != nil {
		claim := claimKey(namespace, address.Claim)
		a.claimOf[key] = claim
		a.change(t, claim, func(h *holding) {
			if h.addresses == nil {
				h.addresses = map[string]Address{}
			}
			h.addresses[name] = *address
		})
	}
	return a.wakes(t)
}

// SetPool notes what a pool is now; nil says that it is gone.
func (a *Allocator) SetPool(ref vip.PoolRef, pool *Pool) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := touched{}
	t.add(a, ref)
	old, known := a.pools[ref]
	if pool == nil {
		delete(a.pools, ref)
	} else {
		a.pools[ref] = *pool
	}
	if !known || pool == nil || old.Spec != pool.Spec {
		a.recount(ref)
	}
	for claim := range a.refusals[ref] {
		wake = append(wake, ownerOf(claim))
	}
	delete(a.refusals, ref)
	return append(wake, a.wakes(t)...)
}

// recount counts everything of one pool, whose ranges may be others than before.
func (a *Allocator) recount(ref vip.PoolRef) {
	total := occupancy{}
	for key, h := range a.holdings {
		for _, s := range a.shares(key, h) {
			if s.pool == ref {
				total.used, total.bound = total.used+s.used, total.bound+s.bound
			}
		}
	}
	if a.occupied[ref] = total; total == (occupancy{}) {
		delete(a.occupied, ref)
	}
}

// Free returns how many addresses of the pool nobody has or is about to have. It is not
// known of a pool that tells neither its ranges nor numbers, nor of one not seen yet.
func (a *Allocator) Free(pool vip.PoolRef) (free int64, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.free(pool)
}

func (a *Allocator) free(ref vip.PoolRef) (free int64, known bool) {
	left, known := a.left(ref)
	o := a.occupied[ref]
	return left - (o.used - o.bound), known
}

// full tells whether every address of the pool is given away.
func (a *Allocator) full(ref vip.PoolRef) bool {
	left, known := a.left(ref)
	return known && left <= 0
}

// left is how many addresses of the pool are not given away.
func (a *Allocator) left(ref vip.PoolRef) (left int64, known bool) {
	pool, bound := a.pools[ref], a.occupied[ref].bound
	switch {
	case pool.Holds != nil:
		return pool.Size - bound, true
	case pool.Reported:
		return pool.Usable - max(0, bound-pool.Used), true // what the provider has not counted yet
	}
	return 0, false
}

// HasAddress tells whether there is an IPAddress for the claim, which need not name it yet.
func (a *Allocator) HasAddress(namespace, claim string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.holdings[claimKey(namespace, claim)]
	return h != nil && len(h.addresses) > 0
}

// Pending returns the Clusters whose claims on the pool have no address.
func (a *Allocator) Pending(pool vip.PoolRef) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending(pool)
}

func (a *Allocator) pending(pool vip.PoolRef) (clusters []string) {
	for key, h := range a.holdings {
		if !h.pending() || len(h.addresses) > 0 {
			continue
		}
		namespace, _, _ := strings.Cut(key, "/")
		for _, slot := range slots(h.claim.Pool, namespace) {
			if owner := ownerOf(key); slot == pool && owner != "" {
				clusters = append(clusters, owner)
			}
		}
	}
	return clusters
}

func (h *holding) pending() bool { return h.claim != nil && !h.claim.Bound && !h.claim.Deleting }

// awaited is the kind of pool whose provider is to bind a claim for a VIP; zero if it has
// nothing to do.
func (h *holding) awaited() vip.PoolRef {
	switch {
	case h.claim != nil && h.claim.Ours && h.pending():
		return kindOf(h.claim.Pool)
	case h.claim == nil && h.reserved != nil:
		return kindOf(h.reserved.pool)
	}
	return vip.PoolRef{}
}
