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

	pools    map[vip.PoolRef]*modelPool
	claims   map[string]*modelClaim
	clusters map[string]*modelCluster
	queue    map[string]bool
	// told are the events that are under way, each object's in their order.
	told map[string][]func() []string
	log  []string
}

type modelPool struct {
	first, size int // of its addresses
	spec        int
	ranges      bool // can be read
	paused      bool
}

type modelClaim struct {
	pool    vip.PoolRef
	ours    bool
	address int // 0 is none
}

type modelCluster struct {
	since  time.Time
	roles  []vip.Role
	failed bool // its claims cannot be made now
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, dice: rand.New(rand.NewPCG(seed, 1)), a: allocator.New(), //nolint:gosec // it is to repeat itself
		pools: map[vip.PoolRef]*modelPool{}, claims: map[string]*modelClaim{}, clusters: map[string]*modelCluster{},
		queue: map[string]bool{}, told: map[string][]func() []string{},
	}
	for i := range 3 {
		ref := vip.PoolRef{Group: "g", Kind: "P", Name: fmt.Sprintf("p%d", i)}
		m.pools[ref] = &modelPool{first: 100 * i, size: m.dice.IntN(4), ranges: i < 2}
		m.tellPool(ref)
	}
	for range 3 {
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
	m.tell("pool "+ref.Name, func() []string {
		pool := &allocator.Pool{Spec: fmt.Sprint(p.spec)}
		if p.ranges {
			pool.Size = int64(p.size)
			pool.Holds = func(a netip.Addr) bool {
				n := number(a)
				return n >= p.first && n < p.first+p.size
			}
		} else {
			used := m.used(ref)
			pool.Reported, pool.Usable, pool.Used = true, int64(p.size-used), int64(used)
		}
		wake := m.a.SetPool(ref, pool)
		return append(wake, m.a.Changed("", func(vip.ClassKey) bool { return true })...)
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
	var current *allocator.Claim
	var address *allocator.Address
	if claim := m.claims[key]; claim != nil {
		current = &allocator.Claim{Pool: claim.pool, Ours: claim.ours, Bound: claim.address != 0}
		if claim.address != 0 {
			address = &allocator.Address{Pool: claim.pool, Claim: name, Key: addr(claim.address)}
		}
	}
	owner := ""
	if cluster, _, ours := vip.ParseClaimName(name); ours {
		owner = namespace + "/" + cluster
	}
	m.tell("claim "+key, func() []string {
		wake := m.a.SetClaim(namespace, name, current)
		if owner != "" {
			wake = append(wake, owner)
		}
		return wake
	})
	m.tell("address "+key, func() []string { return m.a.SetAddress(namespace, name, address) })
}

func addr(n int) netip.Addr {
	return netip.AddrFrom16(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}).As16())
}

func number(a netip.Addr) int {
	b := a.Unmap().As4()
	return int(b[2])<<8 | int(b[3])
}

func (m *model) create() {
	key := fmt.Sprintf("ns/c%d", m.dice.IntN(12))
	if m.clusters[key] != nil {
		return
	}
	c := &modelCluster{since: time.Unix(int64(m.dice.IntN(1000)), 0)}
	for _, role := range vip.Roles() {
		if m.dice.IntN(3) > 0 {
			c.roles = append(c.roles, role)
		}
	}
	m.note("create %s for %v", key, c.roles)
	m.clusters[key] = c
	m.queue[key] = true
}

// wants are those of the Cluster's roles that have no claim.
func (m *model) wants(key string) allocator.Request {
	c := m.clusters[key]
	namespace, name, _ := strings.Cut(key, "/")
	r := allocator.Request{Cluster: key, Since: c.since, Seen: m.a.Changes(namespace)}
	for _, role := range c.roles {
		claim := m.claims[namespace+"/"+role.ClaimName(name)]
		if claim != nil {
			continue
		}
		want := &vip.Want{Role: role, Claim: role.ClaimName(name)}
		for _, ref := range m.refs() {
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

// reconcile is one reconcile of a Cluster.
func (m *model) reconcile(key string) {
	delete(m.queue, key)
	c := m.clusters[key]
	if c == nil {
		m.wake(m.a.Forget(key))
		return
	}
	request := m.wants(key)
	placed := m.a.Place(request)
	reserved, wake := m.a.Reserve(request)
	if !reflect.DeepEqual(placed, reserved) {
		m.fail("%s is placed at %v and reserves %v", key, placed, reserved)
	}
	m.wake(wake)
	namespace, _, _ := strings.Cut(key, "/")
	for _, want := range request.Wants {
		place := reserved[want.Role]
		m.note("%s %s: %s made %v", key, want.Role, place.Pool.Name, place.Made)
		if place.Pool == (vip.PoolRef{}) || place.Made {
			continue
		}
		if c.failed {
			m.wake(m.a.Failed(key))
			m.note("%s fails", key)
			return
		}
		claim := namespace + "/" + want.Claim
		m.claims[claim] = &modelClaim{pool: place.Pool, ours: true}
		m.a.Made(claim)
		m.tellClaim(claim)
	}
}

// bind lets a provider give an address to a claim.
func (m *model) bind() {
	for _, key := range slices.Sorted(maps.Keys(m.claims)) {
		claim := m.claims[key]
		if claim.address != 0 || m.dice.IntN(2) == 0 {
			continue
		}
		pool := m.pools[claim.pool]
		taken := map[int]bool{}
		for _, other := range m.claims {
			if other.pool == claim.pool {
				taken[other.address] = true
			}
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

// step is one thing that happens.
func (m *model) step() {
	switch m.dice.IntN(12) {
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
		pool.spec++
		if m.dice.IntN(4) == 0 {
			pool.paused = !pool.paused
		} else {
			pool.size = m.dice.IntN(6)
		}
		m.pools[ref] = &pool
		m.note("%s has %d, paused %v", ref.Name, pool.size, pool.paused)
		m.tellPool(ref)
	case 3: // somebody else's claim comes or goes
		key := fmt.Sprintf("ns/other-%d", m.dice.IntN(3))
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
			m.clusters[key].failed = !m.clusters[key].failed
			m.queue[key] = true
		}
	case 5, 6:
		m.bind()
	case 7, 8, 9:
		m.deliver()
	default:
		if keys := slices.Sorted(maps.Keys(m.queue)); len(keys) > 0 {
			m.reconcile(keys[m.dice.IntN(len(keys))])
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
	for _, c := range m.clusters {
		c.failed = false
	}
	for key := range m.clusters {
		m.queue[key] = true // the queue's own back-off ends some time
	}
	reconciles := 0
	for m.deliver() || len(m.queue) > 0 {
		for _, key := range slices.Sorted(maps.Keys(m.queue)) {
			m.reconcile(key)
			if reconciles++; reconciles > 2000 {
				m.fail("there is no end of wakes")
			}
		}
	}
	if wake := m.a.Tick(); len(wake) > 0 {
		m.fail("time alone wakes %v", wake)
	}
	for key := range m.clusters {
		for role, place := range m.a.Place(m.wants(key)) {
			if place.Pool != (vip.PoolRef{}) {
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
				if m.step(); i%100 == 99 {
					m.note("rest")
					m.rest()
				}
			}
		})
	}
}
