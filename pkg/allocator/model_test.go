package allocator_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var (
	seed  = flag.Uint64("seed", 0, "run the model with this one seed only")
	steps = flag.Int("steps", 1200, "how many steps each of 100 histories has")
)

// A model is a small management cluster: what the API server holds, what the allocator has
// been told of it, late, and the queue of Clusters that are to be reconciled.
type model struct {
	t    *testing.T
	dice *rand.Rand
	a    *allocator.Allocator

	pools  map[vip.PoolRef]*modelPool
	paused map[vip.PoolRef]bool // as it was told last
	claims map[string]*modelClaim
	// cached are the claims as they are seen.
	cached   map[string]*modelClaim
	last     map[string]lastTold
	clusters map[string]*modelCluster
	queue    map[string]bool
	// observed are the reconciles that are under way.
	observed map[string]allocator.Request
	// alone says that nobody else claims addresses and no pool shrinks.
	alone bool
	// typed says which addresses Clusters name without having them.
	typed map[int]bool
	// told are the events that are under way, each object's in their order.
	told map[string][]func() []string
	log  []string
	// generation counts the changes of pools.
	generation int64
}

// lastTold is what the allocator is to know of a claim and its IPAddress in the end.
type lastTold struct {
	claim   *allocator.Claim
	address *allocator.Address
}

type modelPool struct {
	first, size int  // of its addresses
	ranges      bool // can be read
	paused      bool
}

type modelClaim struct {
	pool     vip.PoolRef
	ours     bool
	address  int  // 0 is none
	pin      int  // that it is to get; 0 is any
	deleting bool // until its provider lets it go
}

type modelCluster struct {
	since  time.Time
	roles  []vip.Role
	pools  []vip.PoolRef // that may serve it, the first to try first
	fails  bool          // its claims cannot be made now
	failed bool          // and one could not
	// places are those that it has and made no claim for.
	places map[vip.Role]vip.PoolRef
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, dice: rand.New(rand.NewPCG(seed, 1)), a: allocator.New(), //nolint:gosec // it is to repeat itself
		pools: map[vip.PoolRef]*modelPool{}, claims: map[string]*modelClaim{}, paused: map[vip.PoolRef]bool{}, cached: map[string]*modelClaim{}, last: map[string]lastTold{}, clusters: map[string]*modelCluster{},
		queue: map[string]bool{}, observed: map[string]allocator.Request{}, told: map[string][]func() []string{}, typed: map[int]bool{},
		alone: seed%2 == 0,
	}
	for i := range 3 {
		ref := vip.PoolRef{Group: "g", Kind: "P", Name: fmt.Sprintf("p%d", i)}
		m.pools[ref] = &modelPool{first: 100*i + 1, size: m.dice.IntN(3), ranges: i < 2}
		m.tellPool(ref)
	}
	for m.deliver() {
	}
	for range 15 {
		m.create()
	}
	return m
}

func (m *model) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nhistory:\n%s", fmt.Sprintf(format, args...), strings.Join(m.log[max(0, len(m.log)-60):], "\n"))
}

func (m *model) wake(keys []string) {
	for _, key := range keys {
		m.queue[key] = true
	}
}

// tell has the allocator hear of something some time later.
func (m *model) tell(object string, event func() []string) {
	m.told[object] = append(m.told[object], event)
}

func (m *model) tellPool(ref vip.PoolRef) {
	p := *m.pools[ref]
	before := m.paused[ref]
	m.paused[ref] = p.paused
	m.tell("pool "+ref.Name, func() []string {
		pool := &allocator.Pool{}
		if p.ranges {
			pool.Size = int64(p.size)
			pool.Holds = func(a netip.Addr) bool {
				n := number(a)
				return n >= p.first && n < p.first+p.size
			}
			m.generation++
			pool.Generation = m.generation
			pool.Addresses = func(yield func(netip.Addr) bool) {
				for n := p.first; n < p.first+p.size && yield(addr(n)); n++ {
				}
			}
		} else {
			used := m.used(ref)
			pool.Reported, pool.Usable, pool.Used = true, int64(p.size-used), int64(used)
		}
		wake := m.a.SetPool(ref, pool)
		return append(wake, m.a.Changed("", p.paused == before, func(vip.ClassKey) bool { return true })...)
	})
}

// used counts the addresses of the pool that are given away.
func (m *model) used(ref vip.PoolRef) (used int) {
	for _, claim := range m.claims {
		if claim.pool == ref && claim.address != 0 {
			used++
		}
	}
	return used
}

func (m *model) tellClaim(key string) {
	namespace, name, _ := strings.Cut(key, "/")
	oldClaim, oldAddress := m.last[key].claim, m.last[key].address
	var now lastTold
	if claim := m.claims[key]; claim != nil {
		now.claim = &allocator.Claim{Pool: claim.pool, Ours: claim.ours, Bound: claim.address != 0, Deleting: claim.deleting}
		if n := max(claim.address, claim.pin); n != 0 {
			now.address = &allocator.Address{Pool: claim.pool, Claim: name, Key: addr(n)}
		}
	}
	m.last[key] = now
	owner := ""
	if cluster, _, ours := vip.ParseClaimName(name); ours {
		owner = namespace + "/" + cluster
	}
	seen := m.claims[key]
	m.tell("claim "+key, func() []string {
		m.cached[key] = seen
		wake := m.a.SetClaim(namespace, name, oldClaim, now.claim, false)
		if owner != "" {
			wake = append(wake, owner)
		}
		return wake
	})
	m.tell("address "+key, func() []string { return m.a.SetAddress(namespace, oldAddress, now.address) })
}

func addr(n int) netip.Addr {
	return netip.AddrFrom16(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}).As16())
}

func number(a netip.Addr) int {
	b := a.Unmap().As4()
	return int(b[2])<<8 | int(b[3])
}

func (m *model) create() {
	key := fmt.Sprintf("ns/c%d", m.dice.IntN(30))
	if m.clusters[key] != nil {
		return
	}
	c := &modelCluster{since: time.Unix(int64(m.dice.IntN(1000)), 0), pools: m.refs()}
	m.dice.Shuffle(len(c.pools), func(i, j int) { c.pools[i], c.pools[j] = c.pools[j], c.pools[i] })
	c.pools = c.pools[:1+m.dice.IntN(len(c.pools))]
	for _, role := range vip.Roles() {
		if m.dice.IntN(3) > 0 {
			c.roles = append(c.roles, role)
		}
	}
	m.note("create %s for %v from %v", key, c.roles, c.pools)
	m.clusters[key] = c
	m.queue[key] = true
}

// wants are those of the Cluster's roles that have no claim, or one that is not bound.
func (m *model) wants(key string) allocator.Request {
	c := m.clusters[key]
	namespace, name, _ := strings.Cut(key, "/")
	r := allocator.Request{Cluster: key, Since: c.since, Seen: m.a.Changes(namespace)}
	for _, role := range c.roles {
		claim := m.cached[namespace+"/"+role.ClaimName(name)]
		want := &vip.Want{Role: role, Claim: role.ClaimName(name)}
		switch {
		case claim == nil:
		case claim.deleting:
			want.Keep = true
		case claim.address != 0:
			continue
		default:
			want.Claimed = claim.pool
		}
		for _, ref := range c.pools {
			if ref == want.Claimed || want.Keep {
				continue
			}
			candidate := vip.Candidate{Pool: &vip.Pool{Ref: ref}}
			if m.pools[ref].paused {
				candidate.Verdict = vip.PoolPaused
			}
			want.Candidates = append(want.Candidates, candidate)
		}
		r.Wants = append(r.Wants, want)
	}
	return r
}

func (m *model) refs() []vip.PoolRef {
	return slices.SortedFunc(maps.Keys(m.pools), func(a, b vip.PoolRef) int { return strings.Compare(a.Name, b.Name) })
}

// observe begins a reconcile of the Cluster, and reconcile ends it.
func (m *model) observe(key string) {
	delete(m.queue, key)
	if m.clusters[key] == nil {
		m.wake(m.a.Forget(key))
		return
	}
	m.observed[key] = m.wants(key)
}

func (m *model) reconcile(key string) {
	request := m.observed[key]
	delete(m.observed, key)
	c := m.clusters[key]
	if c == nil || !c.since.Equal(request.Since) {
		m.queue[key] = true // it went, or was created anew, meanwhile
		return
	}
	c.failed = false
	placed := m.a.Place(request)
	reserved, wake := m.a.Reserve(request)
	if !reflect.DeepEqual(placed, reserved) {
		m.fail("%s is placed at %v and reserves %v", key, placed, reserved)
	}
	m.wake(wake)
	had := c.places
	c.places = map[vip.Role]vip.PoolRef{}
	if m.dice.IntN(5) == 0 {
		for role, place := range reserved {
			c.places[role] = place.Pool
		}
		m.note("%s makes no claim for now", key)
		m.queue[key] = true
		return
	}
	namespace, _, _ := strings.Cut(key, "/")
	for _, want := range request.Wants {
		place := reserved[want.Role]
		m.note("%s %s: %s made %v", key, want.Role, place.Pool.Name, place.Made)
		if place.Pool == (vip.PoolRef{}) || place.Pool == want.Claimed || place.Made {
			continue
		}
		if free, known := m.a.Free(place.Pool); known && free < 0 {
			m.fail("%s had no room for %s", place.Pool.Name, key)
		} else if older := m.a.Older(place.Pool, request); known && free < older && had[want.Role] != place.Pool {
			m.fail("%s takes from %s what %d older Clusters wait for", key, place.Pool.Name, older)
		}
		if c.fails {
			m.wake(m.a.Failed(key))
			c.failed = true
			m.note("%s fails", key)
			return
		}
		claim := namespace + "/" + want.Claim
		if want.Keep {
			c.places[want.Role] = place.Pool
			continue
		}
		if want.Claimed != (vip.PoolRef{}) {
			// Unless it was bound meanwhile.
			if now := m.claims[claim]; now != nil && *now == *m.cached[claim] {
				moved := *now
				moved.deleting = true
				m.claims[claim] = &moved
				m.note("%s moves from %s", claim, moved.pool.Name)
				m.tellClaim(claim)
			}
			c.places[want.Role] = place.Pool
			continue
		}
		if m.claims[claim] != nil {
			m.fail("claim %s is made a second time", claim)
		}
		made := &modelClaim{pool: place.Pool, ours: true}
		if place.Pin.IsValid() {
			made.pin = number(place.Pin)
			m.checkPin(claim, made)
		}
		m.claims[claim] = made
		if pool := m.pools[place.Pool]; m.alone && pool.ranges && m.on(place.Pool) > pool.size {
			m.fail("%d claims on %d addresses of %s", m.on(place.Pool), pool.size, place.Pool.Name)
		}
		m.a.Made(claim)
		m.tellClaim(claim)
	}
}

// checkPin fails if the address that a claim is to get is known to be somebody's.
func (m *model) checkPin(key string, made *modelClaim) {
	m.t.Helper()
	m.note("%s is to get %d", key, made.pin)
	for other, claim := range m.claims {
		if claim.ours && claim.pin == made.pin && other != key {
			m.fail("%s and %s are both to get %d", key, other, made.pin)
		}
	}
	if m.typed[made.pin] && len(m.told["typed"]) == 0 {
		m.fail("%s is to get %d, which somebody typed", key, made.pin)
	}
}

// on counts the claims that an address of the pool is for.
func (m *model) on(ref vip.PoolRef) (count int) {
	for _, claim := range m.claims {
		pool := m.pools[ref]
		if inside := max(claim.address, claim.pin) >= pool.first && max(claim.address, claim.pin) < pool.first+pool.size; claim.pool == ref && (max(claim.address, claim.pin) == 0 || inside) {
			count++
		}
	}
	return count
}

// bind lets a provider give an address to a claim.
func (m *model) bind() {
	for _, key := range slices.Sorted(maps.Keys(m.claims)) {
		claim := m.claims[key]
		if claim.deleting && m.dice.IntN(2) == 0 {
			m.remove(key)
			continue
		}
		if claim.address != 0 || claim.deleting || m.dice.IntN(2) == 0 {
			continue
		}
		pool := m.pools[claim.pool]
		taken := map[int]bool{}
		for _, other := range m.claims {
			if other.pool == claim.pool {
				taken[other.address], taken[other.pin] = true, true
			}
		}
		if claim.pin != 0 {
			bound := *claim
			bound.address = claim.pin
			m.claims[key] = &bound
			m.note("%s is bound to its %d of %s", key, claim.pin, claim.pool.Name)
			m.tellClaim(key)
			continue
		}
		for n := pool.first; n < pool.first+pool.size; n++ {
			if n > 0 && !taken[n] {
				bound := *claim
				bound.address = n
				m.claims[key] = &bound
				m.note("%s is bound to %d of %s", key, n, claim.pool.Name)
				m.tellClaim(key)
				if !pool.ranges {
					m.tellPool(claim.pool)
				}
				break
			}
		}
	}
}

// deliver has the allocator hear of the oldest event of one object.
func (m *model) deliver() bool {
	waiting := slices.DeleteFunc(slices.Sorted(maps.Keys(m.told)), func(o string) bool { return len(m.told[o]) == 0 })
	if len(waiting) == 0 {
		return false
	}
	object := waiting[m.dice.IntN(len(waiting))]
	event := m.told[object][0]
	m.told[object] = m.told[object][1:]
	m.note("hear of %s", object)
	m.wake(event())
	return true
}

// release lets the providers let go what is being deleted.
func (m *model) release() (released bool) {
	for _, key := range slices.Sorted(maps.Keys(m.claims)) {
		if m.claims[key].deleting {
			m.remove(key)
			released = true
		}
	}
	return released
}

// step is one thing that happens.
func (m *model) step() {
	switch m.dice.IntN(17) {
	case 16: // somebody types an address, or takes it away
		n := 1 + 100*m.dice.IntN(2) + m.dice.IntN(5)
		m.typed[n] = !m.typed[n]
		var now []netip.Addr
		if m.typed[n] {
			now = append(now, addr(n))
		}
		m.note("typed %d: %v", n, m.typed[n])
		m.tell("typed", func() []string { return m.a.SetCluster(fmt.Sprint("other/", n), now) })
	case 0:
		m.create()
	case 1: // a Cluster goes, and its claims with it
		if keys := slices.Sorted(maps.Keys(m.clusters)); len(keys) > 0 {
			key := keys[m.dice.IntN(len(keys))]
			namespace, name, _ := strings.Cut(key, "/")
			m.note("delete %s", key)
			delete(m.clusters, key)
			for _, role := range vip.Roles() {
				m.remove(namespace + "/" + role.ClaimName(name))
			}
			m.queue[key] = true
		}
	case 2: // a pool grows, shrinks, pauses
		refs := m.refs()
		ref := refs[m.dice.IntN(len(refs))]
		pool := *m.pools[ref]
		if m.dice.IntN(2) == 0 {
			pool.paused = !pool.paused
		} else {
			pool.size = m.dice.IntN(5)
		}
		if m.alone {
			pool.size = max(pool.size, m.pools[ref].size)
		}
		m.pools[ref] = &pool
		m.note("%s has %d, paused %v", ref.Name, pool.size, pool.paused)
		m.tellPool(ref)
	case 3: // somebody else's claim comes or goes
		key := fmt.Sprintf("ns/other-%d", m.dice.IntN(3))
		if m.alone {
			break
		}
		if m.claims[key] != nil {
			m.remove(key)
		} else {
			refs := m.refs()
			m.claims[key] = &modelClaim{pool: refs[m.dice.IntN(len(refs))]}
			m.note("foreign %s on %s", key, m.claims[key].pool.Name)
			m.tellClaim(key)
		}
	case 4:
		if keys := slices.Sorted(maps.Keys(m.clusters)); len(keys) > 0 {
			key := keys[m.dice.IntN(len(keys))]
			m.clusters[key].fails = !m.clusters[key].fails
			m.queue[key] = true
		}
	case 5, 6:
		m.bind()
	case 7, 8, 9:
		m.deliver()
	case 10, 11, 12:
		if keys := slices.Sorted(maps.Keys(m.observed)); len(keys) > 0 {
			m.reconcile(keys[m.dice.IntN(len(keys))])
		}
	default:
		// One Cluster is reconciled once at a time.
		keys := slices.DeleteFunc(slices.Sorted(maps.Keys(m.queue)), func(key string) bool { _, busy := m.observed[key]; return busy })
		if len(keys) > 0 {
			m.observe(keys[m.dice.IntN(len(keys))])
		}
	}
	m.check()
}

func (m *model) remove(key string) {
	if claim := m.claims[key]; claim != nil {
		delete(m.claims, key)
		m.note("%s is gone", key)
		m.tellClaim(key)
		if !m.pools[claim.pool].ranges {
			m.tellPool(claim.pool)
		}
	}
}

// check holds at every moment: what we claim of a pool is never more than it had room for.
func (m *model) check() {
	m.t.Helper()
	if wrong := m.a.Wrong(); wrong != "" {
		m.fail("%s", wrong)
	}
}

// rest lets everything come to rest, and then looks for who was forgotten.
func (m *model) rest() {
	m.t.Helper()
	for key, c := range m.clusters {
		c.fails = false
		if c.failed {
			m.queue[key] = true // the queue's own back-off ends some time
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.observed)) {
		m.reconcile(key)
	}
	reconciles := 0
	for m.release() || m.deliver() || len(m.queue) > 0 {
		for m.dice.IntN(2) == 0 && m.deliver() { // several at once
		}
		for _, key := range slices.Sorted(maps.Keys(m.queue)) {
			if m.observe(key); m.clusters[key] != nil {
				m.reconcile(key)
			}
			if reconciles++; reconciles > 2000 {
				m.fail("there is no end of wakes")
			}
		}
	}
	if wake := m.a.Tick(); len(wake) > 0 {
		m.fail("time alone wakes %v", wake)
	}
	for _, ref := range m.refs() {
		want := int64(m.pools[ref].size - m.on(ref))
		if free, known := m.a.Free(ref); m.pools[ref].ranges && (!known || free != want) {
			m.fail("%d addresses of %s are free, not %d", want, ref.Name, free)
		}
	}
	for key := range m.clusters {
		for role, place := range m.a.Place(m.wants(key)) {
			if place.Pool != (vip.PoolRef{}) && (m.cached[strings.Replace(key, "/", "/"+role.ClaimName(""), 1)] == nil || place.Candidates != nil) {
				m.fail("%s could have %s from %s, and nobody tells it", key, role, place.Pool.Name)
			}
		}
	}
}

// 120 000 steps in any order, with rests at which nobody may be forgotten.
func TestTheAllocatorKeepsItsPromises(t *testing.T) {
	first, last := uint64(1), uint64(100)
	if *seed != 0 {
		first, last = *seed, *seed
	}
	for n := first; n <= last && !t.Failed(); n++ {
		t.Run(fmt.Sprintf("seed %d", n), func(t *testing.T) {
			m := newModel(t, n)
			for i := range *steps {
				if m.step(); i%60 == 59 {
					m.note("rest")
					m.rest()
				}
			}
		})
	}
}
