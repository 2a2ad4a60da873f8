package ui

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
)

// draw writes a grid with a letter a cell: "." is free, "-" is none of the pool's.
func draw(g *grid) string {
	var out strings.Builder
	for _, r := range g.Rows {
		if r.Free != "" {
			fmt.Fprintf(&out, "%s free, %s to %s\n", r.Free, r.First, r.Last)
			continue
		}
		fmt.Fprintf(&out, "%s ", r.First)
		for _, c := range r.Cells {
			switch c.State {
			case "":
				out.WriteString("-")
			case Free:
				out.WriteString(".")
			default:
				out.WriteString(c.State.Letter())
			}
		}
		out.WriteString("\n")
	}
	if g.More > 0 {
		fmt.Fprintf(&out, "%d more from %s\n", g.More, g.Next)
	}
	return out.String()
}

func TestGrid(t *testing.T) {
	for name, test := range map[string]struct {
		pool Pool
		from string
		most int
		want string
	}{
		"all of a small pool": {pool: sample().Pools[0], want: `
10.0.0.0 ----------CIGRFB
10.0.0.16 !....×........--
`},
		"of a large one what is used": {pool: sample().Pools[1], want: `
19 711 free, 10.1.0.1 to 10.1.76.255
10.1.77.0 ...I............
45 807 free, 10.1.77.16 to 10.1.255.254
`},
		"IPv6, more than there are numbers for": {pool: Pool{
			Declared: ranges("fd00::", "fd00::ffff:ffff:ffff:ffff"), HandedOut: ranges("fd00::1", "fd00::ffff:ffff:ffff:ffff"), Addresses: []Address{used("fd00::2a", Ingress, "web")},
		}, want: `
31 free, fd00::1 to fd00::1f
fd00::20 ..........I.....
about 1.8 × 10¹⁹ free, fd00::30 to fd00::ffff:ffff:ffff:ffff
`},
		"the end of all addresses": {pool: Pool{
			Declared: ranges("255.255.255.0", "255.255.255.255"), HandedOut: ranges("255.255.255.0", "255.255.255.255"), Addresses: []Address{used("255.255.255.255", Foreign, "")},
		}, from: "255.255.255.240", want: `
255.255.255.240 ...............F
`},
		"one address twice, one out of the ranges": {pool: Pool{
			Declared: ranges("10.0.0.1", "10.0.0.2"), HandedOut: ranges("10.0.0.1", "10.0.0.2"),
			Addresses: []Address{used("10.0.0.1", Ingress, "a"), used("10.0.0.1", Foreign, ""), used("10.0.0.2", ControlPlane, "b"), used("10.0.7.1", Booked, "c")},
		}, want: `
10.0.0.0 -IC-------------
10.0.7.0 -B--------------
`},
		"ranges that cannot be read": {pool: Pool{Addresses: []Address{used("10.0.0.1", Ingress, "a")}}, want: `
10.0.0.0 -I--------------
`},
		"nothing": {want: "\n"},
		"a part": {pool: Pool{Declared: ranges("10.0.0.0", "10.0.0.63"), HandedOut: ranges("10.0.0.0", "10.0.0.63")}, from: "10.0.0.20", most: 2, want: `
10.0.0.16 ................
10.0.0.32 ................
1 more from 10.0.0.48
`},
	} {
		t.Run(name, func(t *testing.T) {
			from, _ := netip.ParseAddr(test.from)
			most := test.most
			if most == 0 {
				most = rowsOfOne
			}
			want := strings.TrimPrefix(test.want, "\n")
			if got := draw(gridOf(&test.pool, from, most)); strings.ReplaceAll(got, "\u202f", " ") != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// However large a pool is and however much of it is used, a page has an end.
func TestGridIsBounded(t *testing.T) {
	pool := Pool{Declared: ranges("10.0.0.0", "10.255.255.255"), HandedOut: ranges("10.0.0.0", "10.255.255.255")}
	at := netip.MustParseAddr("10.0.0.0")
	for range 20_000 {
		pool.Addresses = append(pool.Addresses, Address{Key: at, State: Foreign})
		at = lastOf(rowOf(at)).Next()
	}
	shown := map[string]bool{}
	for from, parts := (netip.Addr{}), 0; ; parts++ {
		g := gridOf(&pool, from, rowsOfOne)
		if len(g.Rows) > 2*rowsOfOne+1 {
			t.Fatalf("%d rows at once", len(g.Rows))
		}
		for _, r := range g.Rows {
			if r.Free == "" && shown[r.First] {
				t.Fatalf("%s is shown twice", r.First)
			}
			shown[r.First] = true
		}
		if g.Next == "" {
			break
		}
		from = netip.MustParseAddr(g.Next)
	}
	for _, a := range pool.Addresses {
		if !shown[rowOf(a.Key).String()] {
			t.Fatalf("%s is on no page", a.Key)
		}
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[string]string{
		"0": "0", "999": "999", "1000": "1 000", "65536": "65 536", "123456789012": "123 456 789 012", "1234567890123": "about 1.2 × 10¹²", "-1234": "-1 234",
	} {
		value, _ := new(big.Int).SetString(n, 10)
		if got := strings.ReplaceAll(number(value), "\u202f", " "); got != want {
			t.Errorf("%s: got %q, want %q", n, got, want)
		}
	}
}
