package allocator

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Older counts the other Clusters that stand in line for the pool before this one.
func (a *Allocator) Older(pool vip.PoolRef, r Request) (count int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.lines[pool] {
		if w.cluster != r.Cluster && older(w, &waiter{since: r.Since, cluster: r.Cluster}) < 0 {
			count++
		}
	}
	return count
}

// Wrong says what is inconsistent in the allocator; empty if nothing is.
func (a *Allocator) Wrong() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	count := map[vip.PoolRef]occupancy{}
	kinds := map[vip.PoolRef]int{}
	reserved := map[vip.PoolRef]int64{}
	for key, h := range a.holdings {
		for _, s := range a.shares(key, h) {
			o := count[s.pool]
			o.used, o.bound = o.used+s.used, o.bound+s.bound
			if count[s.pool] = o; o == (occupancy{}) {
				delete(count, s.pool)
			}
		}
		if kind := h.awaited(); kind != (vip.PoolRef{}) {
			kinds[kind]++
		}
		if r := h.reserved; r != nil && r.made.IsZero() {
			reserved[r.pool]++
			if c := a.clusters[r.cluster]; c == nil || !slices.Contains(c.reserved, key) {
				return "nobody gives back what is reserved for " + key
			}
		} else if r != nil && !a.expected[key] {
			return "nobody ends the expectation of " + key
		}
	}
	if !maps.Equal(count, a.occupied) {
		return fmt.Sprintf("counted %v, kept %v", count, a.occupied)
	}
	for kind, k := range a.kinds {
		if k.pending != kinds[kind] {
			return fmt.Sprintf("%d claims wait for %s, not %d", kinds[kind], kind, k.pending)
		}
	}
	for pool, l := range a.lines {
		if !slices.IsSortedFunc(l, older) {
			return fmt.Sprintf("the line of %s is out of order", pool)
		}
		for _, w := range l {
			if c := a.clusters[w.cluster]; c == nil || !c.lines[pool] {
				return fmt.Sprintf("%s stands in line for %s, and does not know it", w.cluster, pool)
			}
		}
	}
	return ""
}
