// Package allocator owns the room in IPAM pools: it alone counts addresses, knows which
// Clusters wait for one and in what order, decides who may have one, and who publishes
// VIPs now in a burst. It is a data structure under one lock and makes no request.
//
// Whatever changes it returns the Clusters that are to be reconciled for it, as
// namespace/name: those that could have something now that they could not have before.
package allocator

import (
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
	mu  sync.Mutex
	now func() time.Time

	pools    map[vip.PoolRef]Pool
	holdings map[string]*holding
	occupied map[vip.PoolRef]occupancy
	// claimOf is the claim's key by the IPAddress' namespace/name.
	claimOf map[string]string
	// pins holds the claim that an address is reserved for.
	pins map[pin]string
	// expected holds the claims that were made and have not been seen.
	expected map[string]bool

	clusters map[string]*cluster
	lines    map[vip.PoolRef]line
	// refusals holds the claims for which the pool's provider had no address.
	refusals map[vip.PoolRef]map[string]time.Time
	// changes counts the changes of pools of that namespace, but for their room.
	changes map[string]uint64

	kinds map[vip.PoolRef]*kind
	// deferred holds the Clusters that are not to publish yet.
	deferred map[string]*deferral
	// drained says that a kind of provider has just come to have nothing to do.
	drained bool
}

// cluster is what a Cluster asked for in its latest reconcile.
type cluster struct {
	class vip.ClassKey
	// waiting says that pools which serve others than before could help it, ranges that
	// other ranges could, even without more room.
	waiting, ranges bool
	// lines are those in which it stands, reserved the keys of the claims that it may make.
	lines    map[vip.PoolRef]bool
	reserved []string
}

// New returns an Allocator that knows of nothing yet.
func New() *Allocator {
	return &Allocator{
		now: time.Now, pools: map[vip.PoolRef]Pool{}, holdings: map[string]*holding{}, occupied: map[vip.PoolRef]occupancy{},
		claimOf: map[string]string{}, pins: map[pin]string{}, expected: map[string]bool{}, clusters: map[string]*cluster{}, lines: map[vip.PoolRef]line{},
		refusals: map[vip.PoolRef]map[string]time.Time{}, changes: map[string]uint64{},
		kinds: map[vip.PoolRef]*kind{}, deferred: map[string]*deferral{},
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

func (r *Request) namespace() string {
	namespace, _, _ := strings.Cut(r.Cluster, "/")
	return namespace
}

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
	t := a.leave(r.Cluster)
	placements = a.place(&r)
	c := &cluster{class: r.Class, waiting: r.Waiting, ranges: r.Waiting, lines: map[vip.PoolRef]bool{}}
	for _, want := range r.Wants {
		placed := placements[want.Role]
		switch {
		case placed.Pool == (vip.PoolRef{}):
			c.waiting = true
			a.lineUp(&r, c, want, placed.Candidates)
		case placed.Pool != want.Claimed && !placed.Made:
			key := claimKey(r.namespace(), want.Claim)
			c.reserved = append(c.reserved, key)
			a.reserve(t, key, &reservation{pool: placed.Pool, pin: want.Pin, cluster: r.Cluster})
		}
	}
	if c.waiting || len(c.reserved) > 0 {
		a.clusters[r.Cluster] = c
	}
	wake = a.wakes(t)
	if c.waiting && a.seen(r.namespace()) != r.Seen {
		wake = append(wake, r.Cluster)
	}
	return placements, wake
}

// Await puts the Cluster in line for everything that it wants. It serves to know, before
// the first Reserve, who has waited since before this process.
func (a *Allocator) Await(r Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &cluster{class: r.Class, waiting: true, ranges: true, lines: map[vip.PoolRef]bool{}}
	for _, want := range r.Wants {
		a.lineUp(&r, c, want, want.Candidates)
	}
	a.clusters[r.Cluster] = c
}

// Made notes that the claim, whose place was reserved, was made.
func (a *Allocator) Made(claim string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.holdings[claim]; h != nil && h.reserved != nil {
		h.reserved.made = a.now()
		a.expected[claim] = true
	}
}

// Failed takes the Cluster out of all lines until its next Reserve, and gives back what it
// reserved without having made it: whoever cannot act keeps nobody else waiting.
func (a *Allocator) Failed(cluster string) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.clusters[cluster]
	t := a.leave(cluster)
	if c != nil && c.waiting {
		c.lines, c.reserved = map[vip.PoolRef]bool{}, nil
		a.clusters[cluster] = c // a change of a pool may help it all the same
	}
	return a.wakes(t)
}

// Forget drops a Cluster that is gone or none of our business.
func (a *Allocator) Forget(cluster string) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.leave(cluster)
	namespace, name, _ := strings.Cut(cluster, "/")
	for _, role := range vip.Roles() {
		for pool := range a.refusals {
			delete(a.refusals[pool], claimKey(namespace, role.ClaimName(name)))
		}
	}
	delete(a.deferred, cluster)
	return a.wakes(t)
}

// Refuse notes that the pool's provider had no address for the claim.
func (a *Allocator) Refuse(claim string, pool vip.PoolRef) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusals[pool] == nil {
		a.refusals[pool] = map[string]time.Time{}
	}
	a.refusals[pool][claim] = a.now()
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
		own, _, _ := strings.Cut(key, "/")
		if (c.ranges || (c.waiting && !ranges)) && (namespace == "" || namespace == own) && serves(c.class) {
			wake = append(wake, key)
		}
	}
	return wake
}

// Tick does what time alone brings about. It is to be called about once a second.
func (a *Allocator) Tick() (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, t := a.now(), touched{}
	for key := range a.expected {
		if r := a.holdings[key].reserved; now.Sub(r.made) >= expectationTimeout {
			wake = append(wake, r.cluster)
			a.reserve(t, key, nil)
		}
	}
	for pool, claims := range a.refusals {
		for claim, at := range claims {
			if now.Sub(at) >= refusalTimeout {
				delete(claims, claim)
				wake = append(wake, ownerOf(claim))
			}
		}
		if len(claims) == 0 {
			delete(a.refusals, pool)
		}
	}
	return append(append(wake, a.wakes(t)...), a.undefer(now)...)
}

// leave takes the Cluster out of all lines and gives back what it reserved without having
// made it. It returns the pools that this concerns.
func (a *Allocator) leave(key string) touched {
	t, c := touched{}, a.clusters[key]
	if c == nil {
		return t
	}
	delete(a.clusters, key)
	for pool := range c.lines {
		t.add(a, pool)
		a.lines[pool] = a.lines[pool].without(key)
		if len(a.lines[pool]) == 0 {
			delete(a.lines, pool)
		}
	}
	for _, claim := range c.reserved {
		if h := a.holdings[claim]; h != nil && h.reserved != nil && h.reserved.made.IsZero() {
			a.reserve(t, claim, nil)
		}
	}
	return t
}

func claimKey(namespace, claim string) string { return namespace + "/" + claim }

// ownerOf is the Cluster that the claim's name leads to; empty if it leads to none.
func ownerOf(claim string) string {
	namespace, name, _ := strings.Cut(claim, "/")
	if cluster, _, ours := vip.ParseClaimName(name); ours {
		return namespace + "/" + cluster
	}
	return ""
}
