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
	// pending counts the claims for VIPs that were made, or are being made, and not bound.
	pending int
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
	// free says that it is deferred no more, even if its patch fails.
	free bool
}

func (a *Allocator) kindOf(pool vip.PoolRef) *kind {
	ref := kindOf(pool)
	if a.kinds[ref] == nil {
		a.kinds[ref] = &kind{}
	}
	return a.kinds[ref]
}

func kindOf(pool vip.PoolRef) vip.PoolRef { return vip.PoolRef{Group: pool.Group, Kind: pool.Kind} }

// await counts a claim that the one kind of provider is done with, and the other is to bind.
func (a *Allocator) await(before, now vip.PoolRef) {
	if before == now {
		return
	}
	if before != (vip.PoolRef{}) {
		k := a.kindOf(before)
		if k.pending--; k.pending == 0 {
			k.began, a.drained = time.Time{}, true
		}
	}
	if now != (vip.PoolRef{}) {
		k := a.kindOf(now)
		if k.pending++; k.pending == burstSize+1 {
			k.began = a.now()
			k.progress = k.began
		}
	}
}

// burst tells whether a provider works through a burst.
func (k *kind) burst(now time.Time) bool {
	return !k.began.IsZero() && now.Sub(k.began) < burstTimeout && now.Sub(k.progress) < stall
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
		d = &deferral{since: a.now()}
	}
	d.pools, d.other = pools, other
	if d.free = d.free || !a.defers(d, a.now()); d.free {
		return true
	}
	a.deferred[cluster] = d
	return false
}

// defers tells whether the Cluster's VIPs wait: all of them for a burst to end, and the
// first for the second, which spares Cluster API a reconcile over a Cluster that it could
// not build yet, and a class without a gate infrastructure without the second.
func (a *Allocator) defers(d *deferral, now time.Time) bool {
	if now.Sub(d.since) >= burstTimeout {
		return false
	}
	if d.other != (vip.PoolRef{}) {
		last := a.kindOf(d.other).progress
		if last.Before(d.since) {
			last = d.since
		}
		if now.Sub(last) < stall {
			return true
		}
	}
	return slices.ContainsFunc(d.pools, func(pool vip.PoolRef) bool { return a.kindOf(pool).burst(now) })
}

// undefer returns the Clusters that may publish now.
func (a *Allocator) undefer(now time.Time) (wake []string) {
	for cluster, d := range a.deferred {
		if !d.free && !a.defers(d, now) {
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
	return a.kindOf(pool).progress
}
