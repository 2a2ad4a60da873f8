package allocator

import (
	"slices"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A burst is many claims that one kind of provider works through. Until it has, new
// Clusters whose VIPs are bound do not publish them: publishing sets Cluster API to
// building infrastructure, and that load starves the provider on which all the others
// wait. On 100 Clusters at once the last infrastructure object came after 54 to 64 s with
// this rule and after 75 to 97 s without it.
const (
	// burstSize is how many claims that are not bound are no burst yet.
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
	// since when. Those that were not bound in burstTimeout are part of no burst.
	awaited map[string]time.Time
	// began is when these came to be a burst; zero outside of one.
	began time.Time
	// progress is when a provider last worked on a claim.
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

func (k *kind) expect(claim string) {
	if _, known := k.awaited[claim]; known {
		return
	}
	if k.young() <= burstSize && !k.burst() {
		k.began = time.Time{} // that one is over
	}
	k.awaited[claim] = time.Now()
	if k.began.IsZero() && k.young() > burstSize {
		k.began = time.Now()
		k.progress = k.began
	}
}

func (k *kind) settle(claim string) {
	if delete(k.awaited, claim); k.young() == 0 {
		k.began = time.Time{}
	}
}

// young counts the claims that may be part of a burst, until there are enough for one.
func (k *kind) young() (count int) {
	for _, since := range k.awaited {
		if time.Since(since) < burstTimeout {
			if count++; count > burstSize {
				break
			}
		}
	}
	return count
}

// burst tells whether a provider works through a burst.
func (k *kind) burst() bool {
	return !k.began.IsZero() && time.Since(k.began) < burstTimeout && time.Since(k.progress) < stall
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
	return waits || slices.ContainsFunc(d.pools, func(pool vip.PoolRef) bool { return a.kind(pool).burst() })
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
