package ui

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
)

const (
	// perRow is the number of addresses in a row: a /28 of IPv4, a /124 of IPv6.
	perRow, rowBits = 16, 4
	// allUpTo is how many addresses are all shown. Of a larger pool only the rows are in
	// which something is used, and how many addresses lie between them.
	allUpTo = 1024
)

// grid is a part of the rows of a pool.
type grid struct {
	Rows []row
	// Next is where the rows that did not fit begin, More how many they are.
	Next string
	More int
	// Condensed says that rows without anything used are left out.
	Condensed bool
}

// row is so many addresses, or what lies between two rows.
type row struct {
	// First is the first address of the row or gap, Last that of the gap.
	First, Last string
	Cells       []cell
	// Free is how many addresses of a gap can be handed out; empty for a row.
	Free string
}

// cell is one address of a row. One without a State is none of the pool's.
type cell struct {
	State State
	// Address is the whole, Last its last part.
	Address, Last string
	Used          *Address
}

// gridOf lays out the pool from the row of the address on, most rows at most.
func gridOf(p *Pool, from netip.Addr, most int) *grid {
	starts, all := rowsOf(p)
	g := &grid{Condensed: !all}
	begin := 0
	if from.IsValid() {
		begin = sort.Search(len(starts), func(i int) bool { return starts[i].Compare(rowOf(from)) >= 0 })
	}
	end := min(begin+most, len(starts))
	if end < len(starts) {
		g.Next, g.More = starts[end].String(), len(starts)-end
	}
	var last netip.Addr // of the row before
	if begin > 0 {
		last = lastOf(starts[begin-1])
	}
	for i := begin; i < end; i++ {
		g.gap(p, last, starts[i])
		g.Rows = append(g.Rows, rowAt(p, starts[i]))
		last = lastOf(starts[i])
	}
	if end == len(starts) {
		g.gap(p, last, netip.Addr{})
	}
	return g
}

// rowsOf lists where rows begin, and tells whether these are all of the pool.
func rowsOf(p *Pool) (starts []netip.Addr, all bool) {
	all = count(p.Declared).Cmp(big.NewInt(allUpTo)) <= 0
	for _, r := range p.Declared {
		for at := rowOf(r.From); all && at.IsValid() && at.Compare(r.To) <= 0; at = lastOf(at).Next() {
			starts = append(starts, at)
		}
	}
	for i := range p.Addresses {
		starts = append(starts, rowOf(p.Addresses[i].Key))
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	return slices.Compact(starts), all
}

func rowOf(a netip.Addr) netip.Addr { return netip.PrefixFrom(a, a.BitLen()-rowBits).Masked().Addr() }

func lastOf(start netip.Addr) netip.Addr {
	bytes := start.AsSlice()
	bytes[len(bytes)-1] |= perRow - 1
	last, _ := netip.AddrFromSlice(bytes) // as long as it was
	return last
}

// gap adds what can be handed out between two rows; an invalid address is none.
func (g *grid) gap(p *Pool, last, next netip.Addr) {
	var first netip.Addr
	if last.IsValid() {
		if first = last.Next(); !first.IsValid() {
			return // that was the very last address there is
		}
	}
	if next.IsValid() {
		next = next.Prev()
	}
	between := clip(p.HandedOut, first, next)
	if len(between) > 0 {
		g.Rows = append(g.Rows, row{
			First: between[0].From.String(), Last: between[len(between)-1].To.String(), Free: number(count(between)),
		})
	}
}

func rowAt(p *Pool, start netip.Addr) row {
	r := row{First: start.String()}
	next, _ := slices.BinarySearchFunc(p.Addresses, start, func(a Address, at netip.Addr) int { return a.Key.Compare(at) })
	at := start
	for range perRow {
		c := cell{Address: at.String(), Last: lastPart(at)}
		switch {
		case next < len(p.Addresses) && p.Addresses[next].Key == at:
			c.Used = &p.Addresses[next]
			c.State = c.Used.State
			for next < len(p.Addresses) && p.Addresses[next].Key == at {
				next++ // nothing keeps a provider from giving one address twice
			}
		case contains(p.HandedOut, at):
			c.State = Free
		case contains(p.Declared, at):
			c.State = Excluded
		}
		r.Cells = append(r.Cells, c)
		at = at.Next()
	}
	return r
}

// lastPart is what tells the addresses of a row apart.
func lastPart(a netip.Addr) string {
	bytes := a.AsSlice()
	if a.Is4() {
		return strconv.Itoa(int(bytes[len(bytes)-1]))
	}
	return fmt.Sprintf("%x", bytes[len(bytes)-1])
}

func contains(ranges []Range, a netip.Addr) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].To.Compare(a) >= 0 })
	return i < len(ranges) && ranges[i].From.Compare(a) <= 0
}

// clip is what of the ranges lies from first to last; an invalid address is no limit.
func clip(ranges []Range, first, last netip.Addr) []Range {
	var result []Range
	for _, r := range ranges {
		if first.IsValid() && r.From.Compare(first) < 0 {
			r.From = first
		}
		if last.IsValid() && r.To.Compare(last) > 0 {
			r.To = last
		}
		if r.From.Compare(r.To) <= 0 {
			result = append(result, r)
		}
	}
	return result
}

// count is how many addresses the ranges have.
func count(ranges []Range) *big.Int {
	total := new(big.Int)
	for _, r := range ranges {
		from, to := r.From.As16(), r.To.As16()
		total.Add(total, new(big.Int).Sub(new(big.Int).SetBytes(to[:]), new(big.Int).SetBytes(from[:])))
		total.Add(total, big.NewInt(1))
	}
	return total
}

var raised = strings.NewReplacer("0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹")

// number writes it with its digits in groups, or roughly if nobody would read them.
func number(n *big.Int) string {
	const legible = 12
	text := n.String()
	if digits := strings.TrimPrefix(text, "-"); len(digits) > legible {
		return fmt.Sprintf("about %s.%s × 10%s", digits[:1], digits[1:2], raised.Replace(strconv.Itoa(len(digits)-1)))
	}
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}
