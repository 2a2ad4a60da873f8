package kube

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// readRanges reads the spec of an in-cluster pool. A spec that cannot be read
// leaves Ranges nil, and then the pool counts as one that may hand out anything.
func (p *Pool) readRanges(object map[string]any) {
	addresses, _, err := unstructured.NestedStringSlice(object, "spec", "addresses")
	if err != nil {
		return
	}
	excluded, _, err := unstructured.NestedStringSlice(object, "spec", "excludedAddresses")
	if err != nil {
		return
	}
	prefix, _, _ := unstructured.NestedInt64(object, "spec", "prefix")
	p.Network.Prefix = int32(min(max(prefix, 0), 128))
	p.Network.Gateway, _, _ = unstructured.NestedString(object, "spec", "gateway")
	grace, _, _ := unstructured.NestedInt64(object, "spec", "addressReuseGracePeriodSeconds")
	p.Grace = time.Duration(max(grace, 0)) * time.Second
	reserved, _, _ := unstructured.NestedBool(object, "spec", "allocateReservedIPAddresses")
	set, err := ParseRanges(addresses, append(excluded, p.Network.notHandedOut(addresses, reserved)...))
	if err != nil {
		return
	}
	p.Ranges = set
	if p.Declared, err = ParseRanges(addresses, nil); err != nil {
		p.Declared = set
	}
	if !p.Known && p.StatusErr == nil {
		// A pool that is so new that it has no status yet holds what its ranges hold.
		p.Known, p.Total = true, size(set)
		p.Free, p.Usable = p.Total, p.Total
	}
}

// notHandedOut lists the addresses that the provider leaves out of every pool: the
// gateway and, unless they are reserved for use, the first address of the network
// and, for IPv4, the last.
func (n Network) notHandedOut(addresses []string, reserved bool) []string {
	var left []string
	if _, err := netip.ParseAddr(n.Gateway); err == nil {
		left = append(left, n.Gateway)
	}
	set, err := ParseRanges(addresses, nil)
	if reserved || err != nil || len(set.Ranges()) == 0 {
		return left
	}
	network := netip.PrefixFrom(set.Ranges()[0].From(), int(n.Prefix))
	if !network.IsValid() {
		return left
	}
	limits := netipx.RangeOfPrefix(network)
	left = append(left, limits.From().String())
	if network.Addr().Is4() {
		left = append(left, limits.To().String())
	}
	return left
}

// size counts the addresses of the set; more than an int64 holds counts as that many.
func size(set *netipx.IPSet) int64 {
	total := new(big.Int)
	for _, r := range set.Ranges() {
		from, to := r.From().As16(), r.To().As16()
		total.Add(total, new(big.Int).Sub(new(big.Int).SetBytes(to[:]), new(big.Int).SetBytes(from[:])))
		total.Add(total, big.NewInt(1))
	}
	if !total.IsInt64() {
		return math.MaxInt64
	}
	return total.Int64()
}

// ParseRanges reads single addresses, CIDR prefixes and ranges of the form
// "first-last". It never enumerates: a set costs as much as it has entries.
func ParseRanges(addresses, excluded []string) (*netipx.IPSet, error) {
	var builder netipx.IPSetBuilder
	for _, text := range addresses {
		if err := eachRange(text, builder.AddRange); err != nil {
			return nil, err
		}
	}
	for _, text := range excluded {
		if err := eachRange(text, builder.RemoveRange); err != nil {
			return nil, err
		}
	}
	set, err := builder.IPSet()
	if err != nil {
		return nil, fmt.Errorf("address ranges: %w", err)
	}
	return set, nil
}

func eachRange(text string, visit func(netipx.IPRange)) error {
	switch {
	case strings.Contains(text, "-"):
		parsed, err := netipx.ParseIPRange(text)
		if err != nil {
			return fmt.Errorf("range %.80q: %w", text, err)
		}
		visit(parsed)
	case strings.Contains(text, "/"):
		parsed, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("prefix %.80q: %w", text, err)
		}
		visit(netipx.RangeOfPrefix(parsed))
	default:
		parsed, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("address %.80q: %w", text, err)
		}
		visit(netipx.IPRangeFrom(parsed, parsed))
	}
	return nil
}

// Contains tells whether the pool could hand out the address: surely, or, if its
// ranges cannot be read, possibly.
func (p *Pool) Contains(addr netip.Addr) bool {
	return p.Ranges == nil || p.Ranges.Contains(addr.Unmap())
}

// Excludes tells whether the address surely is none of the pool's, in whatever form its
// ranges are written.
func (p *Pool) Excludes(addr netip.Addr) bool {
	return !p.Contains(addr) && !p.Ranges.Contains(netip.AddrFrom16(addr.As16()))
}

// SameRanges tells whether both hand out the same addresses, as far as can be read.
func (p *Pool) SameRanges(other *Pool) bool {
	if p.Ranges == nil || other.Ranges == nil {
		return p.Ranges == other.Ranges
	}
	return p.Ranges.Equal(other.Ranges)
}

// CanPin tells whether an IPAddress that is made before its claim decides which
// address the claim is bound to. The in-cluster provider works that way.
func (p *Pool) CanPin() bool { return IsInCluster(p.Ref) && p.Ranges != nil }

// SurelyOverlaps tells whether both pools hand out one address, as far as can be read.
func (p *Pool) SurelyOverlaps(other *Pool) bool {
	return p.Ranges != nil && other.Ranges != nil && p.Overlaps(other)
}

// Overlaps tells whether both pools could hand out one address.
func (p *Pool) Overlaps(other *Pool) bool {
	return p.Ranges == nil || other.Ranges == nil || p.Ranges.Overlaps(other.Ranges)
}

// Overlapping returns, for each of the pools that surely shares an address with another,
// one such other. It costs no more than sorting the ranges.
func Overlapping(pools []*Pool) map[vip.PoolRef]vip.PoolRef {
	type part struct {
		netipx.IPRange
		pool vip.PoolRef
	}
	var parts []part
	for _, pool := range pools {
		if pool.Ranges == nil {
			continue
		}
		for _, r := range pool.Ranges.Ranges() {
			parts = append(parts, part{r, pool.Ref})
		}
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(a.From().Compare(b.From()), strings.Compare(a.pool.String(), b.pool.String()))
	})
	partners := map[vip.PoolRef]vip.PoolRef{}
	note := func(pool, partner vip.PoolRef) {
		if _, known := partners[pool]; !known {
			partners[pool] = partner
		}
	}
	// The ranges of one pool are disjoint. So if a range meets any that begins before it, it
	// meets the one of those that ends last; and whichever else it meets has met that one.
	var last part
	for _, p := range parts {
		if last.IsValid() && p.From().Compare(last.To()) <= 0 {
			note(p.pool, last.pool)
			note(last.pool, p.pool)
		}
		if !last.IsValid() || p.To().Compare(last.To()) > 0 {
			last = p
		}
	}
	return partners
}
