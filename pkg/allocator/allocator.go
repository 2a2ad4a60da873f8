// Package allocator owns the room in IPAM pools: it alone counts addresses, knows which
// Clusters wait for one and in what order, decides who may have one, and who publishes
// VIPs now in a burst. It is a data structure under one lock and makes no request.
//
// Whatever changes it returns the Clusters that are to be reconciled for it, as
// namespace/name: those that could have something now that they could not have before.
package allocator

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	// expectationTimeout is how long a claim that was made is believed in without having
	// been seen: longer than the watches of a busy API server lag (5 s were seen), short
	// enough not to matter if somebody deleted it before it was seen.
	expectationTimeout = 30 * time.Second
	// refusalTimeout is how long a pool whose provider had no address for a claim is passed
	// over for that claim unless the pool changes. Without it a pool that tells no capacity
	// would be chosen anew each time that the claim was moved away from it.
	refusalTimeout = 5 * time.Minute
)

// Allocator is safe for concurrent use.
type Allocator struct {
	mu       sync.Mutex
	pools    map[vip.PoolRef]*pool
	clusters map[string]*cluster
	// reserved holds the places of claims that may be made now, by the claim's namespace/name.
	reserved map[string]*reservation
	// refusals holds, by the same, the pools whose providers had no address for the claim, or
	// none that it could use.
	refusals map[string]map[vip.PoolRef]refusal
	// changes counts the changes of pools of that namespace, but for their room.
	changes map[string]uint64
	kinds   map[vip.PoolRef]*kind
	// deferred holds the Clusters that are not to publish yet.
	deferred map[string]*deferral
	// carried counts the Clusters that use an address as a VIP, given the IPAddresses of it,
	// and pinned holds the claim that an address is meant for and has no IPAddress of yet.
	carried, given map[netip.Addr]int
	pinned         map[netip.Addr]string
	// unpinned says that an address is meant for nobody any more, and nobody was told yet.
	unpinned bool
	// ranged are the pools whose ranges can be read, vips what each Cluster uses.
	ranged map[vip.PoolRef]*pool
	vips   map[string][]netip.Addr
}

// refusal is a pool's that had no address for a claim. One that gave an address which had to
// be refused would give the same again, as long as its spec is the same.
type refusal struct {
	at         time.Time
	bound      bool
	generation int64
}

// cluster is what a Cluster asked for in its latest reconcile.
type cluster struct {
	class vip.ClassKey
	// waiting says that pools which serve others than before could help it, ranges that
	// other ranges could, even without more room.
	waiting, ranges bool
	// picky says that it waits for certain addresses, of which one may come free.
	picky bool
	lines []vip.PoolRef // in which it stands
}

// reservation is the place of a claim that may be made now.
type reservation struct {
	cluster string
	since   time.Time // of the Cluster: one that is created anew has no part in it
	pool    vip.PoolRef
	pin     netip.Addr
	// made is when it was; zero before. From then on it is an expectation: the claim is
	// waited for, not made again.
	made time.Time
}

// New returns an Allocator that knows of nothing yet.
func New() *Allocator {
	return &Allocator{
		pools: map[vip.PoolRef]*pool{}, clusters: map[string]*cluster{}, reserved: map[string]*reservation{},
		refusals: map[string]map[vip.PoolRef]refusal{}, changes: map[string]uint64{}, kinds: map[vip.PoolRef]*kind{}, deferred: map[string]*deferral{},
		carried: map[netip.Addr]int{}, given: map[netip.Addr]int{}, pinned: map[netip.Addr]string{}, ranged: map[vip.PoolRef]*pool{}, vips: map[string][]netip.Addr{},
	}
}

// Request is what a Cluster asks for.
type Request struct {
	// Cluster is its namespace/name, Since its place in line: the oldest goes first.
	Cluster string
	Since   time.Time
	Class   vip.ClassKey
	Wants   []*vip.Want
	// Waiting says that a change of a pool could help it even if all Wants have a place.
	Waiting bool
	// Seen is what Changes returned before the Cluster was observed.
	Seen uint64
}

// RequestOf asks for what the Decision over the Snapshot wants.
func RequestOf(s *vip.Snapshot, d *vip.Decision) Request {
	return Request{
		Cluster: s.Cluster.Namespace + "/" + s.Cluster.Name, Since: s.Cluster.Created, Class: s.Cluster.Class,
		Wants: d.Wants(), Waiting: d.Waiting(),
	}
}

// key is the namespace/name of the claim that is wanted.
func (r *Request) key(want *vip.Want) string { return namespaceOf(r.Cluster) + "/" + want.Claim }

// Place says where the claims would go that are wanted, and reserves nothing.
func (a *Allocator) Place(r Request) map[vip.Role]vip.Placement {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.place(&r)
}

// Reserve does what Place says, and the Cluster waits in line for what has no place. It
// replaces everything that the Cluster had reserved or waited for before, but for claims
// that were made.
func (a *Allocator) Reserve(r Request) (placements map[vip.Role]vip.Placement, wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	placements = a.place(&r)
	touched := a.leave(r.Cluster)
	given := a.unmade(r.Cluster) // back, unless it is wanted still
	c := &cluster{class: r.Class, waiting: r.Waiting, ranges: r.Waiting}
	for _, want := range r.Wants {
		key, placed := r.key(want), placements[want.Role]
		switch {
		case placed.Pool == (vip.PoolRef{}):
			c.waiting = true
			a.lineUp(&r, c, want, placed.Candidates)
			c.picky = c.picky || a.chooses(want, placed.Candidates)
		case placed.Pool != want.Claimed && !placed.Made:
			given = slices.DeleteFunc(given, func(kept string) bool { return kept == key })
			wanted := reservation{cluster: r.Cluster, since: r.Since, pool: placed.Pool, pin: placed.Pin}
			if had := a.reserved[key]; had == nil || *had != wanted {
				touched = append(append(touched, a.drop(key)...), placed.Pool)
				a.reserve(key, &wanted)
			}
		}
	}
	touched = append(touched, a.drop(given...)...)
	if c.waiting {
		a.clusters[r.Cluster] = c
	}
	wake = a.wakes(touched...)
	if c.waiting && a.seen(namespaceOf(r.Cluster)) != r.Seen {
		wake = append(wake, r.Cluster)
	}
	return placements, wake
}

// Await puts the Cluster in line for everything that it wants. It serves to know, before
// the first Reserve, who has waited since before this process.
func (a *Allocator) Await(r Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &cluster{class: r.Class, waiting: true, ranges: true}
	for _, want := range r.Wants {
		a.lineUp(&r, c, want, want.Candidates)
	}
	a.clusters[r.Cluster] = c
}

// Made notes that the claim, whose place was reserved, was made.
func (a *Allocator) Made(claim string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if reserved := a.reserved[claim]; reserved != nil {
		reserved.made = time.Now()
	}
}

// Failed takes the Cluster out of all lines until its next Reserve, and gives back what it
// reserved without having made it: whoever cannot act keeps nobody else waiting. A pool
// that serves others than before may help it all the same.
func (a *Allocator) Failed(cluster string) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.clusters[cluster]
	touched := append(a.leave(cluster), a.drop(a.unmade(cluster)...)...)
	if c != nil {
		c.lines = nil
		a.clusters[cluster] = c
	}
	return a.wakes(touched...)
}

// Forget drops a Cluster that is gone or none of our business.
func (a *Allocator) Forget(cluster string) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.deferred, cluster)
	namespace, name, _ := strings.Cut(cluster, "/")
	for _, role := range vip.Roles() {
		delete(a.refusals, namespace+"/"+role.ClaimName(name))
	}
	return a.wakes(append(a.leave(cluster), a.drop(a.unmade(cluster)...)...)...)
}

// Refuse notes that the pool's provider had no address for the claim or, if it is bound, none
// that it could use.
func (a *Allocator) Refuse(claim string, pool vip.PoolRef, bound bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusals[claim] == nil {
		a.refusals[claim] = map[vip.PoolRef]refusal{}
	}
	a.refusals[claim][pool] = refusal{time.Now(), bound, a.pool(pool).Generation}
	a.tidy(pool)
}

// refused tells whether the pool's provider had no address for the claim.
func (a *Allocator) refused(claim string, pool vip.PoolRef) bool {
	_, refused := a.refusals[claim][pool]
	return refused
}

// admits ends a refusal, if there is one, and wakes the Cluster for that.
func (a *Allocator) admits(claim string, pool vip.PoolRef) (wake []string) {
	if !a.refused(claim, pool) {
		return nil
	}
	if delete(a.refusals[claim], pool); len(a.refusals[claim]) == 0 {
		delete(a.refusals, claim)
	}
	return []string{ownerOf(claim)}
}

// Changes counts what happened to the pools that may serve Clusters of the namespace, but
// for their room.
func (a *Allocator) Changes(namespace string) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen(namespace)
}

func (a *Allocator) seen(namespace string) uint64 { return a.changes[""] + a.changes[namespace] }

// Changed notes that the pool serves others than before, or can or cannot serve now, and
// wakes everybody who waits and whose class is served. If merely its ranges changed, those
// who wait for room are woken by SetPool.
func (a *Allocator) Changed(namespace string, ranges bool, serves func(vip.ClassKey) bool) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes[namespace]++
	for key, c := range a.clusters {
		if (c.ranges || c.picky || (c.waiting && !ranges)) && (namespace == "" || namespace == namespaceOf(key)) && serves(c.class) {
			wake = append(wake, key)
		}
	}
	return wake
}

// Tick does what time alone brings about. It is to be called about once a second.
func (a *Allocator) Tick() (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, reserved := range a.reserved {
		if !reserved.made.IsZero() && time.Since(reserved.made) >= expectationTimeout {
			a.unpin(key)
			wake = append(append(wake, reserved.cluster), a.wakes(a.drop(key)...)...)
		}
	}
	for claim, pools := range a.refusals {
		for pool, refused := range pools {
			if time.Since(refused.at) >= refusalTimeout {
				wake = append(wake, a.admits(claim, pool)...)
			}
		}
	}
	for ref, k := range a.kinds {
		if k.outlast(); len(k.awaited) == 0 && time.Since(k.progress) > burstTimeout {
			delete(a.kinds, ref)
		}
	}
	return append(wake, a.undefer()...)
}

// leave takes the Cluster out of all lines, and returns which.
func (a *Allocator) leave(key string) (lines []vip.PoolRef) {
	c := a.clusters[key]
	if c == nil {
		return nil
	}
	delete(a.clusters, key)
	for _, ref := range c.lines {
		p := a.pool(ref)
		p.line = slices.DeleteFunc(p.line, func(w *waiter) bool { return w.cluster == key })
	}
	return c.lines
}

// unmade returns the claims that the Cluster may make now and has not.
func (a *Allocator) unmade(cluster string) (claims []string) {
	namespace, name, _ := strings.Cut(cluster, "/")
	for _, role := range vip.Roles() {
		key := namespace + "/" + role.ClaimName(name)
		if reserved := a.reserved[key]; reserved != nil && reserved.made.IsZero() {
			claims = append(claims, key)
		}
	}
	return claims
}

func (a *Allocator) reserve(key string, r *reservation) {
	a.reserved[key] = r
	if r.pin.IsValid() {
		a.pinned[r.pin] = key
	}
	a.edit(r.pool, key, func(n *name) { n.reserved = true })
	a.expect(key, r.pool)
}

// drop gives reservations back, and returns their pools.
func (a *Allocator) drop(keys ...string) (pools []vip.PoolRef) {
	for _, key := range keys {
		if reserved := a.reserved[key]; reserved != nil {
			delete(a.reserved, key)
			if reserved.made.IsZero() {
				a.unpin(key) // else until its IPAddress is seen
			}
			a.edit(reserved.pool, key, func(n *name) { n.reserved = false })
			a.kind(reserved.pool).settle(key)
			pools = append(pools, reserved.pool)
		}
	}
	return pools
}

// wakes returns whom it concerns that something of the pools was taken or came free.
func (a *Allocator) wakes(pools ...vip.PoolRef) (wake []string) {
	calm := false
	for _, ref := range pools { // one that is named twice has nothing more to tell
		wake = append(wake, a.pool(ref).wakes()...)
		a.tidy(ref)
		calm = calm || !a.burst(ref)
	}
	if calm {
		wake = append(wake, a.undefer()...)
	}
	if a.unpinned {
		a.unpinned = false
		wake = append(wake, a.picky()...)
	}
	return wake
}

func namespaceOf(key string) string {
	namespace, _, _ := strings.Cut(key, "/")
	return namespace
}

// ownerOf is the Cluster that the claim's name leads to; empty if it leads to none.
func ownerOf(claim string) string {
	namespace, name, _ := strings.Cut(claim, "/")
	if cluster, _, ours := vip.ParseClaimName(name); ours {
		return namespace + "/" + cluster
	}
	return ""
}
