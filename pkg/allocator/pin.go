package allocator

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A pin is an address that a claim must get. Claims are pinned where their provider could
// hand out an address that would be refused: one that another pool gave away, or a Cluster
// names, or the class does not admit.

// SetCluster notes which addresses, sorted, a Cluster uses as VIPs now; none if it is gone.
func (a *Allocator) SetCluster(cluster string, now []netip.Addr) (wake []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.vips[cluster]
	if slices.Equal(before, now) {
		return nil // as with most events of a Cluster
	}
	if a.vips[cluster] = now; len(now) == 0 {
		delete(a.vips, cluster)
	}
	for _, key := range now {
		a.count(key, func() { add(a.carried, key, 1) })
	}
	for _, key := range before {
		a.count(key, func() { add(a.carried, key, -1) })
		if a.carried[key] == 0 {
			wake = a.picky()
		}
	}
	return wake
}

// give counts an IPAddress that came or went.
func (a *Allocator) give(address *Address, namespace string, by int) {
	add(a.given, address.Key, by)
	for _, ref := range slots(address.Pool, namespace) {
		add(a.pool(ref).given, address.Key, by)
	}
}

func add(counts map[netip.Addr]int, key netip.Addr, by int) {
	if counts[key] += by; counts[key] == 0 {
		delete(counts, key)
	}
}

// count does a change that concerns one address, and keeps the pools' counts right.
func (a *Allocator) count(key netip.Addr, change func()) {
	for _, p := range a.ranged {
		if a.isStrange(p, key) {
			p.strange--
		}
	}
	change()
	for _, p := range a.ranged {
		if a.isStrange(p, key) {
			p.strange++
		}
	}
}

// isStrange tells whether somebody uses the address of the pool without its provider knowing.
func (a *Allocator) isStrange(p *pool, key netip.Addr) bool {
	return p.Holds != nil && a.used(key) && p.given[key] == 0 && key.IsValid() && p.Holds(key)
}

func (a *Allocator) used(key netip.Addr) bool { return a.carried[key] > 0 || a.given[key] > 0 }

func (a *Allocator) recountStrange(p *pool) {
	p.strange = 0
	for key := range a.carried {
		if a.isStrange(p, key) {
			p.strange++
		}
	}
	for key := range a.given {
		if a.carried[key] == 0 && a.isStrange(p, key) {
			p.strange++
		}
	}
}

// unpin forgets which address the claim was to get.
func (a *Allocator) unpin(claim string) {
	before := len(a.pinned)
	maps.DeleteFunc(a.pinned, func(_ netip.Addr, owner string) bool { return owner == claim })
	a.unpinned = a.unpinned || len(a.pinned) < before
}

// selective tells whether the claim can be made on the candidate only with a pin.
func (a *Allocator) selective(want *vip.Want, c vip.Candidate) bool {
	p := a.pools[c.Pool.Ref]
	pins := p != nil && p.Addresses != nil
	// An address that was refused is not given up for another draw.
	draws := want.Refused != (vip.PoolRef{}) && pins && p.strange > 0
	return c.Pool.Ref == want.Refused || draws || (c.Choices != nil && pins)
}

// chooses tells whether one of the candidates could serve with another address.
func (a *Allocator) chooses(want *vip.Want, candidates []vip.Candidate) bool {
	return slices.ContainsFunc(candidates, func(c vip.Candidate) bool { return a.selective(want, c) })
}

// picky returns the Clusters that wait for certain addresses.
func (a *Allocator) picky() (wake []string) {
	for key, c := range a.clusters {
		if c.picky {
			wake = append(wake, key)
		}
	}
	return wake
}

// pin chooses the address for a claim on the candidate; invalid if any will do, or none is
// known to be good. The lowest that are free are left to claims which wait for theirs: their
// provider takes those.
func (a *Allocator) pin(r *Request, want *vip.Want, c vip.Candidate, before ahead) (pin netip.Addr) {
	p, key := a.pools[c.Pool.Ref], r.key(want)
	switch {
	case want.Pin.IsValid():
		return want.Pin
	case p.Addresses == nil || (p.strange == 0 && !a.selective(want, c)):
		return netip.Addr{}
	}
	good := func(address netip.Addr) bool {
		owner, pinned := a.pinned[address]
		return !a.used(address) && (!pinned || owner == key) && !before.pins[address]
	}
	if had := a.reserved[key]; had != nil && had.pool == c.Pool.Ref && had.pin.IsValid() && good(had.pin) && p.Holds(had.pin) &&
		(c.Choices == nil || slices.Contains(c.Choices, had.pin)) {
		return had.pin
	}
	if c.Choices != nil {
		return first(slices.Values(c.Choices), good, 0)
	}
	return first(p.Addresses, good, p.used-p.bound)
}

// first is the first good address after so many others, or the last if there are fewer;
// invalid if there is none.
func first(addresses iter.Seq[netip.Addr], good func(netip.Addr) bool, after int64) (found netip.Addr) {
	for address := range addresses {
		if !good(address) {
			continue
		}
		if found = address; after <= 0 {
			break
		}
		after--
	}
	return found
}
