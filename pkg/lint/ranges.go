package lint

import (
	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

// checkRanges reads the addresses of a pool of the in-cluster provider and compares
// them with those of the other pools.
func (l *linter) checkRanges(p *pool) {
	if !l.rangesReadable(p) {
		return
	}
	addresses := p.line("spec", "addresses")
	switch {
	case len(p.entries("addresses")) == 0 && p.version != "v1alpha1":
		l.add(p.object, addresses, Error, PoolEmpty, "spec.addresses is empty, which the provider refuses; list the addresses of your VIPs")
		return
	case !l.checkUsable(p):
		return
	case len(p.Ranges.Ranges()) == 0:
		l.add(p.object, addresses, Error, PoolEmpty, "no address is left: the gateway, excludedAddresses and the first and last address of the network are never handed out; extend spec.addresses")
		return
	}
	reported, more, before := 0, 0, true
	for _, other := range l.pools {
		switch {
		case other == p:
			before = false
		case other.Ref == p.Ref || other.Ranges == nil || !p.Overlaps(other.Pool) || (other.Ours && !before):
		case reported < maxOverlaps:
			reported++
			l.reportOverlap(p, other)
		default:
			more++
		}
	}
	if more > 0 {
		l.add(p.object, addresses, Warning, PoolOverlap, "%d more pools share its addresses", more)
	}
}

// maxOverlaps is how many pools are named with which one pool shares addresses.
const maxOverlaps = 3

// entries is a list of spec as it was written.
func (p *pool) entries(field string) []any {
	list, _, _ := unstructured.NestedFieldNoCopy(p.raw, "spec", field)
	entries, _ := list.([]any)
	return entries
}

// rangesReadable reports every entry that cannot be read.
func (l *linter) rangesReadable(p *pool) bool {
	if p.Ranges != nil {
		return true
	}
	found := false
	report := func(format string, args ...any) func(path ...any) {
		found = true
		return func(path ...any) { l.add(p.object, p.line(path...), Error, PoolRanges, format, args...) }
	}
	for _, field := range []string{"addresses", "excludedAddresses"} {
		for i, entry := range p.entries(field) {
			text, isText := entry.(string)
			if !isText {
				report("an entry of spec.%s is no string; write an address, a range first-last or a CIDR", field)("spec", field, i)
				continue
			}
			if _, err := kube.ParseRanges([]string{text}, nil); err != nil {
				report("%v; write an address, a range first-last or a CIDR", err)("spec", field, i)
			}
		}
	}
	if !found {
		report("spec.addresses cannot be read; make it a list of addresses, ranges first-last or CIDRs")("spec", "addresses")
	}
	return false
}

// reportOverlap warns of a pool that shares addresses with an earlier one, or with one that
// is not ours.
func (l *linter) reportOverlap(p, other *pool) {
	shared := intersection(p.Ranges, other.Ranges)
	if shared == "" {
		return
	}
	line := p.overlapLine(other)
	if other.nodes {
		l.add(p.object, line, Error, NodeRange, "%s is also in %s (%s:%d), whose machines get these addresses: a VIP could be a machine's too; separate the ranges", shared, other.Ref, other.file, other.line())
		return
	}
	if !other.Ours {
		l.add(p.object, line, Error, NodeRange, "%s is also in %s (%s:%d), which carries none of our labels: it could hand a VIP to a machine; exclude the addresses there by excludedAddresses",
			shared, other.Ref, other.file, other.line())
		return
	}
	l.add(p.object, line, Warning, PoolOverlap, "%s is also in %s (%s:%d); each provider knows only its own pool, so give them separate ranges",
		shared, other.Ref, other.file, other.line())
}

// intersection is the first range that both hold; empty if there is none.
func intersection(a, b *netipx.IPSet) string {
	var builder netipx.IPSetBuilder
	builder.AddSet(a)
	builder.Intersect(b)
	set, err := builder.IPSet()
	if err != nil || len(set.Ranges()) == 0 {
		return ""
	}
	shared := set.Ranges()[0]
	if shared.From() == shared.To() {
		return shared.From().String()
	}
	return shared.String()
}

// overlapLine is the entry of spec.addresses that the other pool shares.
func (p *pool) overlapLine(other *pool) int {
	for i, entry := range p.entries("addresses") {
		text, _ := entry.(string)
		if set, err := kube.ParseRanges([]string{text}, nil); err == nil && set.Overlaps(other.Ranges) {
			return p.line("spec", "addresses", i)
		}
	}
	return p.line("spec", "addresses")
}
