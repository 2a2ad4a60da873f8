package suite

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A Cluster is deleted and made anew under its name while its claims drain: the new
// one waits for them and gets claims of its own.
func TestSameNameAgain(t *testing.T) {
	t.Parallel()
	for name, seconds := range map[string]int32{"at once": 0, "with a grace period": 8} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			if seconds > 0 {
				w.needsGrace()
			}
			k := w.gatedClass(bothRoles...)
			p := w.pool(serving(eitherRole, k), size(4), grace(seconds))
			c := w.cluster(k)
			for range 3 {
				old := map[role]types.UID{}
				for _, r := range bothRoles {
					c.served(r)
					old[r] = c.claim(r).UID
				}
				c.condemned()
				c = w.cluster(k, named(c.name))
				if seconds > 0 {
					c.becomes(reason(controlPlane, "ClaimTerminating", "next try at"), reason(ingress, "ClaimTerminating", "next try at"))
				}
				for _, r := range bothRoles {
					vip := c.served(r)
					claim := c.claim(r)
					if err := c.owns(r, vip); err != nil || claim.UID == old[r] || len(claim.OwnerReferences) != 1 {
						t.Errorf("claim %s of %+v: %v", claim.Name, claim.OwnerReferences, err)
					}
				}
				if seconds > 0 {
					break // once is slow enough
				}
			}
			p.uses(2)
			c.condemned()
			w.nothingLeaks()
		})
	}
}

// However a Cluster is deleted, its addresses come back, and nobody gets one while
// the Cluster exists.
func TestDeletion(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(w *world, c *cluster){
		"background": func(_ *world, c *cluster) { c.condemned(metav1.DeletePropagationBackground) },
		"foreground": func(_ *world, c *cluster) { c.condemned(metav1.DeletePropagationForeground) },
		"namespace": func(w *world, c *cluster) {
			w.remove(namespaces, "", w.namespace, metav1.DeleteOptions{})
			w.gone(observe.Clusters, w.namespace, c.name)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			k := w.gatedClass(bothRoles...)
			// Two pools of one range, so that there are Leases too.
			one := w.pool(serving(eitherRole, k), size(2))
			two := w.pool(serving(eitherRole, k), ranges(one.address(0)+"-"+one.address(1)))
			c := w.cluster(k)
			for _, r := range bothRoles {
				c.served(r)
			}
			if held := w.leases(); len(held) != 2 {
				t.Errorf("Leases are %q", held)
			}
			if name == "foreground" {
				c = c.inherited(k)
			}
			remove(w, c)
			w.nothingLeaks()
			for _, p := range []*pool{one, two} {
				p.uses(0)
			}
		})
	}
}

// inherited deletes a Cluster in the foreground: its claims go at once, while its
// machines still answer. Until the Cluster is gone its heir, which is returned, does
// not get the addresses.
func (c *cluster) inherited(k *class) (heir *cluster) {
	c.w.t.Helper()
	c.rests() // events of its own may be on their way
	finalizers := func(names ...string) metadata { return func(o metav1.Object) { o.SetFinalizers(names) } }
	c.change(finalizers("example.com/kept", "cluster.cluster.x-k8s.io"))
	foreground := metav1.DeletePropagationForeground
	c.w.remove(observe.Clusters, c.namespace, c.name, metav1.DeleteOptions{PropagationPolicy: &foreground})
	for _, r := range bothRoles {
		c.w.gone(observe.Claims, c.namespace, r.claim(c.name))
	}
	since := c.w.mark()
	heir = c.w.cluster(k)
	heir.becomes(reason(controlPlane, "AddressInUse", c.name), reason(ingress, "AddressInUse", c.name), noEndpoint())
	heir.rests()
	for _, e := range c.w.writes(since, about(c)) {
		c.w.t.Errorf("unexpected write about the deleted Cluster: %s", describe(e))
	}
	if claims := c.claims(); len(claims) > 0 {
		c.w.t.Errorf("the deleted Cluster has claims: %q", claims)
	}
	c.change(finalizers())
	c.w.gone(observe.Clusters, c.namespace, c.name)
	for _, r := range bothRoles {
		heir.served(r)
	}
	return heir
}

// What `clusterctl move` does to the objects, within one management cluster: the
// Cluster is paused, everything is made anew with new UIDs, without status and in
// the order of ownership, and the Cluster is resumed.
func TestMove(t *testing.T) {
	w := newWorld(t).judged()
	k := w.gatedClass(bothRoles...)
	p := w.pool(serving(eitherRole, k))
	w.cluster(k).condemned() // so that the lowest addresses are free again
	neighbour, c := w.cluster(k), w.cluster(k)
	vips := map[role]string{}
	for _, r := range bothRoles {
		neighbour.served(r)
		vips[r] = c.served(r)
	}
	neighbour.condemned()
	p.uses(2)
	c.change(paused(true))
	w.barrier()
	since := w.mark()
	saved := slices.DeleteFunc(w.save(observe.Clusters, observe.Claims, observe.Addresses), func(b backup) bool { return !c.has(b.object) })
	// Children first: nothing is left for the garbage collector, as on a move.
	for _, b := range slices.Backward(saved) {
		name := b.object.GetName()
		steps := []func(){
			func() { w.merge(b.resource, w.namespace, name, `{"metadata":{"finalizers":null}}`) },
			func() { w.remove(b.resource, w.namespace, name, metav1.DeleteOptions{}) },
		}
		if b.resource == observe.Clusters {
			// Cluster API puts its finalizer back on a Cluster that is not being deleted.
			slices.Reverse(steps)
		}
		for _, step := range steps {
			step()
		}
		w.gone(b.resource, w.namespace, name)
	}
	uids := map[string]types.UID{}
	for _, b := range saved {
		owners := b.object.GetOwnerReferences()
		for i := range owners {
			if uid, moved := uids[owners[i].Kind+owners[i].Name]; moved {
				owners[i].UID = uid
			}
		}
		b.object.SetOwnerReferences(owners)
		made := create(w, b.resource, b.object)
		uids[made.GetKind()+made.GetName()] = made.GetUID()
	}
	c.untouched(since)
	c.change(paused(false))
	c.uid = c.now().UID
	for _, r := range bothRoles {
		w.eventually("claim "+r.claim(c.name)+" is bound again", func() error { return c.owns(r, vips[r]) })
		c.becomes(has(r, vips[r]))
	}
	p.uses(2)
}

// has tells whether the object is the Cluster or goes with it on a move.
func (c *cluster) has(object *unstructured.Unstructured) bool {
	return object.GetName() == c.name || object.GetLabels()[clusterNameLabel] == c.name
}
