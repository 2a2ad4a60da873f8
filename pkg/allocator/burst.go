package allocator

import (
	"slices"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A burst is many claims that one kind of provider works through. While it lasts, new
// Clusters whose VIPs are bound do not publish them: publishing sets Cluster API to
// building infrastructure, and that load starves the provider on which all the others
// wait. On 100 Clusters at once the last infrastructure object came after 54 to 64 s with
// this rule and after 75 to 97 s without it.
const (
	// burstSize is how many claims that are not bound are no burst: a provider that is left
	// with so few is done with them soon, and one that hangs keeps nobody waiting.
	burstSize = 8
	// stall is how long a provider may do nothing before nobody waits for it any more. One
	// that is busy with others was seen to take up to a second for a claim.
	stall = 2 * time.Second
	// burstTimeout is how long anybody is deferred at most. Cluster API builds after that,
	// and deferring longer would only delay those.
	burstTimeout = time.Minute
)

// kind is what the providers of one kind of pool are doing.
type kind struct {
	// awaited are the claims for VIPs that were made, or are being made, and not bound.
	awaited map[string]awaited
	// progress is when a provider last worked on a claim, or when a burst gave it much to do.
	progress time.Time
}

type awaited struct {
	pool  vip.PoolRef
	since time.Time
}

// deferral is a Cluster that does not publish for the time being.
type deferral struct {
	since time.Time
	pools []vip.PoolRef // of the VIPs that it could publish
	other vip.PoolRef   // of the claim for its other VIP; zero if that does not wait
	// free says that it is deferred no more, even if its patch fails; woken, that it was told
	// and has not come yet.
	free, woken bool
}

func (a *Allocator) kind(pool vip.PoolRef) *kind {
	ref := vip.PoolRef{Group: pool.Group, Kind: pool.Kind}
	if a.kinds[ref] == nil {
		a.kinds[ref] = &kind{awaited: map[string]awaited{}}
	}
	return a.kinds[ref]
}

// expect notes that a provider is to bind the claim.
func (a *Allocator) expect(claim string, pool vip.PoolRef) {
	k := a.kind(pool)
	if had, known := k.awaited[claim]; known && had.pool == pool {
		return
	}
	before := a.many(k)
	k.awaited[claim] = awaited{pool, time.Now()}
	if !before && a.many(k) {
		k.progress = time.Now()
	}
}

func (k *kind) settle(claim string) { delete(k.awaited, claim) }

// many tells whether enough claims for a burst are awaited. One that was not bound in
// burstTimeout does not count, nor one that cannot be bound, or whoever makes claims that
// wait without end would have everybody else wait.
func (a *Allocator) many(k *kind) bool {
	count := 0
	for claim, awaited := range k.awaited {
		if time.Since(awaited.since) < burstTimeout && a.binds(awaited.pool, claim) {
			if count++; count > burstSize {
				return true
			}
		}
	}
	return false
}

// binds tells whether the pool of the claim is one whose provider could bind it.
func (a *Allocator) binds(ref vip.PoolRef, claim string) bool {
	return slices.ContainsFunc(slots(ref, namespaceOf(claim)), func(ref vip.PoolRef) bool {
		p := a.pools[ref]
		return p != nil && p.seen && !p.Idle && !p.full()
	})
}

// burst tells whether the providers of the pool's kind work through a burst.
func (a *Allocator) burst(pool vip.PoolRef) bool {
	k := a.kind(pool)
	return time.Since(k.progress) < stall && a.many(k)
}

// Publish tells whether the Cluster may publish VIPs from these pools now, while the claim
// for its other VIP waits for an address of another pool; zero if none does. If it may not,
// it is woken as soon as it may. Without pools it has nothing to publish any more.
func (a *Allocator) Publish(cluster string, other vip.PoolRef, pools ...vip.PoolRef) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(pools) == 0 {
		delete(a.deferred, cluster)
		return true
	}
	d := a.deferred[cluster]
	if d == nil {
		d = &deferral{since: time.Now()}
	}
	d.pools, d.other, d.woken = pools, other, false
	if d.free = d.free || !a.defers(d); !d.free {
		a.deferred[cluster] = d
	}
	return d.free
}

// defers tells whether the Cluster's VIPs wait: all of them for a burst to end, and the
// first for the second, which spares Cluster API a reconcile over a Cluster that it could
// not build yet, and a class without a gate infrastructure without the second.
func (a *Allocator) defers(d *deferral) bool {
	if time.Since(d.since) >= burstTimeout {
		return false
	}
	waits := d.other != (vip.PoolRef{}) && min(time.Since(d.since), time.Since(a.kind(d.other).progress)) < stall
	return waits || slices.ContainsFunc(d.pools, a.burst)
}

// undefer returns the Clusters that may publish now.
func (a *Allocator) undefer() (wake []string) {
	for cluster, d := range a.deferred {
		if !d.free && !d.woken && !a.defers(d) {
			d.woken = true
			wake = append(wake, cluster)
		}
	}
	return wake
}

// Deferring tells whether any Cluster waits to publish.
func (a *Allocator) Deferring() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.deferred {
		if !d.free {
			return true
		}
	}
	return false
}

// Progress returns when the provider of the pool last worked on a claim for a VIP.
func (a *Allocator) Progress(pool vip.PoolRef) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kind(pool).progress
}
