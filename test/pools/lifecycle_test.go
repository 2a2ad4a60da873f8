package pools

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A Cluster is deleted and made anew under its name while its claims drain: the new
// one waits for them and gets claims of its own.
func TestSameNameAgain(t *testing.T) {
	for name, grace := range map[string]int{"at once": 0, "with a grace period": 8} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			class := w.class(bothRoles...)
			pool := w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 13)}, grace: grace})
			c := w.cluster(class)
			for range 3 {
				old := map[role]types.UID{}
				for _, r := range bothRoles {
					c.served(r)
					old[r] = c.claim(r).GetUID()
				}
				c.condemned()
				c = w.clusterNamed(class, c.name)
				if grace > 0 {
					c.becomes(reason(controlPlane, "ClaimTerminating", "until"), reason(ingress, "ClaimTerminating", "until"))
				}
				for _, r := range bothRoles {
					vip := c.served(r)
					if err := c.owns(r, vip); err != nil || c.claim(r).GetUID() == old[r] {
						t.Errorf("claim %s: %v", r.claim(c.name), err)
					}
				}
				if grace > 0 {
					break // once is slow enough
				}
			}
			pool.uses(2)
			c.condemned()
			w.nothingLeaks()
		})
	}
}

// However a Cluster is deleted, its addresses come back, and nobody gets one while
// the Cluster exists.
func TestDeletion(t *testing.T) {
	for name, remove := range map[string]func(w *world, c *cluster){
		"background": func(_ *world, c *cluster) { c.condemned(metav1.DeletePropagationBackground) },
		"foreground": func(_ *world, c *cluster) { c.condemned(metav1.DeletePropagationForeground) },
		"namespace": func(w *world, c *cluster) {
			w.remove(namespaces, "", w.namespace)
			w.gone(observe.Clusters, w.namespace, c.name)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			class := w.class(bothRoles...)
			// Two pools of one range, so that there are Leases too.
			var all []*pool
			for range 2 {
				all = append(all, w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 11)}}))
			}
			c := w.cluster(class)
			for _, r := range bothRoles {
				c.served(r)
			}
			if held := w.leases(); len(held) != 2 {
				t.Errorf("Leases are %q", held)
			}
			if name == "foreground" {
				// The claims go at once; the Cluster is kept for a while, and a waiter wants its address.
				c.patch(`{"metadata":{"finalizers":["example.com/kept","cluster.cluster.x-k8s.io"]}}`)
				w.remove(observe.Clusters, w.namespace, c.name, metav1.DeletePropagationForeground)
				for _, r := range bothRoles {
					w.gone(observe.Claims, w.namespace, r.claim(c.name))
				}
				heir := w.cluster(class)
				heir.becomes(reason(controlPlane, "AddressInUse", c.name), reason(ingress, "AddressInUse", c.name))
				w.barrier()
				c.patch(`{"metadata":{"finalizers":null}}`)
				w.gone(observe.Clusters, w.namespace, c.name)
				for _, r := range bothRoles {
					heir.served(r)
				}
				c = heir
			}
			remove(w, c)
			if name != "namespace" {
				for _, other := range w.list(observe.Clusters, w.namespace) {
					w.remove(observe.Clusters, w.namespace, other.GetName())
				}
			}
			w.nothingLeaks()
			for _, p := range all {
				p.uses(0)
			}
		})
	}
}

// What `clusterctl move` does to the objects, within one management cluster: the
// Cluster is paused, everything is made anew with new UIDs, without status and in
// the order of ownership, and the Cluster is resumed.
func TestMove(t *testing.T) {
	w := newWorld(t)
	w.start()
	class := w.class(bothRoles...)
	pool := w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 20)}})
	w.cluster(class).condemned() // so that the lowest addresses are free again
	neighbour, c := w.cluster(class), w.cluster(class)
	vips := map[role]string{}
	for _, r := range bothRoles {
		neighbour.served(r)
		vips[r] = c.served(r)
	}
	neighbour.condemned()
	pool.uses(2)
	c.patch(pauseCluster)
	w.barrier()
	since := w.mark()
	saved := w.save(observe.Clusters, observe.Claims, observe.Addresses)
	// Children first: nothing is left for the garbage collector, as on a move.
	for i := len(saved) - 1; i >= 0; i-- {
		b := saved[i]
		if !concerns(c, b.object) {
			continue
		}
		steps := []func(){
			func() { w.patch(b.resource, w.namespace, b.object.GetName(), `{"metadata":{"finalizers":null}}`) },
			func() { w.remove(b.resource, w.namespace, b.object.GetName()) },
		}
		if b.resource == observe.Clusters {
			// Cluster API puts its finalizer back on a Cluster that is not being deleted.
			slices.Reverse(steps)
		}
		for _, step := range steps {
			step()
		}
		w.gone(b.resource, w.namespace, b.object.GetName())
	}
	uids := map[string]types.UID{}
	for _, b := range saved {
		if !concerns(c, b.object) {
			continue
		}
		owners := b.object.GetOwnerReferences()
		for i := range owners {
			if uid, moved := uids[owners[i].Kind+owners[i].Name]; moved {
				owners[i].UID = uid
			}
		}
		b.object.SetOwnerReferences(owners)
		made := w.createObject(b.resource, w.namespace, b.object)
		uids[made.GetKind()+made.GetName()] = made.GetUID()
	}
	w.barrier()
	w.noWrites(c, since)
	c.patch(resumeCluster)
	c.uid = c.now().GetUID()
	for _, r := range bothRoles {
		w.eventually("claim "+r.claim(c.name)+" is bound again", func() error { return c.owns(r, vips[r]) })
		c.becomes(has(r, vips[r]))
	}
	pool.uses(2)
}

func concerns(c *cluster, object *unstructured.Unstructured) bool {
	return object.GetName() == c.name || object.GetLabels()[clusterName] == c.name
}

// Addresses of the other family, of both, and of both in one Cluster.
func TestFamilies(t *testing.T) {
	type spec struct {
		addresses, first string // NN stands for the number of the world
		prefix           int
	}
	v4, v6 := spec{"10.NN.0.10-10.NN.0.19", "10.NN.0.10", 24}, spec{"fd00:NN::10-fd00:NN::1f", "fd00:NN::10", 64}
	cidr := spec{"fd00:NN::20/124", "fd00:NN::21", 124} // the first of a network is kept back
	for name, specs := range map[string]map[role]spec{
		"IPv6":          {controlPlane: v6, ingress: cidr},
		"IPv4 and IPv6": {controlPlane: v4, ingress: v6},
		"IPv6 and IPv4": {controlPlane: v6, ingress: v4},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			class := w.class(bothRoles...)
			fill := func(text string) string { return strings.ReplaceAll(text, "NN", fmt.Sprint(w.number)) }
			for r, s := range specs {
				w.pool(draft{class: class, roles: string(r), addresses: []string{fill(s.addresses)}, prefix: s.prefix})
			}
			c := w.cluster(class)
			for r, s := range specs {
				got := c.served(r)
				if want := fill(s.first); got != want {
					t.Errorf("VIP of %s is %s, want %s", r, got, want)
				}
				label, labelled := c.now().GetLabels()[r.stamp()]
				if isV6 := got[:2] == "fd"; labelled == isV6 || (labelled && label != got) {
					t.Errorf("label of %s is %q", r, label)
				}
				w.remove(observe.Claims, w.namespace, r.claim(c.name))
				w.eventually("the claim is taken back", func() error { return c.owns(r, got) })
			}
		})
	}
}

// One IPv6 address in two pools, written in two ways: a Lease decides.
func TestContestedIPv6(t *testing.T) {
	w := newWorld(t)
	w.start()
	class := w.class(controlPlane)
	short, full := fmt.Sprintf("fd00:%x::5", w.number), fmt.Sprintf("FD00:%X:0:0:0:0:0:5", w.number)
	filter := prefix + "control-plane-pool"
	one := w.pool(draft{class: class, roles: "control-plane", addresses: []string{short}, prefix: 64})
	two := w.pool(draft{class: class, roles: "control-plane", addresses: []string{full}, prefix: 64})
	a := w.cluster(class, filter, one.name)
	a.becomes(has(controlPlane, short))
	b := w.cluster(class, filter, two.name)
	b.becomes(reason(controlPlane, "AddressInUse", a.name))
	a.condemned()
	b.becomes(has(controlPlane, short))
	b.condemned()
	w.nothingLeaks()
}
