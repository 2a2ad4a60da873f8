package suite

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// newSubnet6 returns the first four numbers of a /64 that nobody else uses.
func newSubnet6() string { return "fd00:" + strings.ReplaceAll(newSubnet(), ".", ":") }

// Addresses of the other family, of both, and of both in one Cluster. An IPv6 address
// is no legal label value; the label that says "has a VIP" serves selectors all the same.
func TestFamilies(t *testing.T) {
	t.Parallel()
	// A family makes a range of its own, and names the address that is given first.
	type family func() (addresses poolOption, first string)
	v4 := func() (poolOption, string) {
		subnet := newSubnet()
		return ranges(subnet + ".10-" + subnet + ".19"), subnet + ".10"
	}
	v6 := func() (poolOption, string) {
		subnet := newSubnet6()
		return network(64, subnet+"::a-"+subnet+"::1f"), subnet + "::a"
	}
	cidr := func() (poolOption, string) {
		subnet := newSubnet6()
		return network(124, subnet+"::20/124"), subnet + "::21" // the first of a network is kept back
	}
	for name, families := range map[string]map[role]family{
		"IPv6":          {controlPlane: v6, ingress: cidr},
		"IPv4 and IPv6": {controlPlane: v4, ingress: v6},
		"IPv6 and IPv4": {controlPlane: v6, ingress: v4},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			k := w.gatedClass(bothRoles...)
			want := map[role]string{}
			for r, family := range families {
				addresses, first := family()
				w.pool(serving(r, k), addresses)
				want[r] = first
			}
			c := w.cluster(k)
			for r, vip := range want {
				c.becomes(has(r, vip))
				w.remove(observe.Claims, w.namespace, r.claim(c.name), metav1.DeleteOptions{})
				w.eventually("the claim is taken back", func() error { return c.owns(r, vip) })
			}
		})
	}
}

// One IPv6 address in two pools, written in two ways: a Lease decides.
func TestContestedIPv6(t *testing.T) {
	w := newWorld(t).judged()
	k := w.gatedClass(controlPlane)
	subnet := newSubnet6()
	short := subnet + "::5"
	one := w.pool(serving(controlPlane, k), network(64, short))
	two := w.pool(serving(controlPlane, k), network(64, strings.ToUpper(subnet)+":0:0:0:5"))
	a := w.cluster(k, annotated(controlPlane.poolFilter(), one.name))
	a.becomes(has(controlPlane, short))
	b := w.cluster(k, annotated(controlPlane.poolFilter(), two.name))
	b.becomes(reason(controlPlane, "AddressInUse", a.name))
	a.condemned()
	b.becomes(has(controlPlane, short))
	b.condemned()
	w.nothingLeaks()
}
