package allocator

import (
	"cmp"
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

func (l line) with(w *waiter) line {
	i, _ := slices.BinarySearchFunc(l, w, older)
	return slices.Insert(l, i, w)
}

func (l line) without(cluster string) line {
	return slices.DeleteFunc(l, func(w *waiter) bool { return w.cluster == cluster })
}

// leaves tells whether anything of so much room is left for the Cluster when all who stand
// before it have theirs. It may stand there itself since before it was created anew.
func (l line) leaves(free int64, since time.Time, cluster string) bool {
	before, _ := slices.BinarySearchFunc(l, &waiter{since: since, cluster: cluster}, older)
	for _, w := range l[:before] {
		if free <= 0 {
			return false
		}
		if w.cluster != cluster {
			free--
		}
	}
	return free > 0
}

// place finds a pool for each want of the Cluster, as if it had reserved nothing.
func (a *Allocator) place(r *Request) map[vip.Role]vip.Placement {
	own := map[vip.PoolRef]int64{} // what its reservations take, and its placements
	if c := a.clusters[r.Cluster]; c != nil {
		for _, key := range c.reserved {
			h := a.holdings[key]
			if h == nil || h.reserved == nil || !h.reserved.made.IsZero() {
				continue
			}
			without := *h
			without.reserved = nil
			for _, s := range a.shares(key, h) {
				own[s.pool] -= s.used
			}
			for _, s := range a.shares(key, &without) {
				own[s.pool] += s.used
			}
		}
	}
	placements := map[vip.Role]vip.Placement{}
	for _, want := range r.Wants {
		placed := a.placeOne(r, want, own)
		placements[want.Role] = placed
		if placed.Pool != (vip.PoolRef{}) && placed.Pool != want.Claimed && !placed.Made {
			own[placed.Pool]++
		}
	}
	return placements
}

func (a *Allocator) placeOne(r *Request, want *vip.Want, own map[vip.PoolRef]int64) vip.Placement {
	key := claimKey(r.namespace(), want.Claim)
	h := a.holdings[key]
	switch {
	case want.Claimed != (vip.PoolRef{}):
		// Its own address may be the one that made the pool full.
		if (h != nil && len(h.addresses) > 0) || !a.full(want.Claimed) {
			return vip.Placement{Pool: want.Claimed}
		}
	case h != nil && h.reserved != nil && !h.reserved.made.IsZero():
		return vip.Placement{Pool: h.reserved.pool, Made: true}
	case h != nil && h.claim != nil:
		// It came, or goes, since the Cluster was observed, and wakes it.
		return vip.Placement{Pool: h.claim.Pool, Made: true}
	}
	placed := vip.Placement{Candidates: a.judge(r, want, own)}
	for _, candidate := range placed.Candidates {
		if candidate.Verdict == "" {
			placed.Pool = candidate.Pool.Ref
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
	own, key := map[vip.PoolRef]int64{}, claimKey(r.namespace(), want.Claim)
	if h := a.holdings[key]; h != nil && h.pending() && len(h.addresses) == 0 {
		for _, s := range a.shares(key, h) {
			own[s.pool] -= s.used // its claim waits for the address that it would take
		}
	}
	return a.judge(&r, want, own)
}

func (a *Allocator) judge(r *Request, want *vip.Want, own map[vip.PoolRef]int64) []vip.Candidate {
	judged := slices.Clone(want.Candidates)
	known := map[vip.PoolRef]bool{} // to have room
	for i := range judged {
		c := &judged[i]
		if c.Verdict != "" {
			continue
		}
		if _, refused := a.refusals[c.Pool.Ref][claimKey(r.namespace(), want.Claim)]; refused {
			c.Verdict, c.Detail = vip.PoolExhausted, vip.RefusedBefore
		} else if !a.fits(r, want, c.Pool.Ref, own[c.Pool.Ref]) {
			c.Verdict, c.Detail = vip.PoolExhausted, vip.NoFreeAddress
		} else {
			_, known[c.Pool.Ref] = a.free(c.Pool.Ref)
		}
	}
	slices.SortStableFunc(judged, func(x, y vip.Candidate) int {
		order := vip.CompareRank(x.Pool, y.Pool)
		if order == 0 && known[x.Pool.Ref] != known[y.Pool.Ref] {
			order = -1
			if known[y.Pool.Ref] {
				order = 1
			}
		}
		return order
	})
	return judged
}

// fits tells whether the pool has room for one more claim of the Cluster, beside all older
// ones that wait for it. So many places are the Cluster's own already.
func (a *Allocator) fits(r *Request, want *vip.Want, pool vip.PoolRef, own int64) bool {
	if want.Pin.IsValid() {
		// It is the Cluster's already. Who has an IPAddress of it the planner has seen.
		holder, reserved := a.pins[pin{pool, want.Pin}]
		return !reserved || holder == claimKey(r.namespace(), want.Claim)
	}
	free, known := a.free(pool)
	return !known || a.lines[pool].leaves(free-own, r.Since, r.Cluster)
}

// lineUp has the Cluster wait for each pool that may serve the want and has no room.
func (a *Allocator) lineUp(r *Request, c *cluster, want *vip.Want, candidates []vip.Candidate) {
	if want.Pin.IsValid() {
		return
	}
	for _, candidate := range candidates {
		pool := candidate.Pool.Ref
		if _, refused := a.refusals[pool][claimKey(r.namespace(), want.Claim)]; refused {
			continue
		}
		if candidate.Verdict == "" || candidate.Verdict == vip.PoolExhausted {
			a.lines[pool] = a.lines[pool].with(&waiter{since: r.Since, cluster: r.Cluster, role: want.Role})
			c.lines[pool] = true
		}
	}
}

// admit returns those who stand first in line for the pool and have room now, each once
// until it comes.
func (a *Allocator) admit(pool vip.PoolRef) (wake []string) {
	if _, seen := a.pools[pool]; !seen {
		return nil
	}
	free, known := a.free(pool)
	for i, w := range a.lines[pool] {
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
