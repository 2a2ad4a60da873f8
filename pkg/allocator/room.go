package allocator

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Pool is what decides how many addresses a pool has.
type Pool struct {
	// Size is how many addresses its own ranges have, and Holds tells whether an address is
	// one of them; Holds is nil if the ranges cannot be read.
	Size  int64
	Holds func(netip.Addr) bool
	// Addresses are all that its ranges have, in their order and as vip.Key returns them, if a
	// claim can be pinned to one of them; nil if not.
	Addresses iter.Seq[netip.Addr]
	// Generation is that of its spec: as long as it is the same, so are the ranges.
	Generation int64
	// Counted says that Usable and Used are to be gone by although the ranges can be read.
	Counted bool
	// Usable and Used are how many addresses the provider reports as free and as given
	// away; they mean nothing unless Reported, and only if the ranges cannot be read.
	Usable, Used int64
	Reported     bool
	// Idle says that its provider binds no claims at present, because it is paused or deleted.
	Idle bool
}

// Claim is an IPAddressClaim of anybody.
type Claim struct {
	// Pool has no Namespace: a claim does not say whether its pool has one.
	Pool vip.PoolRef
	// Ours says that it is for a VIP.
	Ours, Bound, Deleting bool
}

// pending tells whether the claim is to be bound; there may be none.
func (c *Claim) pending() bool { return c != nil && !c.Bound && !c.Deleting }

// Address is an IPAddress.
type Address struct {
	Pool  vip.PoolRef // without Namespace
	Claim string      // the name of the claim that it is for
	Key   netip.Addr  // as vip.Key returns it; invalid if it is no address
}

// pool is a pool, or what stands for one that has not been seen.
type pool struct {
	Pool
	seen bool
	// names are the IPAddresses, claims and reservations by the claim's namespace/name. All of
	// one name are one address: the union is what is taken of the pool.
	names map[string]*name
	line  line
	// given counts its IPAddresses by address, and strange is how many addresses of its ranges
	// somebody uses without an IPAddress of the pool: its provider would hand them out.
	given   map[netip.Addr]int
	strange int
	// taken sums up the names; wasFull says that all addresses were given away for good.
	taken
	wasFull bool
}

type name struct {
	claim     *Claim
	addresses []netip.Addr
	reserved  bool
	taken
}

// taken counts addresses that are not free, and those that are given away for good.
type taken struct{ used, bound int64 }

// pending tells whether a claim waits for an address of the pool.
func (n *name) pending() bool { return n.claim.pending() && len(n.addresses) == 0 }

func (a *Allocator) pool(ref vip.PoolRef) *pool {
	if a.pools[ref] == nil {
		a.pools[ref] = &pool{names: map[string]*name{}, given: map[netip.Addr]int{}}
	}
	return a.pools[ref]
}

// tidy drops what nobody needs any more.
func (a *Allocator) tidy(ref vip.PoolRef) {
	if p := a.pools[ref]; p != nil && !p.seen && len(p.names)+len(p.line) == 0 {
		delete(a.pools, ref)
	}
}

// edit changes what is known under a name.
func (a *Allocator) edit(ref vip.PoolRef, key string, change func(*name)) {
	p := a.pool(ref)
	n := p.names[key]
	if n == nil {
		n = &name{}
		p.names[key] = n
	}
	change(n)
	p.recount(n)
	if n.claim == nil && len(n.addresses) == 0 && !n.reserved {
		delete(p.names, key)
	}
}

// recount brings the sum up to date for a name that changed, or whose pool did.
func (p *pool) recount(n *name) {
	now := p.takes(n)
	p.used, p.bound = p.used-n.used+now.used, p.bound-n.bound+now.bound
	n.taken = now
}

// takes counts what the name takes of the pool.
func (p *pool) takes(n *name) (t taken) {
	for _, address := range n.addresses {
		// One out of the pool's ranges takes nothing of it, nor does the claim that has it.
		if p.Holds == nil || p.Holds(address) {
			t.used, t.bound = t.used+1, t.bound+1
		}
	}
	switch {
	case len(n.addresses) > 0:
	case n.claim != nil && n.claim.Bound:
		t = taken{1, 1} // its IPAddress is not to be seen
	case n.claim != nil || n.reserved:
		t.used = 1
	}
	return t
}

// slots are the two pools that a reference from the namespace may mean, of which there can
// be one only: a kind of pool either has namespaces or has not.
func slots(pool vip.PoolRef, namespace string) []vip.PoolRef {
	namespaced := pool
	namespaced.Namespace = namespace
	return []vip.PoolRef{pool, namespaced}
}

// SetClaim notes that a claim came, changed or went: old is nil if it is new, current if it
// is gone. Seeing it ends its reservation. worked says that the provider did something for it.
func (a *Allocator) SetClaim(namespace, claim string, old, current *Claim, worked bool) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := namespace + "/" + claim
	if current == nil && a.reserved[key] == nil { // what went may be one before
		a.unpin(key)
	}
	if old != nil && current != nil && *old == *current && a.reserved[key] == nil && !worked {
		return nil
	}
	var touched []vip.PoolRef
	// One on its way out gives way to another, which has its place already.
	if reserved := a.reserved[key]; reserved != nil && current != nil && !current.Deleting && slices.Contains(slots(current.Pool, namespace), reserved.pool) {
		touched = a.drop(key)
	}
	for _, state := range []*Claim{old, current} {
		if state == nil {
			continue
		}
		for _, ref := range slots(state.Pool, namespace) {
			a.edit(ref, key, func(n *name) { n.claim = current })
			touched = append(touched, ref)
		}
	}
	a.await(key, old, current)
	if worked {
		a.kind(current.Pool).progress = time.Now()
	}
	return a.wakes(touched...)
}

// await notes whether a provider is to bind the claim.
func (a *Allocator) await(key string, old, current *Claim) {
	reserved := a.reserved[key]
	switch {
	case current.pending() && current.Ours && old.pending() && old.Pool == current.Pool:
		// It is awaited, or has been for too long.
	case current.pending() && current.Ours:
		a.expect(key, current.Pool)
	case old != nil && (reserved == nil || a.kind(reserved.pool) != a.kind(old.Pool)):
		a.kind(old.Pool).settle(key)
	}
}

// SetAddress notes that an IPAddress came, changed or went.
func (a *Allocator) SetAddress(namespace string, old, current *Address) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var touched []vip.PoolRef
	if old != nil {
		a.count(old.Key, func() { a.give(old, namespace, -1) })
		for _, ref := range slots(old.Pool, namespace) {
			a.edit(ref, namespace+"/"+old.Claim, func(n *name) { n.addresses = without(n.addresses, old.Key) })
			touched = append(touched, ref)
		}
	}
	if current != nil {
		if a.pinned[current.Key] == namespace+"/"+current.Claim {
			delete(a.pinned, current.Key)
		}
		a.count(current.Key, func() { a.give(current, namespace, 1) })
		for _, ref := range slots(current.Pool, namespace) {
			a.edit(ref, namespace+"/"+current.Claim, func(n *name) { n.addresses = append(n.addresses, current.Key) })
			touched = append(touched, ref)
		}
	}
	wake = a.wakes(touched...)
	if current == nil {
		wake = append(wake, a.picky()...)
	}
	return wake
}

// without leaves out one address: another IPAddress may be of the same.
func without(addresses []netip.Addr, gone netip.Addr) []netip.Addr {
	for i, address := range addresses {
		if address == gone {
			return append(addresses[:i:i], addresses[i+1:]...)
		}
	}
	return addresses
}

// SetPool notes what a pool is now; nil says that it is gone.
func (a *Allocator) SetPool(ref vip.PoolRef, current *Pool) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pool(ref)
	for claim, pools := range a.refusals {
		if refused := pools[ref]; !refused.bound || current == nil || current.Generation != refused.generation {
			wake = append(wake, a.admits(claim, ref)...)
		}
	}
	able, before := p.binds(), p.Pool
	p.Pool, p.seen = Pool{}, current != nil
	if current != nil {
		p.Pool = *current
	}
	if delete(a.ranged, ref); p.Holds != nil {
		a.ranged[ref] = p
	}
	if before.Holds == nil || p.Holds == nil || before.Generation != p.Generation {
		a.recountStrange(p)
	}
	for key, n := range p.names {
		p.recount(n)
		if !able && n.pending() && n.claim.Ours && a.binds(key, n.claim.Pool) {
			a.expect(key, n.claim.Pool)
		}
	}
	return append(wake, a.wakes(ref)...)
}

// left is how many addresses of the pool are not given away for good.
func (p *pool) left() (left int64, known bool) {
	switch {
	case p.Holds != nil && !p.Counted:
		return p.Size - p.bound, true
	case p.Reported:
		return p.Usable - max(0, p.bound-p.Used), true // less what the provider has not counted yet
	}
	return 0, false
}

func (p *pool) full() bool {
	left, known := p.left()
	return known && left <= 0
}

// free is how many addresses nobody has or is about to have.
func (p *pool) free() (free int64, known bool) {
	left, known := p.left()
	return left - (p.used - p.bound), known
}

// wakes returns those who may have what came free, and those whose claims wait on the pool
// when it runs dry.
func (p *pool) wakes() (wake []string) {
	if !p.seen {
		return nil
	}
	if full := p.full(); full != p.wasFull {
		if p.wasFull = full; full {
			wake = p.waiting()
		}
	}
	return append(wake, p.admit()...)
}

func (p *pool) waiting() (clusters []string) {
	for key, n := range p.names {
		if owner := ownerOf(key); owner != "" && n.pending() {
			clusters = append(clusters, owner)
		}
	}
	return clusters
}

// Pending returns the Clusters whose claims on the pool have no address.
func (a *Allocator) Pending(pool vip.PoolRef) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.pools[pool]; p != nil {
		return p.waiting()
	}
	return nil
}

// Free returns how many addresses of the pool nobody has or is about to have. It is not
// known of a pool that tells neither its ranges nor numbers, nor of one not seen yet.
func (a *Allocator) Free(pool vip.PoolRef) (free int64, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.pools[pool]; p != nil {
		return p.free()
	}
	return 0, false
}

// HasAddress tells whether there is an IPAddress of the pool for the claim, which need not
// name it yet.
func (a *Allocator) HasAddress(pool vip.PoolRef, claim string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pools[pool]
	return p != nil && p.names[claim] != nil && len(p.names[claim].addresses) > 0
}
