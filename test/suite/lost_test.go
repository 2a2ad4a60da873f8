package suite

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A claim is deleted under a running Cluster: the Cluster keeps its VIP and gets the
// claim back with the same address, even from a pool that is full.
func TestClaimDeletedByHand(t *testing.T) {
	t.Parallel()
	for name, seconds := range map[string]int32{"at once": 0, "with a grace period": 5} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			if seconds > 0 {
				w.needsGrace()
			}
			k := w.gatedClass(bothRoles...)
			p := w.pool(serving(eitherRole, k), size(4), grace(seconds))
			c, other := w.cluster(k), w.cluster(k)
			vips := map[role]string{}
			for _, r := range bothRoles {
				vips[r] = c.served(r)
				other.served(r)
			}
			p.uses(4)
			old := map[role]types.UID{}
			for _, r := range bothRoles {
				old[r] = c.claim(r).UID
				w.remove(observe.Claims, w.namespace, r.claim(c.name), metav1.DeleteOptions{})
			}
			for _, r := range bothRoles {
				w.eventually("the claim is back", func() error {
					if now := c.claim(r); now == nil || now.UID == old[r] {
						return fmt.Errorf("it is not")
					}
					return c.owns(r, vips[r])
				})
				c.becomes(has(r, vips[r]))
			}
			p.uses(4)
			// What was taken back goes with the Cluster like any other claim.
			for _, gone := range []*cluster{c, other} {
				gone.condemned()
			}
			w.nothingLeaks()
		})
	}
}

// Somebody takes the address while the claim is gone. That is reported; no other
// address is taken, and the VIP stays. When the stranger is gone, the address is
// taken back.
func TestLostToAStranger(t *testing.T) {
	w := newWorld(t).judged()
	allocator := w.startAllocator()
	k := w.gatedClass(controlPlane)
	p := w.pool(serving(controlPlane, k), size(2))
	c := w.cluster(k)
	c.becomes(has(controlPlane, p.address(0)))
	allocator.Kill()
	c.loseClaim(controlPlane)
	w.gone(observe.Addresses, w.namespace, controlPlane.claim(c.name))
	p.uses(0)
	if got := p.take("stranger"); got != p.address(0) {
		t.Fatalf("the stranger got %s", got)
	}
	w.startAllocator()
	c.becomes(reason(controlPlane, "ClaimLost", p.address(0), "stranger"))
	w.barrier()
	if claims := c.claims(); len(claims) > 0 {
		t.Errorf("there are claims: %q", claims)
	}
	c.is(endpoint(p.address(0), 6443))
	p.giveBack("stranger")
	c.becomes(has(controlPlane, p.address(0)))
	w.eventually("the claim is bound to it", func() error { return c.owns(controlPlane, p.address(0)) })
}

// backup holds objects as a backup tool stores them.
type backup struct {
	resource schema.GroupVersionResource
	object   *unstructured.Unstructured
}

// save takes a backup of the world's objects.
func (w *world) save(resources ...schema.GroupVersionResource) []backup {
	w.t.Helper()
	var saved []backup
	for _, resource := range resources {
		for _, object := range list[unstructured.Unstructured](w, resource, w.namespace, "") {
			object.SetUID("")
			object.SetResourceVersion("")
			object.SetGeneration(0)
			object.SetCreationTimestamp(metav1.Time{})
			object.SetManagedFields(nil)
			delete(object.Object, "status")
			saved = append(saved, backup{resource, object})
		}
	}
	return saved
}

// A backup brings the Clusters back with new UIDs, and claims and addresses whose
// owners are gone. Every Cluster keeps the addresses that it had.
func TestRestore(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]schema.GroupVersionResource{
		"Clusters alone": {observe.Clusters},
		"Clusters first": {observe.Clusters, observe.Claims, observe.Addresses},
		"Clusters last":  {observe.Addresses, observe.Claims, observe.Clusters},
		"no addresses":   {observe.Claims, observe.Clusters},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			k := w.gatedClass(bothRoles...)
			p := w.pool(serving(eitherRole, k))
			w.cluster(k).condemned() // the lowest addresses are free again
			var crowd []*cluster
			vips := map[string]string{}
			for range 4 {
				crowd = append(crowd, w.cluster(k))
			}
			for _, c := range crowd {
				for _, r := range bothRoles {
					vips[r.claim(c.name)] = c.served(r)
				}
			}
			saved := w.save(order...)
			for _, c := range crowd {
				c.condemned()
			}
			w.nothingLeaks()
			p.uses(0)
			for _, b := range saved {
				_, err := w.in(b.resource, w.namespace).Create(t.Context(), b.object, metav1.CreateOptions{})
				// The allocator may be faster than a restore, which then leaves what is there.
				if err != nil && b.resource == observe.Clusters {
					t.Fatal(err)
				}
			}
			for _, c := range crowd {
				c.uid = c.now().UID
				for _, r := range bothRoles {
					vip := vips[r.claim(c.name)]
					c.becomes(has(r, vip))
					w.eventually("claim "+r.claim(c.name)+" is its own again", func() error { return c.owns(r, vip) })
				}
			}
			p.uses(2 * len(crowd))
		})
	}
}
