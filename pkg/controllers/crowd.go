package controllers

import (
	"sync"
	"time"

	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	// few is how many claims may wait for one kind of provider without anything
	// beginning to be kept back for them.
	few = 8
	// calm is how long a provider that works on no claim counts as busy, and how long
	// nobody has written a Cluster when success is reported.
	calm = time.Second
	// longest is how long a VIP is kept back at most, and how long a claim that is
	// not bound counts.
	longest = time.Minute
)

// crowd knows the claims that we made and that are not bound yet, and what their
// providers do. While a provider works through many of them it keeps VIPs back that
// are bound already: publishing one sets Cluster API to building infrastructure,
// and that load starves the provider on which all the others wait. In a crowd so
// nearly everybody is served earlier, and the last one much earlier.
type crowd struct {
	mu sync.Mutex
	// claims are our claims that are not bound, by namespace/name.
	claims map[string]madeClaim
	// answered holds when a provider of that kind of pools last worked on a claim.
	answered map[poolSlot]time.Time
	// kept holds the Clusters whose VIPs are kept back, by namespace/name, and since when.
	kept map[string]time.Time
	// watched says that stalled is to run.
	watched bool
	wake    func(key string)
	now     func() time.Time
}

type madeClaim struct {
	kind poolSlot
	at   time.Time
}

func newCrowd(wake func(key string)) *crowd {
	return &crowd{claims: map[string]madeClaim{}, answered: map[poolSlot]time.Time{}, kept: map[string]time.Time{}, wake: wake, now: time.Now}
}

// made notes that a claim on the pool is being made.
func (c *crowd) made(claim string, pool vip.PoolRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claims[claim] = madeClaim{kind: kindOf(pool), at: c.now()}
}

// settled notes that the claim is bound, or gone. The last of a crowd sets those
// free that waited for it.
func (c *crowd) settled(claim string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	made, known := c.claims[claim]
	delete(c.claims, claim)
	if !known || len(c.kept) == 0 {
		return
	}
	busy := c.busy(made.kind)
	for key, since := range c.kept {
		if !busy(since) {
			c.wake(key)
		}
	}
}

// seenSince tells whether what was seen at that time was seen after we made the
// claim. A claim that an earlier process made counts as older than anything.
func (c *crowd) seenSince(claim string, seen time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	made, known := c.claims[claim]
	return !known || seen.After(made.at)
}

// answer notes that the provider of the pool worked on a claim.
func (c *crowd) answer(pool ipamv1.IPPoolReference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered[poolSlot{group: pool.APIGroup, kind: pool.Kind}] = c.now()
}

// lastAnswer returns when the provider of the pool last worked on a claim of anybody.
func (c *crowd) lastAnswer(pool vip.PoolRef) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered[kindOf(pool)]
}

// keeps tells whether the Cluster's VIPs, which come from these pools, are kept back
// for now. Then it is woken as soon as they are not.
func (c *crowd) keeps(key string, pools ...vip.PoolRef) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, kept := c.kept[key]
	for _, pool := range pools {
		if (!kept || c.now().Sub(since) < longest) && c.busy(kindOf(pool))(since) {
			if !kept {
				c.kept[key] = c.now()
			}
			c.watch()
			return true
		}
	}
	delete(c.kept, key)
	return false
}

// keepsAny tells whether VIPs of any Cluster are kept back.
func (c *crowd) keepsAny() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.kept) > 0
}

// forget drops a Cluster that is gone.
func (c *crowd) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, key)
}

// busy looks at the claims that wait for providers of the kind. The answer tells
// whether a Cluster is kept back for them that has been since then; the zero time
// means that it is not yet. Many claims keep everybody back. Once kept, a Cluster
// waits for every claim that is older than its wait: the last few would be starved
// the longest, when all the others are built. Newer ones do not hold it any more, or
// Clusters that come one after another would.
func (c *crowd) busy(kind poolSlot) func(since time.Time) bool {
	now := c.now()
	if now.Sub(c.answered[kind]) >= calm {
		return func(time.Time) bool { return false }
	}
	count, oldest := 0, now
	for _, made := range c.claims {
		if made.kind == kind && now.Sub(made.at) < longest {
			count++
			if made.at.Before(oldest) {
				oldest = made.at
			}
		}
	}
	return func(since time.Time) bool { return count > few || oldest.Before(since) }
}

// watch sees to it that nobody is kept for ever if a provider stops working.
func (c *crowd) watch() {
	if !c.watched {
		c.watched = true
		time.AfterFunc(calm, c.stalled)
	}
}

func (c *crowd) stalled() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = false
	kinds := map[poolSlot]func(time.Time) bool{}
	for _, made := range c.claims {
		if kinds[made.kind] == nil {
			kinds[made.kind] = c.busy(made.kind)
		}
	}
	for key, since := range c.kept {
		waits := false
		for _, busy := range kinds {
			waits = waits || busy(since)
		}
		if !waits || c.now().Sub(since) >= longest {
			c.wake(key)
		}
	}
	if len(c.kept) > 0 {
		c.watch()
	}
}

func kindOf(pool vip.PoolRef) poolSlot { return poolSlot{group: pool.Group, kind: pool.Kind} }
