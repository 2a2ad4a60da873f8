package allocator

import (
	"slices"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A burst is many claims that one kind of provider works through. While it lasts, new
// Clusters whose VIPs are bound do not publish them: publishing sets Cluster API to
// building infrastructure, and that load starves the provider on which all the others
// wait. On 100 Clusters at once the last infrastructure object came after 54 to 64 s when
// they waited for the last claim, and after 75 to 97 s when nobody waited.
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
	// awaited are the claims for VIPs that were made, or are being made, and not bound, and
	// since when: those that the provider could bind, for burstTimeout at most. Whoever makes
	// claims that wait without end has nobody else wait.
	awaited map[string]time.Time
	// began is when they came to be enough for a burst.
	began time.Time
	// progress is when a provider last worked on a claim, or when a burst gave it much to do.
	progress time.Time
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
		a.kinds[ref] = &kind{awaited: map[string]time.Time{}}
	}
	return a.kinds[ref]
}

// expect notes that the provider of a pool is to bind the claim, if it can.
func (a *Allocator) expect(claim string, pool vip.PoolRef) {
	k := a.kind(pool)
	if _, known := k.awaited[claim]; known || !a.binds(claim, pool) {
		return
	}
	k.awaited[claim] = time.Now()
	// Of a number that goes up and down only the provider's own work counts.
	if len(k.awaited) == burstSize+1 && time.Since(k.began) >= burstTimeout {
		k.began, k.progress = time.Now(), time.Now()
	}
}

func (k *kind) settle(claim string) { delete(k.awaited, claim) }

// binds tells whether the pool of the claim is one whose provider could bind it.
func (a *Allocator) binds(claim string, pool vip.PoolRef) bool {
	return slices.ContainsFunc(slots(pool, namespaceOf(claim)), func(ref vip.PoolRef) bool {
		p := a.pools[ref]
		return p != nil && p.binds()
	})
}

func (p *pool) binds() bool { return p.seen && !p.Idle && !p.full() }

// burst tells whether the providers of the pool's kind work through a burst.
func (a *Allocator) burst(pool vip.PoolRef) bool {
	k := a.kind(pool)
	return len(k.awaited) > burstSize && time.Since(k.progress) < stall
}

// outlast drops the claims that have been awaited for too long.
func (k *kind) outlast() {
	for claim, since := range k.awaited {
		if time.Since(since) >= burstTimeout {
			delete(k.awaited, claim)
		}
	}
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
