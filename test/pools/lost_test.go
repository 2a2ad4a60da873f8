package pools

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// ownClaim is a claim as the allocator makes it, for the control plane, except that
// its label may link it to another Cluster.
func (w *world) ownClaim(c *cluster, p *pool, linkedTo string) *unstructured.Unstructured {
	w.t.Helper()
	return w.create(observe.Claims, w.namespace, fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata:
  name: %s
  labels: {%s: %s, %srole: control-plane, %s: %s}
  ownerReferences: [{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, name: %s, uid: %s}]
spec: {poolRef: {apiGroup: %s, kind: %s, name: %s}}`,
		controlPlane.claim(c.name), clusterName, linkedTo, prefix, watchFilter, w.filter, c.name, c.uid, p.group, p.kind, p.name))
}

// A claim is deleted under a running Cluster: the Cluster keeps its VIP and gets the
// claim back with the same address, even from a pool that is full.
func TestClaimDeletedByHand(t *testing.T) {
	for name, grace := range map[string]int{"at once": 0, "with a grace period": 5} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			class := w.class(bothRoles...)
			pool := w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 13)}, grace: grace})
			c, other := w.cluster(class), w.cluster(class)
			vips := map[role]string{}
			for _, r := range bothRoles {
				vips[r] = c.served(r)
				other.served(r)
			}
			pool.uses(4)
			for _, r := range bothRoles {
				claim := c.claim(r).GetUID()
				w.remove(observe.Claims, w.namespace, r.claim(c.name))
				w.eventually("the claim is back", func() error {
					if now := c.claim(r); now == nil || now.GetUID() == claim {
						return fmt.Errorf("it is not")
					}
					if got := w.boundTo(r.claim(c.name)); got != vips[r] {
						return fmt.Errorf("it is bound to %q, not to %s", got, vips[r])
					}
					return nil
				})
				c.becomes(has(r, vips[r]))
			}
			pool.uses(4)
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
	w := newWorld(t)
	p := w.start()
	class := w.class(controlPlane)
	pool := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(0, 10), w.ip(0, 11)}})
	c := w.cluster(class)
	c.becomes(has(controlPlane, w.ip(0, 10)))
	p.Kill()
	w.remove(observe.Claims, w.namespace, controlPlane.claim(c.name))
	w.gone(observe.Addresses, w.namespace, controlPlane.claim(c.name))
	if got := pool.take("stranger"); got != w.ip(0, 10) {
		t.Fatalf("the stranger got %s", got)
	}
	p = w.start()
	c.becomes(reason(controlPlane, "ClaimLost", w.ip(0, 10), "stranger"))
	w.barrier()
	if claim := c.claim(controlPlane); claim != nil {
		t.Errorf("there is a claim, bound to %q", w.boundTo(claim.GetName()))
	}
	c.is(func(o *unstructured.Unstructured) error {
		if got := textAt(o, "spec", "controlPlaneEndpoint", "host"); got != w.ip(0, 10) {
			return fmt.Errorf("the endpoint is %q", got)
		}
		return nil
	})
	w.remove(observe.Claims, w.namespace, "stranger")
	c.becomes(has(controlPlane, w.ip(0, 10)))
	w.eventually("the claim is bound to it", func() error {
		if got := w.boundTo(controlPlane.claim(c.name)); got != w.ip(0, 10) {
			return fmt.Errorf("it is bound to %q", got)
		}
		return nil
	})
	p.Kill()
}

// backup holds objects as a backup tool stores them.
type backup struct {
	resource schema.GroupVersionResource
	object   *unstructured.Unstructured
}

// save takes a backup of the world's Clusters, claims and addresses.
func (w *world) save(resources ...schema.GroupVersionResource) []backup {
	w.t.Helper()
	var saved []backup
	for _, resource := range resources {
		for _, object := range w.list(resource, w.namespace) {
			object.SetUID("")
			object.SetResourceVersion("")
			object.SetGeneration(0)
			object.SetCreationTimestamp(metav1.Time{})
			object.SetManagedFields(nil)
			delete(object.Object, "status")
			saved = append(saved, backup{resource, &object})
		}
	}
	return saved
}

// A backup brings the Clusters back with new UIDs, and claims and addresses whose
// owners are gone. Every Cluster keeps the addresses that it had.
func TestRestore(t *testing.T) {
	for name, order := range map[string][]schema.GroupVersionResource{
		"Clusters alone": {observe.Clusters},
		"Clusters first": {observe.Clusters, observe.Claims, observe.Addresses},
		"Clusters last":  {observe.Addresses, observe.Claims, observe.Clusters},
		"no addresses":   {observe.Claims, observe.Clusters},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			class := w.class(bothRoles...)
			pool := w.pool(draft{class: class, addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 40)}})
			w.cluster(class).condemned() // the lowest addresses are free again
			var crowd []*cluster
			vips := map[string]string{}
			for range 4 {
				crowd = append(crowd, w.cluster(class))
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
			pool.uses(0)
			for _, b := range saved {
				_, err := w.in(b.resource, w.namespace).Create(t.Context(), b.object, metav1.CreateOptions{})
				// The allocator may be faster than a restore, which then leaves what is there.
				if err != nil && b.resource == observe.Clusters {
					t.Fatal(err)
				}
			}
			for _, c := range crowd {
				c.uid = c.now().GetUID()
				for _, r := range bothRoles {
					c.becomes(has(r, vips[r.claim(c.name)]))
					w.eventually("claim "+r.claim(c.name)+" is its own again", func() error { return c.owns(r, vips[r.claim(c.name)]) })
				}
			}
			pool.uses(int64(2 * len(crowd)))
		})
	}
}

// owns tells whether the role's claim is the Cluster's own and bound to the address.
func (c *cluster) owns(r role, address string) error {
	c.w.t.Helper()
	claim := c.claim(r)
	if claim == nil || claim.GetDeletionTimestamp() != nil {
		return fmt.Errorf("there is no live claim")
	}
	owned := false
	for _, owner := range claim.GetOwnerReferences() {
		owned = owned || owner.UID == c.uid
	}
	if got := c.w.boundTo(claim.GetName()); !owned || got != address {
		return fmt.Errorf("owned: %t, bound to %q, want %s", owned, got, address)
	}
	return nil
}
