package suite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// wide is an address of a range for the crowds of TestOverlap, which have no room in
// the pools of the other tests.
func wide(third, fourth int) string { return fmt.Sprintf("10.99.%d.%d", third, fourth) }

// Three pools whose ranges overlap, two allocators that both write, and Clusters
// that come and go: no address is ever the VIP of two. When the administrator then
// separates the pools as the refused Clusters are told to, every Cluster is served.
// It runs alone, like every crowd.
func TestOverlap(t *testing.T) {
	w := newLonelyWorld(t).judged()
	count := 30
	if *long {
		count = 200
	}
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	k := w.gatedClass(bothRoles...)
	// Each pool alone could serve everybody. They begin a sixth of what is needed apart
	// and the provider gives the lowest first, so they give the same addresses.
	var pools []*pool
	for i := range 3 {
		pools = append(pools, w.pool(serving(eitherRole, k), network(16, wide(0, 10+i*count/3)+"-"+wide(3, 250))))
	}
	for range 2 {
		w.startAllocator()
	}
	var crowd []*cluster
	come := func() {
		pick := func() string { return pools[random.IntN(len(pools))].name }
		crowd = append(crowd, w.cluster(k, annotated(controlPlane.poolFilter(), pick()), annotated(ingress.poolFilter(), pick())))
	}
	begin := time.Now()
	for range count {
		come()
	}
	// Half of them go and others come, while the rest is still being served.
	for _, i := range random.Perm(count)[:count/2] {
		crowd[i].remove()
		come()
	}
	var refused []*clusterv1.Cluster
	w.poll("every Cluster has its VIPs or knows who has them", func(all []*clusterv1.Cluster) error {
		refused = nil
		settled := 0
		for _, c := range all {
			done, waits := outcome(c)
			if waits {
				refused = append(refused, c)
			}
			if done || waits {
				settled++
			}
		}
		if len(all) != count || settled != count {
			return fmt.Errorf("%d of %d", settled, len(all))
		}
		return nil
	})
	t.Logf("%d Clusters after %s, %d of them refused, %d Leases", count, time.Since(begin).Round(time.Second), len(refused), len(w.leases()))
	w.separate(pools, refused)
	w.poll("every Cluster has its VIPs", func(all []*clusterv1.Cluster) error {
		for _, c := range all {
			if done, _ := outcome(c); !done {
				return fmt.Errorf("%s: %s, %s (%s)", c.Name, reasonOf(c, controlPlane), reasonOf(c, ingress), conditionOf(c, ingress))
			}
		}
		return nil
	})
	for _, c := range crowd {
		c.remove()
	}
	w.nothingLeaks()
	t.Logf("all gone after %s", time.Since(begin).Round(time.Second))
}

// poll waits until the world's Clusters are as the test says. Reading a crowd costs
// more than waiting for it, so it is read seldom.
func (w *world) poll(what string, check func([]*clusterv1.Cluster) error) {
	w.t.Helper()
	w.within(3*time.Minute, what, func() error {
		err := check(list[clusterv1.Cluster](w, observe.Clusters, w.namespace, ""))
		if err != nil {
			time.Sleep(time.Second / 2)
		}
		return err
	})
}

// outcome tells whether both roles have their VIP, or whether all that do not know
// who uses the address that they were given.
func outcome(c *clusterv1.Cluster) (done, refused bool) {
	served, told := 0, 0
	for _, r := range bothRoles {
		switch reason := reasonOf(c, r); {
		case reason == "Allocated":
			served++
		case reason == "AddressInUse" && strings.Contains(conditionOf(c, r), "is used by"):
			told++
		}
	}
	return served == len(bothRoles), told > 0 && served+told == len(bothRoles)
}

// separate frees the refused Clusters of the addresses that they cannot use. The
// in-cluster provider lets no address be excluded as long as a claim has it, and gives
// a new claim the same one, so the pools serve nobody in between. Afterwards each pool
// has what it gave and a range that no other has.
func (w *world) separate(pools []*pool, refused []*clusterv1.Cluster) {
	w.t.Helper()
	for _, p := range pools {
		p.change(without(poolRole))
	}
	for _, c := range refused {
		for _, r := range bothRoles {
			if reasonOf(c, r) != "Allocated" {
				w.remove(observe.Claims, w.namespace, r.claim(c.Name), metav1.DeleteOptions{})
				w.gone(observe.Claims, w.namespace, r.claim(c.Name))
			}
		}
	}
	given := map[string][]string{}
	for _, address := range list[ipamv1.IPAddress](w, observe.Addresses, w.namespace, "") {
		given[address.Spec.PoolRef.Name] = append(given[address.Spec.PoolRef.Name], address.Spec.Address)
	}
	for i, p := range pools {
		own := wide(10+i, 1) + "-" + wide(10+i, 250)
		p.change(ranges(append(slices.Clone(given[p.name]), own)...), labelled(poolRole, string(eitherRole)))
	}
}
