package allocator

import (
	"fmt"
	"slices"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Older counts the other Clusters that stand in line for the pool before this one.
func (a *Allocator) Older(pool vip.PoolRef, r Request) (count int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.pool(pool).line {
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
	for pin, key := range a.pinned {
		if r := a.reserved[key]; r != nil && r.made.IsZero() && r.pin != pin {
			return fmt.Sprintf("%s is to get %s and keeps %s", key, r.pin, pin)
		}
	}
	for key, r := range a.reserved {
		if n := a.pool(r.pool).names[key]; n == nil || !n.reserved {
			return fmt.Sprintf("%s has a place on %s that is not counted", key, r.pool)
		}
	}
	for ref, p := range a.pools {
		strange := p.strange
		if a.recountStrange(p); p.strange != strange {
			return fmt.Sprintf("%d addresses of %s are strange, not %d", p.strange, ref, strange)
		}
		sum := taken{}
		for key, n := range p.names {
			now := p.takes(n)
			sum.used, sum.bound = sum.used+now.used, sum.bound+now.bound
			if r := a.reserved[key]; n.reserved && (r == nil || r.pool != ref) {
				return fmt.Sprintf("%s is counted on %s and has no place there", key, ref)
			}
		}
		if sum != p.taken {
			return fmt.Sprintf("%v of %s is taken, not %v", sum, ref, p.taken)
		}
		if !slices.IsSortedFunc(p.line, older) {
			return fmt.Sprintf("the line of %s is out of order", ref)
		}
		for _, w := range p.line {
			if c := a.clusters[w.cluster]; c == nil || !slices.Contains(c.lines, ref) {
				return fmt.Sprintf("%s stands in line for %s, and does not know it", w.cluster, ref)
			}
		}
	}
	return ""
}
