package allocator

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// line is who waits for room in a pool and may act, the oldest first. A Cluster stands in
// it once for each claim that it wants.
type line []*waiter

type waiter struct {
	since   time.Time
	cluster string
	role    vip.Role
	// woken says that it was told of room and has not come for it yet.
	woken bool
}

func older(a, b *waiter) int {
	return cmp.Or(a.since.Compare(b.since), strings.Compare(a.cluster, b.cluster), strings.Compare(string(a.role), string(b.role)))
}

// leaves tells whether anything of so much room is left for the Cluster when all who stand
// before it have theirs. It may stand there itself since before it was created anew.
func (l line) leaves(free int64, r *Request) bool {
	before, _ := slices.BinarySearchFunc(l, &waiter{since: r.Since, cluster: r.Cluster}, older)
	for _, w := range l[:before] {
		if free <= 0 {
			return false
		}
		if w.cluster != r.Cluster {
			free--
		}
	}
	return free > 0
}

// admit returns those who stand first in line and have room now, each once until it comes.
func (p *pool) admit() (wake []string) {
	if len(p.line) == 0 {
		return nil
	}
	free, known := p.free()
	for i, w := range p.line {
		if known && int64(i) >= free {
			break
		}
		if !w.woken {
			w.woken = true
			wake = append(wake, w.cluster)
		}
	}
	return wake
}

// lineUp has the Cluster wait for each pool that may serve the want and has no room.
func (a *Allocator) lineUp(r *Request, c *cluster, want *vip.Want, candidates []vip.Candidate) {
	for _, candidate := range candidates {
		ref := candidate.Pool.Ref
		p := a.pool(ref)
		refused := a.refused(r.key(want), ref)
		able := candidate.Verdict == "" || candidate.Verdict == vip.PoolExhausted
		if able && !refused && !want.Keep && !want.Pin.IsValid() && want.Refused == (vip.PoolRef{}) {
			w := &waiter{since: r.Since, cluster: r.Cluster, role: want.Role}
			i, _ := slices.BinarySearchFunc(p.line, w, older)
			p.line = slices.Insert(p.line, i, w)
			c.lines = append(c.lines, ref)
		}
	}
}

// ahead is what the wants of the same Cluster take that come before one.
type ahead struct {
	room map[vip.PoolRef]int64
	pins map[netip.Addr]bool
}

// place finds a pool for each want.
func (a *Allocator) place(r *Request) map[vip.Role]vip.Placement {
	placements := map[vip.Role]vip.Placement{}
	before := ahead{map[vip.PoolRef]int64{}, map[netip.Addr]bool{}}
	for _, want := range r.Wants {
		placed := a.placeOne(r, want, before)
		placements[want.Role] = placed
		if placed.Pool != (vip.PoolRef{}) && placed.Pool != want.Claimed && !placed.Made && !a.has(r, placed.Pool, r.key(want)) {
			before.room[placed.Pool]++
		}
		before.pins[placed.Pin] = true
	}
	return placements
}

func (a *Allocator) placeOne(r *Request, want *vip.Want, before ahead) vip.Placement {
	key := r.key(want)
	reserved := a.reserved[key]
	switch {
	case want.Claimed != (vip.PoolRef{}):
		// Its own address may be the one that made the pool full.
		if p := a.pools[want.Claimed]; p == nil || !p.full() || (p.names[key] != nil && len(p.names[key].addresses) > 0) {
			return vip.Placement{Pool: want.Claimed}
		}
	case reserved != nil && !reserved.made.IsZero():
		return vip.Placement{Pool: reserved.pool, Pin: reserved.pin, Made: true}
	case want.Keep:
		if reserved != nil && a.fits(r, want, reserved.pool, 0) {
			return vip.Placement{Pool: reserved.pool, Pin: reserved.pin}
		}
		return vip.Placement{}
	}
	for _, candidate := range want.Candidates {
		if p := a.pools[candidate.Pool.Ref]; want.Refused == (vip.PoolRef{}) && p != nil && p.names[key] != nil && p.names[key].claim != nil {
			// It came, or goes, since the Cluster was observed, and wakes it.
			return vip.Placement{Pool: candidate.Pool.Ref, Made: true}
		}
	}
	placed := vip.Placement{Candidates: a.judge(r, want, before)}
	for _, candidate := range placed.Candidates {
		if candidate.Verdict == "" {
			placed.Pool, placed.Pin = candidate.Pool.Ref, candidate.Pin
			break
		}
	}
	return placed
}

// Judge returns the candidates in the order in which they are tried for the Cluster's want,
// those without room with the verdict PoolExhausted.
func (a *Allocator) Judge(r Request, want *vip.Want) []vip.Candidate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.judge(&r, want, ahead{})
}

func (a *Allocator) judge(r *Request, want *vip.Want, before ahead) []vip.Candidate {
	judged := slices.Clone(want.Candidates)
	known := map[vip.PoolRef]int{} // 1 of pools that are known to have room
	doubtful, sure := []*vip.Candidate{}, false
	for i := range judged {
		c := &judged[i]
		if c.Verdict != "" {
			continue
		}
		p := a.pools[c.Pool.Ref]
		if p == nil || !p.seen {
			c.Verdict, c.Detail = vip.PoolExhausted, vip.NoFreeAddress // its own event is on the way
		} else if a.refused(r.key(want), c.Pool.Ref) {
			c.Verdict, c.Detail = vip.PoolExhausted, vip.RefusedBefore
		} else if !a.fits(r, want, c.Pool.Ref, before.room[c.Pool.Ref]) {
			c.Verdict, c.Detail = vip.PoolExhausted, vip.NoFreeAddress
		} else if c.Pin = a.pin(r, want, *c, before); a.selective(want, *c) && !c.Pin.IsValid() {
			c.Verdict, c.Detail = vip.VariableRefused, vip.NoneAdmitted
		} else {
			if _, tells := p.free(); tells {
				known[c.Pool.Ref] = 1
			}
			if p.Addresses != nil && p.strange > 0 && !c.Pin.IsValid() {
				doubtful = append(doubtful, c)
			} else {
				sure = true
			}
		}
	}
	for _, c := range doubtful {
		if sure { // what is left there would be refused
			c.Verdict, c.Detail = vip.PoolExhausted, vip.NoneAdmitted
		}
	}
	slices.SortStableFunc(judged, func(x, y vip.Candidate) int {
		return cmp.Or(vip.CompareRank(x, y), cmp.Compare(known[y.Pool.Ref], known[x.Pool.Ref]))
	})
	return judged
}

// fits tells whether the pool has room for the claim beside all older Clusters that wait.
func (a *Allocator) fits(r *Request, want *vip.Want, ref vip.PoolRef, taken int64) bool {
	p, key := a.pools[ref], r.key(want)
	if p == nil {
		return false
	}
	if want.Pin.IsValid() {
		for _, before := range r.Wants[:slices.Index(r.Wants, want)] {
			if before.Pin == want.Pin {
				return false // of this Cluster's own
			}
		}
		// It is the Cluster's already. Who has an IPAddress of it the planner has seen.
		other, pinned := a.pinned[want.Pin]
		return !pinned || other == key
	}
	free, known := p.free()
	if !known || a.has(r, ref, key) {
		return !known || free >= 0 // unless others took what it had a place for
	}
	return p.line.leaves(free-taken, r)
}

// has tells whether the Cluster's claim, made or to be made, has a place on the pool and no
// address.
func (a *Allocator) has(r *Request, ref vip.PoolRef, key string) bool {
	p, reserved := a.pools[ref], a.reserved[key]
	if reserved != nil && reserved.pool == ref {
		return reserved.since.Equal(r.Since)
	}
	return p.names[key] != nil && p.names[key].pending()
}
