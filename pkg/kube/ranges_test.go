package kube_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func TestParseRanges(t *testing.T) {
	for _, test := range []struct {
		name                string
		addresses, excluded []string
		inside, outside     string
	}{
		{"a single address", []string{"10.0.0.5"}, nil, "10.0.0.5", "10.0.0.4 10.0.0.6"},
		{"a range", []string{"10.0.0.5-10.0.0.7"}, nil, "10.0.0.5 10.0.0.7", "10.0.0.4 10.0.0.8"},
		{"a prefix that does not begin at its base", []string{"10.0.0.9/29"}, nil, "10.0.0.8 10.0.0.15", "10.0.0.7 10.0.0.16"},
		{"several that overlap", []string{"10.0.0.1-10.0.0.5", "10.0.0.3-10.0.0.9", "10.0.0.4"}, nil, "10.0.0.1 10.0.0.9", "10.0.0.10"},
		{"excluded addresses", []string{"10.0.0.0/24"}, []string{"10.0.0.5", "10.0.0.8/30", "10.0.0.200-10.0.0.255"}, "10.0.0.4 10.0.0.7 10.0.0.12", "10.0.0.5 10.0.0.8 10.0.0.11 10.0.0.255"},
		{"IPv6 in whatever case", []string{"FD00::1-fd00::F"}, nil, "fd00::1 fd00::f", "fd00::10"},
		{"everything, without counting it out", []string{"::/0", "0.0.0.0/0"}, nil, "fd00::1 10.0.0.1", ""},
		{"nothing", nil, nil, "", "10.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, err := kube.ParseRanges(test.addresses, test.excluded)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range strings.Fields(test.inside) {
				if !set.Contains(netip.MustParseAddr(text)) {
					t.Errorf("%s is not inside", text)
				}
			}
			for _, text := range strings.Fields(test.outside) {
				if set.Contains(netip.MustParseAddr(text)) {
					t.Errorf("%s is inside", text)
				}
			}
		})
	}
	for _, bad := range []string{"", "10.0.0.9-10.0.0.1", "10.0.0.1-fd00::1", "10.0.0.0/33", "10.0.0", "a-b", "-", "/", "10.0.0.1 "} {
		if set, err := kube.ParseRanges([]string{bad}, nil); err == nil {
			t.Errorf("%q is read as %v", bad, set.Ranges())
		}
		if _, err := kube.ParseRanges([]string{"10.0.0.1"}, []string{bad}); err == nil {
			t.Errorf("excluded %q is read", bad)
		}
	}
}

func TestAHundredThousandRangesAreReadQuickly(t *testing.T) {
	var addresses []string
	for i := range 100_000 {
		addresses = append(addresses, fmt.Sprintf("10.%d.%d.%d", i>>15&255, i>>7&255, i<<1&255))
	}
	began := time.Now()
	set, err := kube.ParseRanges(addresses, nil)
	if err != nil || len(set.Ranges()) != 100_000 {
		t.Fatalf("%v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// spec is a pool of the in-cluster provider with that spec and no status.
func spec(fields map[string]any) *kube.Pool {
	object := pool(nil)
	object.Object["spec"] = fields
	return kube.NewPool(object, true)
}

func TestWhatAPoolHandsOut(t *testing.T) {
	type fields = map[string]any
	list := func(texts ...any) []any { return texts }
	for _, test := range []struct {
		name            string
		spec            fields
		inside, outside string
		total           int64
	}{
		{"not the ends of its network", fields{"addresses": list("10.0.0.0/29"), "prefix": int64(29)}, "10.0.0.1 10.0.0.6", "10.0.0.0 10.0.0.7", 6},
		{"these too, if it says so", fields{"addresses": list("10.0.0.0/29"), "prefix": int64(29), "allocateReservedIPAddresses": true}, "10.0.0.0 10.0.0.7", "10.0.0.8", 8},
		{"for IPv6 the last address", fields{"addresses": list("fd00::/125"), "prefix": int64(125)}, "fd00::1 fd00::7", "fd00::", 7},
		{"not its gateway", fields{"addresses": list("10.0.0.10-10.0.0.12"), "prefix": int64(24), "gateway": "10.0.0.11"}, "10.0.0.10 10.0.0.12", "10.0.0.11", 2},
		{"not what it excludes", fields{"addresses": list("10.0.0.10-10.0.0.12"), "excludedAddresses": list("10.0.0.12"), "prefix": int64(24)}, "10.0.0.10", "10.0.0.12", 2},
		{"nothing, if it has no addresses", fields{"addresses": list(), "prefix": int64(24)}, "", "10.0.0.1", 0},
		{"more than can be counted", fields{"addresses": list("::/0"), "prefix": int64(0)}, "fd00::1", "10.0.0.1", math.MaxInt64},
		{"one address", fields{"addresses": list("10.0.0.9"), "prefix": int64(24)}, "10.0.0.9", "10.0.0.8", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := spec(test.spec)
			for _, text := range strings.Fields(test.inside) {
				if key := netip.AddrFrom16(netip.MustParseAddr(text).As16()); !p.Contains(key) {
					t.Errorf("not %s", text)
				}
			}
			for _, text := range strings.Fields(test.outside) {
				if p.Contains(netip.MustParseAddr(text)) {
					t.Errorf("also %s", text)
				}
			}
			if !p.Known || p.Total != test.total || p.Usable != test.total {
				t.Errorf("known %v, total %d, usable %d", p.Known, p.Total, p.Usable)
			}
			if !p.CanPin() {
				t.Error("an address of it cannot be taken back")
			}
		})
	}
}

func TestAPoolWhoseSpecCannotBeReadMayHandOutAnything(t *testing.T) {
	for name, fields := range map[string]map[string]any{
		"a reversed range":      {"addresses": []any{"10.0.0.9-10.0.0.1"}},
		"no list":               {"addresses": "10.0.0.1"},
		"no texts":              {"addresses": []any{int64(1)}},
		"a malformed exclusion": {"addresses": []any{"10.0.0.1"}, "excludedAddresses": []any{"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := spec(fields)
			if p.Ranges != nil || !p.Contains(netip.MustParseAddr("192.0.2.1")) || p.CanPin() {
				t.Errorf("%+v", p.Ranges)
			}
			if other := spec(map[string]any{"addresses": []any{"10.0.0.1"}}); !p.Overlaps(other) || !other.Overlaps(p) || p.SameRanges(other) {
				t.Error("it does not overlap with a pool that can be read")
			}
		})
	}
}

func TestAbsurdNumbersInASpecAreBounded(t *testing.T) {
	p := spec(map[string]any{"addresses": []any{"10.0.0.1"}, "prefix": int64(math.MaxInt64), "addressReuseGracePeriodSeconds": int64(-5)})
	if p.Network.Prefix > 128 || p.Grace != 0 {
		t.Errorf("prefix %d, grace %s", p.Network.Prefix, p.Grace)
	}
	p = spec(map[string]any{"addresses": []any{"10.0.0.1"}, "prefix": int64(-3), "gateway": "nonsense", "addressReuseGracePeriodSeconds": int64(120)})
	if p.Network.Prefix != 0 || p.Grace != 2*time.Minute || p.Ranges == nil {
		t.Errorf("%+v, grace %s", p.Network, p.Grace)
	}
}

func TestOverlaps(t *testing.T) {
	of := func(texts ...any) *kube.Pool { return spec(map[string]any{"addresses": texts, "prefix": int64(8)}) }
	a, b, c := of("10.0.0.1-10.0.0.9"), of("10.0.0.9-10.0.0.20"), of("10.0.0.10-10.0.0.20")
	if !a.Overlaps(b) || !b.Overlaps(a) || a.Overlaps(c) || c.Overlaps(a) {
		t.Error("only a and b have an address in common")
	}
	if !a.SameRanges(of("10.0.0.1-10.0.0.4", "10.0.0.5-10.0.0.9")) || a.SameRanges(b) {
		t.Error("ranges are the same if their addresses are")
	}
}

func TestWhatAPoolExcludes(t *testing.T) {
	plain := spec(map[string]any{"addresses": []any{"10.0.0.9"}, "prefix": int64(24)})
	mapped := spec(map[string]any{"addresses": []any{"::ffff:10.0.0.9"}, "prefix": int64(120)})
	unreadable := spec(map[string]any{"addresses": "x"})
	for text, want := range map[string]bool{"10.0.0.9": false, "::ffff:10.0.0.9": false, "10.0.0.8": true, "fd00::9": true} {
		address := netip.MustParseAddr(text)
		if plain.Excludes(address) != want || mapped.Excludes(address) != want || unreadable.Excludes(address) {
			t.Errorf("%s: %t, %t, %t", text, plain.Excludes(address), mapped.Excludes(address), unreadable.Excludes(address))
		}
	}
}

func FuzzParseRanges(f *testing.F) {
	for _, text := range []string{"10.0.0.1", "10.0.0.1-10.0.0.9", "10.0.0.9-10.0.0.1", "::/0", "0.0.0.0/0", "fe80::1%eth0", "a-b", "-", "/", "١-٢", "10.0.0.0/08", "::ffff:10.0.0.1-::ffff:10.0.0.9"} {
		f.Add(text, "10.0.0.5")
		f.Add("10.0.0.0/8", text)
	}
	f.Fuzz(func(t *testing.T, addresses, excluded string) {
		set, err := kube.ParseRanges([]string{addresses}, []string{excluded})
		if (err == nil) == (set == nil) {
			t.Errorf("%v, %v", set, err)
		}
		p := spec(map[string]any{"addresses": []any{addresses}, "excludedAddresses": []any{excluded}, "prefix": int64(len(addresses)), "gateway": excluded})
		if p.Known && (p.Total < 0 || p.Usable < 0) {
			t.Errorf("total %d, usable %d", p.Total, p.Usable)
		}
	})
}

// Each pool that shares an address with another is found, whatever the order and however
// many ranges they have; compared with trying every pair.
func TestOverlappingPools(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var pools []*kube.Pool
		for i := range 2 + random.IntN(8) {
			var ranges []string
			for range 1 + random.IntN(4) {
				from := random.IntN(200)
				ranges = append(ranges, fmt.Sprintf("10.0.0.%d-10.0.0.%d", from, from+random.IntN(20)))
			}
			set, err := kube.ParseRanges(ranges, nil)
			if err != nil {
				t.Fatal(err)
			}
			pools = append(pools, &kube.Pool{Ref: vip.PoolRef{Name: fmt.Sprint(i)}, Ranges: set})
		}
		pools = append(pools, &kube.Pool{Ref: vip.PoolRef{Name: "unreadable"}})
		partners := kube.Overlapping(pools)
		for _, pool := range pools {
			partner, found := partners[pool.Ref]
			shares := func(other *kube.Pool) bool { return other != pool && pool.SurelyOverlaps(other) }
			if found != slices.ContainsFunc(pools, shares) {
				t.Errorf("%s %v: found %v", pool.Ref.Name, pool.Ranges, found)
			}
			if found && !slices.ContainsFunc(pools, func(other *kube.Pool) bool { return other.Ref == partner && shares(other) }) {
				t.Errorf("%s does not overlap with %s", pool.Ref.Name, partner.Name)
			}
		}
	}
}
