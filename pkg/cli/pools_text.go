package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pools prints the list for people: one line a pool, then what is wrong, then who
// holds which address.
func (s *screen) pools(list *PoolList, addresses bool) {
	switch {
	case len(list.Pools) > 0:
		s.poolTable(list.Pools)
	case hides(list.NotVisible, anyPool):
		s.print("No pool is visible.\n")
	default:
		s.print("No pool carries the keys of the allocator.\n")
	}
	for i := range list.Pools {
		pool := &list.Pools[i]
		for _, note := range pool.Notes {
			s.print("  %s\n", s.wrap(pool.title()+": "+note, 2))
		}
		for _, warning := range pool.Warnings {
			s.print("%s %s\n", s.warn("!"), s.wrap(pool.title()+": "+warning, 2))
		}
	}
	for i := range list.Pools {
		if addresses {
			s.holdings(&list.Pools[i])
		}
	}
	s.list(list.NotVisible)
}

// title names the pool.
func (p *Pool) title() string {
	if p.Namespace != "" {
		return p.Namespace + "/" + p.Name
	}
	return p.Name
}

func (s *screen) poolTable(pools []Pool) {
	namespaced := slices.ContainsFunc(pools, func(p Pool) bool { return p.Namespace != "" })
	header := []any{"POOL", "KIND", "CLASSES", "ROLES", "PRIORITY", "CAPACITY", "USED/FREE/TOTAL", "WAITING"}
	if namespaced {
		header = append([]any{"NAMESPACE"}, header...)
	}
	t := s.table(header...)
	for i := range pools {
		p := &pools[i]
		bar, numbers := s.faint("unknown"), "-"
		if c := p.Capacity; c != nil {
			bar, numbers = s.bar(c), fmt.Sprintf("%d/%d/%d", c.Used, c.Free, c.Total)
		}
		waiting := "?"
		if p.Waiting != nil {
			waiting = strconv.Itoa(*p.Waiting)
			if *p.Waiting > 0 {
				waiting = s.warn(waiting)
			}
		}
		row := []any{s.bold(p.Name), p.Kind, enough(p.Classes), enough(p.Roles), strconv.Itoa(p.Priority), bar, numbers, waiting}
		if namespaced {
			row = append([]any{cmp.Or(p.Namespace, "-")}, row...)
		}
		t.AppendRow(row)
	}
	s.show(t, "")
}

// enough names a few of the entries.
func enough(entries []string) string {
	const few = 3
	if len(entries) == 0 {
		return "-"
	}
	if len(entries) > few {
		return strings.Join(entries[:few], ",") + fmt.Sprintf(",+%d", len(entries)-few)
	}
	return strings.Join(entries, ",")
}

// bar shows how full the pool is.
func (s *screen) bar(c *Capacity) string {
	const width, much = 10, 80
	if c.Total <= 0 {
		return s.bad("empty")
	}
	// Addresses of an IPv6 pool are too many to be multiplied.
	share := float64(c.Total-c.Free) / float64(c.Total)
	full := min(int(share*width+0.5), width)
	words := strings.Repeat("█", full) + strings.Repeat("░", width-full) + fmt.Sprintf(" %3.0f%%", share*100)
	switch {
	case c.Free <= 0:
		return s.bad(words)
	case share*100 >= much:
		return s.warn(words)
	}
	return s.good(words)
}

func (s *screen) holdings(pool *Pool) {
	s.print("\n%s\n", s.bold(pool.Kind+" "+pool.title()))
	if len(pool.Addresses) == 0 {
		s.print("  %s\n", s.faint("nobody holds an address"))
		return
	}
	t := s.table("ADDRESS", "CLUSTER", "ROLE", "CLAIM", "SINCE", "NOTE")
	for _, h := range pool.Addresses {
		cluster, claim := s.warn("none of ours"), "-"
		switch {
		case h.Cluster != "":
			cluster = h.Namespace + "/" + h.Cluster
		case h.ReleasedBy != "":
			cluster = s.faint(h.ReleasedBy + " (deleted)")
		}
		if h.Claim != "" {
			claim = h.Namespace + "/" + h.Claim
		}
		t.AppendRow([]any{cmp.Or(h.Address, "-"), cluster, cmp.Or(h.Role, "-"), claim, s.age(h.Since), h.Note})
	}
	s.show(t, "  ")
}
