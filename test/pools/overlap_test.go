package pools

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Three pools whose ranges overlap, two allocators that both write, and Clusters
// that come and go: no address is ever the VIP of two. When the administrator then
// separates the pools as the refused Clusters are told to, every Cluster is served.
func TestOverlap(t *testing.T) {
	w := newSerialWorld(t)
	size := 40
	if *long {
		size = 200
	}
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	class := w.class(bothRoles...)
	// Each pool alone could serve everybody. They begin a sixth of what is needed apart
	// and the provider gives the lowest first, so they give the same addresses.
	names := []string{"a", "b", "c"}
	var all []*pool
	for i, name := range names {
		all = append(all, w.pool(draft{name: w.namespace + "-" + name, class: class, addresses: []string{
			fmt.Sprintf("%s-%s", w.ip(0, 10+i*size/3), w.ip(3, 250)),
		}}))
	}
	for range 2 {
		w.start()
	}
	crowd := map[string]int{}
	made := 0
	come := func() {
		made++
		pick := func() string { return all[random.IntN(len(all))].name }
		c := w.clusterNamed(class, fmt.Sprintf("c%d", made), prefix+"control-plane-pool", pick(), prefix+"ingress-pool", pick())
		crowd[c.name] = made
	}
	begin := time.Now()
	for range size {
		come()
	}
	// Half of them go and come back, while the others are still being served.
	for _, i := range random.Perm(size)[:size/2] {
		name := fmt.Sprintf("c%d", i+1)
		w.remove(observe.Clusters, w.namespace, name)
		delete(crowd, name)
		come()
	}
	var refused []*unstructured.Unstructured
	w.within(3*time.Minute, "every Cluster has its VIPs or knows who has them", func() error {
		time.Sleep(10 * interval) // reading a crowd costs more than waiting for it
		refused = nil
		settled := 0
		for _, object := range w.list(observe.Clusters, w.namespace) {
			if object.GetDeletionTimestamp() != nil {
				return fmt.Errorf("%s is being deleted", object.GetName())
			}
			done, waits := outcome(&object)
			if waits {
				refused = append(refused, &object)
			}
			if done || waits {
				settled++
			}
		}
		if settled != len(crowd) {
			return fmt.Errorf("%d of %d", settled, len(crowd))
		}
		return nil
	})
	t.Logf("%d Clusters after %s, %d of them refused, %d Leases", len(crowd), time.Since(begin).Round(time.Second), len(refused), len(w.leases()))
	w.separate(all, refused)
	w.within(3*time.Minute, "every Cluster has its VIPs", func() error {
		time.Sleep(10 * interval)
		for _, object := range w.list(observe.Clusters, w.namespace) {
			if done, _ := outcome(&object); !done {
				cp, _ := conditionOf(&object, controlPlane)
				in, message := conditionOf(&object, ingress)
				return fmt.Errorf("%s: %s, %s (%s)", object.GetName(), cp, in, message)
			}
		}
		return nil
	})
	for name := range crowd {
		w.remove(observe.Clusters, w.namespace, name)
	}
	w.nothingLeaks()
	t.Logf("all gone after %s", time.Since(begin).Round(time.Second))
}

// outcome tells whether both roles have their VIP, or whether all that do not know
// who uses the address that they were given.
func outcome(o *unstructured.Unstructured) (done, refused bool) {
	served, told := 0, 0
	for _, r := range bothRoles {
		switch reason, message := conditionOf(o, r); {
		case reason == "Allocated":
			served++
		case reason == "AddressInUse" && strings.Contains(message, "is used by"):
			told++
		}
	}
	return served == len(bothRoles), told > 0 && served+told == len(bothRoles)
}

// separate frees the refused Clusters of the addresses that they cannot use. The
// in-cluster provider lets no address be excluded as long as a claim has it, and gives
// a new claim the same one, so the pools serve nobody in between. Afterwards each pool
// has what it gave and a range that no other has.
func (w *world) separate(pools []*pool, refused []*unstructured.Unstructured) {
	w.t.Helper()
	for _, p := range pools {
		p.patch(`{"metadata":{"labels":{"` + prefix + `role":null}}}`)
	}
	for _, o := range refused {
		for _, r := range bothRoles {
			if reason, _ := conditionOf(o, r); reason != "Allocated" {
				w.remove(observe.Claims, w.namespace, r.claim(o.GetName()))
				w.gone(observe.Claims, w.namespace, r.claim(o.GetName()))
			}
		}
	}
	given := map[string][]string{}
	for _, address := range w.list(observe.Addresses, w.namespace) {
		name := textAt(&address, "spec", "poolRef", "name")
		given[name] = append(given[name], textAt(&address, "spec", "address"))
	}
	for i, p := range pools {
		p.holds(append(given[p.name], w.ip(10+i, 1)+"-"+w.ip(10+i, 250))...)
		p.patch(`{"metadata":{"labels":{"` + prefix + `role":"control-plane_ingress"}}}`)
	}
}
