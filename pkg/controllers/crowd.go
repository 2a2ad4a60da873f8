package controllers

import (
	"slices"
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
	// longest is how long a crowd keeps VIPs back at most, and how long a claim that is
	// not bound counts. Cluster API builds after that, so that keeping more of them back
	// would only delay these.
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
	// began holds when there were last more than few claims for that kind of pools anew.
	began map[poolSlot]time.Time
	// kept holds the Clusters whose VIPs are kept back, by namespace/name.
	kept map[string]*keptCluster
	// watched says that stalled is to run.
	watched bool
	wake    func(key string)
	now     func() time.Time
}

type madeClaim struct {
	kind poolSlot
	at   time.Time
}

type keptCluster struct {
	since time.Time
	kinds []poolSlot // of the pools that its VIPs come from
	// free says that it is kept no more: a patch that fails is not kept back anew.
	free bool
}

func newCrowd(wake func(key string)) *crowd {
	return &crowd{
		claims: map[string]madeClaim{}, answered: map[poolSlot]time.Time{}, began: map[poolSlot]time.Time{},
		kept: map[string]*keptCluster{}, wake: wake, now: time.Now,
	}
}

// made notes that a claim on the pool is being made.
func (c *crowd) made(claim string, pool vip.PoolRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := kindOf(pool)
	before, _ := c.pending(kind)
	c.claims[claim] = madeClaim{kind: kind, at: c.now()}
	if after, _ := c.pending(kind); before <= few && after > few {
		c.began[kind] = c.now()
	}
}

// settled notes that the claim is bound, or gone. The last of a crowd sets those
// free that waited for it.
func (c *crowd) settled(claim string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.claims[claim]
	delete(c.claims, claim)
	if known {
		c.wakeFree()
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

// lastAnswer returns when the provider of the pool last worked on a claim for a VIP.
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
	if len(pools) == 0 {
		delete(c.kept, key)
		return false
	}
	kept := c.kept[key]
	if kept == nil {
		kept = &keptCluster{} // the zero time says that it is not kept yet
	}
	if kept.free {
		return false
	}
	kept.kinds = nil
	for _, pool := range pools {
		kept.kinds = append(kept.kinds, kindOf(pool))
	}
	if !c.anyBusy(kept, c.busyKinds()) {
		kept.free = true
		return false
	}
	if kept.since.IsZero() {
		kept.since = c.now()
		c.kept[key] = kept
	}
	c.watch()
	return true
}

// keepsAny tells whether VIPs of any Cluster are kept back.
func (c *crowd) keepsAny() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kept := range c.kept {
		if !kept.free {
			return true
		}
	}
	return false
}

// forget drops a Cluster that is gone.
func (c *crowd) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, key)
}

// busy is a crowd of claims that wait for one kind of provider.
type busy struct {
	claims int
	oldest time.Time // of them
}

// keeps tells whether a Cluster is kept back for them that has been since then; the
// zero time means that it is not yet. Many claims keep everybody back. Once kept, a
// Cluster waits for the last few as well, if they are older than its wait: they would
// be starved the longest, when all the others are built.
func (b busy) keeps(since time.Time) bool { return b.claims > few || b.oldest.Before(since) }

// busyKinds returns the crowds that providers work through.
func (c *crowd) busyKinds() map[poolSlot]busy {
	all, now := map[poolSlot]busy{}, c.now()
	for kind, answered := range c.answered {
		if claims, oldest := c.pending(kind); claims > 0 && now.Sub(answered) < calm && now.Sub(c.began[kind]) < longest {
			all[kind] = busy{claims: claims, oldest: oldest}
		}
	}
	return all
}

// pending counts the claims that wait for the kind of provider.
func (c *crowd) pending(kind poolSlot) (claims int, oldest time.Time) {
	now := c.now()
	oldest = now
	for _, made := range c.claims {
		if made.kind == kind && now.Sub(made.at) < longest {
			claims++
			if made.at.Before(oldest) {
				oldest = made.at
			}
		}
	}
	return claims, oldest
}

func (c *crowd) anyBusy(kept *keptCluster, kinds map[poolSlot]busy) bool {
	if !kept.since.IsZero() && c.now().Sub(kept.since) >= longest {
		return false
	}
	return slices.ContainsFunc(kept.kinds, func(kind poolSlot) bool {
		crowd, exists := kinds[kind]
		return exists && crowd.keeps(kept.since)
	})
}

// wakeFree wakes the Clusters that nothing keeps back any more. Their passes set them free.
func (c *crowd) wakeFree() (kept bool) {
	var kinds map[poolSlot]busy
	for key, cluster := range c.kept {
		if cluster.free {
			continue
		}
		if kinds == nil {
			kinds = c.busyKinds()
		}
		if c.anyBusy(cluster, kinds) {
			kept = true
		} else {
			c.wake(key)
		}
	}
	return kept
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
	if c.wakeFree() {
		c.watch()
	}
}

func kindOf(pool vip.PoolRef) poolSlot { return poolSlot{group: pool.Group, kind: pool.Kind} }
