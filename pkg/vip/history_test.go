package vip_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A world is a small management cluster: a few Clusters of one class, two pools
// that overlap, and what the pools' provider bound.
type world struct {
	t        *testing.T
	dice     *dice
	class    vip.Class
	pools    []vip.Pool
	clusters []*citizen
	log      []string
}

type citizen struct {
	view   vip.Cluster
	doc    clusterDoc
	claims map[vip.Role]*vip.Claim
	// live counts the claims made in this Cluster's life, by role.
	made map[vip.Role]int
	// pins are the addresses that the claims are to get.
	pins map[vip.Role]netip.Addr
}

var bothRoles = "control-plane,ingress"

func newWorld(t *testing.T, r *dice) *world {
	w := &world{t: t, dice: r, class: (*caseClass)(nil).view()}
	for _, name := range []string{"p0", "p1"} {
		w.pools = append(w.pools, (&casePool{Name: name, Class: "rke2", Role: bothRoles}).view())
	}
	for i := range 3 {
		c := &citizen{claims: map[vip.Role]*vip.Claim{}, made: map[vip.Role]int{}, pins: map[vip.Role]netip.Addr{}}
		c.view = vip.Cluster{
			Namespace: caseNamespace, Name: fmt.Sprintf("c%d", i), UID: fmt.Sprintf("uid-%d", i),
			HasTopology: true, Class: vip.ClassKey{Namespace: caseNamespace, Name: "rke2"},
			Labels: map[string]string{"example.com/a": "b"}, Variables: []vip.Variable{{Name: "other", Value: []byte(`1`)}},
		}
		c.doc = newClusterDoc(&c.view)
		w.clusters = append(w.clusters, c)
	}
	return w
}

func (w *world) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nhistory:\n%s", fmt.Sprintf(format, args...), strings.Join(w.log, "\n"))
}

func (w *world) snapshot(c *citizen) *vip.Snapshot {
	s := &vip.Snapshot{
		Cluster: c.doc.read(c.view), Class: w.class, Pools: slices.Clone(w.pools), Claims: maps.Clone(c.claims),
		Holders: map[netip.Addr][]vip.Holder{}, Settings: vip.Settings{DefaultPort: 6443},
	}
	for _, other := range w.clusters {
		if other == c {
			continue
		}
		view := other.doc.read(other.view)
		for key := range vip.Addresses(&view) {
			if where := vip.Where(&view, w.class, key); where != "" {
				s.Holders[key] = append(s.Holders[key], vip.Holder{Kind: "Cluster", Namespace: view.Namespace, Name: view.Name, Where: where})
			}
		}
	}
	return placed(s, w.rooms())
}

// rooms is an allocator that has seen all that there is.
func (w *world) rooms() *allocator.Allocator {
	rooms := allocator.New()
	for _, pool := range w.pools {
		addresses := func(yield func(netip.Addr) bool) {
			for _, text := range addressesOf(pool.Ref) {
				if key, _ := vip.Key(text); !yield(key) {
					return
				}
			}
		}
		holds := func(key netip.Addr) bool { return slices.Contains(addressesOf(pool.Ref), key.Unmap().String()) }
		rooms.SetPool(pool.Ref, &allocator.Pool{Size: poolSize, Holds: holds, Addresses: addresses})
	}
	for _, c := range w.clusters {
		view := c.doc.read(c.view)
		rooms.SetCluster(view.Namespace+"/"+view.Name, slices.Collect(maps.Keys(vip.VIPs(&view, w.class))))
		for _, claim := range c.claims {
			rooms.SetClaim(view.Namespace, claim.Name, nil, &allocator.Claim{Pool: claim.Pool, Ours: true, Bound: claim.Bound}, false)
			if key := c.addressOf(claim); key.IsValid() {
				rooms.SetAddress(view.Namespace, nil, &allocator.Address{Pool: claim.Pool, Claim: claim.Name, Key: key})
			}
		}
	}
	return rooms
}

// addressOf is the address of the IPAddress that has the claim's name; invalid if none has.
// That of a pinned claim is there before it is bound.
func (c *citizen) addressOf(claim *vip.Claim) netip.Addr {
	if claim.Address != nil {
		key, _ := vip.Key(claim.Address.Text)
		return key
	}
	return c.pins[claim.Role]
}

const poolSize = 6

// addressesOf are those of the pool. The ranges of the two pools overlap in .3 to .6.
func addressesOf(pool vip.PoolRef) (addresses []string) {
	first := 1
	if pool.Name == "p1" {
		first = 3
	}
	for n := first; n < first+poolSize; n++ {
		addresses = append(addresses, fmt.Sprintf("10.0.0.%d", n))
	}
	return addresses
}

// pass is one pass of the allocator over the Cluster. It reports whether anything was written.
func (w *world) pass(c *citizen) (wrote bool) {
	w.t.Helper()
	s := w.snapshot(c)
	d := vip.Plan(s)
	for _, role := range vip.Roles() {
		outcome := d.Roles[role]
		if outcome == nil || !outcome.Ensure {
			continue
		}
		if c.claims[role] == nil {
			c.claims[role] = &vip.Claim{
				Name: role.ClaimName(c.view.Name), UID: fmt.Sprint(role, c.made[role]), Role: role, Pool: outcome.Pool,
				OwnerUIDs: []string{c.view.UID}, OwnerClusters: []string{c.view.UID},
			}
			c.made[role]++
			c.pins[role] = outcome.Pin
		}
		c.claims[role].Outdated, wrote = false, true
		w.note("%s: claim %s on %s", c.view.Name, role, outcome.Pool)
	}
	if len(d.Patch) > 0 {
		w.patch(c, s, &d)
		wrote = true
	}
	for _, role := range vip.Roles() {
		if outcome := d.Roles[role]; outcome != nil && outcome.Release != nil {
			refused := outcome.Want != nil && outcome.Want.Refused == outcome.Release.Pool
			if outcome.Release.Bound && !refused && s.Cluster.Annotations[role.EnabledAnnotation()] != "false" {
				w.fail("%s: the bound claim of role %s is released, and nobody asked for it", c.view.Name, role)
			}
			delete(c.claims, role)
			wrote = true
			w.note("%s: released %s", c.view.Name, role)
		}
	}
	return wrote
}

func (w *world) patch(c *citizen, s *vip.Snapshot, d *vip.Decision) {
	w.t.Helper()
	before := c.doc
	doc, err := before.apply(d.Patch)
	if err != nil {
		w.fail("%s: the patch does not apply: %v\n%s", c.view.Name, err, toLines(d.Patch))
	}
	c.doc = doc
	w.note("%s: patched %s", c.view.Name, difference(before, doc))
	if old, now := s.Cluster.Endpoint, doc.read(c.view).Endpoint; (old.Host != "" && old.Host != now.Host) || (old.Port != 0 && old.Port != now.Port) {
		w.fail("%s: the endpoint was %v and is %v", c.view.Name, old, now)
	}
	for role, outcome := range d.Roles {
		claim := c.claims[role]
		if !outcome.Published {
			continue
		}
		key, _ := vip.Key(claim.Address.Text)
		if holders := s.Holders[key]; len(holders) > 0 {
			w.fail("%s: publishes %s, which %s holds", c.view.Name, key, holders[0])
		}
		if stamp := doc.strings("annotations")[role.Stamp()]; stamp != claim.Address.Text {
			w.fail("%s: role %s is stamped %q, its claim holds %s", c.view.Name, role, stamp, claim.Address.Text)
		}
	}
}

// bind lets the provider of the claim's pool act: it looks at its own pool only.
func (w *world) bind(c *citizen, role vip.Role) {
	claim := c.claims[role]
	if claim == nil || claim.Bound {
		return
	}
	used := map[string]bool{}
	for _, other := range w.clusters {
		for _, taken := range other.claims {
			if key := other.addressOf(taken); key.IsValid() && taken.Pool == claim.Pool && taken != claim {
				used[key.Unmap().String()] = true
			}
		}
	}
	choices := addressesOf(claim.Pool)
	if pin := c.pins[role]; pin.IsValid() {
		choices = []string{pin.Unmap().String()}
	}
	for _, text := range choices {
		if !used[text] {
			bound := *claim
			bound.Bound, bound.Address = true, &vip.Address{Name: claim.Name, Text: text, Claim: claim.Name, Pool: claim.Pool}
			c.claims[role] = &bound
			w.note("%s: %s bound to %s", c.view.Name, role, text)
			return
		}
	}
}

// edit is one thing that somebody else does to a Cluster.
func (w *world) edit(c *citizen) {
	r, role := w.dice, pick(w.dice, vip.ControlPlane, vip.Ingress)
	what := r.next(12)
	w.note("%s: edit %d of role %s", c.view.Name, what, role)
	doc := c.doc.copy()
	spec, topology := doc.object("spec"), doc.object("spec", "topology")
	switch what {
	case 0: // GitOps takes away what the manifest does not name
		delete(spec, "controlPlaneEndpoint")
		delete(doc.object("metadata"), "labels")
	case 1:
		doc.object("metadata")["annotations"] = map[string]any{"example.com/git": "ops"}
	case 2:
		topology["variables"] = []any{map[string]any{"name": "other", "value": 2}}
	case 3:
		annotate(role.EnabledAnnotation(), pick(r, "false", "true"))(doc)
	case 4:
		setVariable(role.DefaultVariable(), "192.168.0.9")(doc)
	case 5:
		if doc.object("spec", "controlPlaneEndpoint") == nil {
			spec["controlPlaneEndpoint"] = endpoint("192.168.0.8", 443)
		}
	case 6: // the topology controller builds, the provider delivers
		spec["infrastructureRef"] = map[string]any{"kind": "DemoCluster", "name": c.view.Name}
		c.view.InfrastructureProvisioned = r.one(2)
	case 7:
		w.class = (&caseClass{State: pick(r, "notReady", "", ""), Variables: map[string]caseVariable{"clusterVip": {}, "ingressVip": {}}}).view()
	case 8:
		annotate(vip.BackfillAnnotation, pick(r, "true", "false"))(doc)
	case 9:
		w.pools[r.next(2)] = (&casePool{Name: pick(r, "p0", "p1"), Class: pick(r, "rke2", "other"), Role: bothRoles, Paused: r.one(4)}).view()
	case 10:
		spec["paused"] = r.one(2)
	case 11:
		if claim := c.claims[role]; claim != nil && r.one(4) {
			delete(c.claims, role) // deleted by hand
		}
	}
	c.doc = doc.copy()
}

func TestRandomHistoriesKeepTheInvariants(t *testing.T) {
	count := 200
	if testing.Short() {
		count = 40
	}
	eachSeed(t, count, func(t *testing.T, r *dice) {
		w := newWorld(t, r)
		for range 60 {
			c := w.clusters[r.next(len(w.clusters))]
			switch r.next(5) {
			case 0:
				w.edit(c)
			case 1, 2:
				w.bind(c, pick(r, vip.ControlPlane, vip.Ingress))
			default:
				w.pass(c)
			}
		}
		w.settle()
	})
}

// settle ends all faults. Then every pass must come to rest, and every Cluster that
// can have its VIPs has them.
func (w *world) settle() {
	w.t.Helper()
	w.note("settling")
	w.class = (*caseClass)(nil).view()
	w.pools = []vip.Pool{
		(&casePool{Name: "p0", Class: "rke2", Role: bothRoles}).view(),
		(&casePool{Name: "p1", Class: "rke2", Role: bothRoles}).view(),
	}
	for _, c := range w.clusters {
		c.doc = c.doc.copy()
		delete(c.doc.object("spec"), "paused")
	}
	for range 6 {
		for _, c := range w.clusters {
			w.pass(c)
			for _, role := range vip.Roles() {
				w.bind(c, role)
			}
		}
	}
	for _, c := range w.clusters {
		if w.pass(c) {
			w.fail("%s: there is no end of writes", c.view.Name)
		}
		s := w.snapshot(c)
		for role, outcome := range vip.Plan(s).Roles {
			// An address of both pools may be somebody else's, and a claim that was
			// deleted by hand leaves a VIP without one.
			if !outcome.Reason.Ready() && outcome.Reason != vip.AddressInUse && outcome.Reason != vip.ClaimLost {
				w.fail("%s: role %s ends as %s: %s", c.view.Name, role, outcome.Reason, outcome.Message)
			}
		}
	}
}
