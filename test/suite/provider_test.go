package suite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/provider"
)

// startForExample starts an allocator that knows the pools of package provider, and
// others that are not installed.
func (w *world) startForExample() {
	w.t.Helper()
	w.grantPoolKinds()
	w.startAllocator("--pool-kinds=" + provider.Pools.GroupResource().String() + ",ippools.not.installed.test")
}

// exampleWorld is a world whose allocator knows the provider, which runs.
func exampleWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t).judged()
	if err := w.example(); err != nil {
		t.Fatal(err)
	}
	w.startForExample()
	return w
}

// startExample installs and starts package provider, see environment.example.
func (e *environment) startExample() error {
	if err := e.management.Apply(e.context, provider.CRD); err != nil {
		return err
	}
	return provider.Start(e.context, e.management.Config())
}

// Pools of another provider's kind, in an API group of its own.
func TestExample(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	t.Parallel()
	t.Run("installed later", exampleInstalledLater) // first, so that it is not installed yet
	t.Run("reasons", exampleReasons)
	t.Run("moves", exampleMoves)
	t.Run("contested", exampleContested)
}

// A kind of pool is installed long after the allocator started: its pools serve, and
// the IPAddress is found although it is not named after the claim.
func exampleInstalledLater(t *testing.T) {
	w := newLonelyWorld(t).judged()
	w.startForExample()
	k := w.gatedClass(bothRoles...)
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "NoPool"), reason(ingress, "NoPool"))
	if err := w.example(); err != nil {
		t.Fatal(err)
	}
	subnet := newSubnet()
	both := []string{subnet + ".5", subnet + ".6"}
	w.pool(ofExample(), serving(eitherRole, k), ranges(both...))
	var vips []string
	for _, r := range bothRoles {
		vip := c.served(r)
		vips = append(vips, vip)
		if got := c.claim(r).Status.AddressRef.Name; got != exampleName(vip) {
			t.Errorf("the IPAddress is %s", got)
		}
	}
	if slices.Sort(vips); !slices.Equal(vips, both) {
		t.Errorf("VIPs are %v", vips)
	}
	c.condemned()
	w.nothingLeaks()
}

// exampleName is the name that the provider gives to an IPAddress.
func exampleName(address string) string { return "example-" + strings.ReplaceAll(address, ".", "-") }

// refused waits until the provider has no address for the control plane, not
// until the Cluster says so.
func (c *cluster) refused() {
	c.w.t.Helper()
	c.w.eventually("the provider refuses the claim of "+c.name, func() error {
		claim := c.claim(controlPlane)
		if claim == nil || !slices.ContainsFunc(claim.Status.Conditions, func(c metav1.Condition) bool { return c.Reason == "PoolExhausted" }) {
			return fmt.Errorf("it has not")
		}
		return nil
	})
}

// What the provider says about a claim is what the Cluster says.
func exampleReasons(t *testing.T) {
	w := exampleWorld(t)
	k := w.gatedClass(controlPlane)
	one, two := newIP(), newIP()
	p := w.pool(ofExample(), serving(controlPlane, k), ranges(one))
	first := w.cluster(k)
	first.becomes(has(controlPlane, one))
	// The pool says nothing about its capacity, so the claim has to try.
	second := w.cluster(k)
	second.becomes(reason(controlPlane, "PoolExhausted", p.name, "all addresses of the pool are in use"))
	// Another namespaced object has the name that the provider needs.
	blocker := &ipamv1.IPAddress{
		TypeMeta:   metav1.TypeMeta{APIVersion: ipamv1.GroupVersion.String(), Kind: "IPAddress"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: exampleName(two)},
		Spec: ipamv1.IPAddressSpec{
			Address: newIP(), Prefix: ptr.To[int32](24), ClaimRef: ipamv1.IPAddressClaimReference{Name: "nobody"},
			PoolRef: ipamv1.IPPoolReference{APIGroup: provider.Group, Kind: provider.Kind, Name: "other"},
		},
	}
	create(w, observe.Addresses, blocker)
	p.change(ranges(one, two))
	second.becomes(reason(controlPlane, "PoolNotReady", "AllocationFailed", blocker.Name))
	w.remove(observe.Addresses, w.namespace, blocker.Name, metav1.DeleteOptions{})
	second.becomes(has(controlPlane, two))
	// A released address goes to whoever waits.
	third := w.cluster(k)
	third.refused()
	first.condemned()
	third.becomes(has(controlPlane, one))
}

// A claim that the provider refuses moves to a pool of another kind; a refusal that
// may pass does not.
func exampleMoves(t *testing.T) {
	w := exampleWorld(t)
	k := w.gatedClass(controlPlane)
	ip := newIP()
	w.pool(ofExample(), serving(controlPlane, k), ranges(ip), annotated(poolPriority, "5"))
	w.cluster(k).becomes(has(controlPlane, ip))
	second := w.cluster(k)
	second.refused()
	since := w.mark()
	other := w.pool(serving(controlPlane, k))
	w.barrier()
	// A delete that its provider's own write overtakes is refused, and comes again.
	made := w.writes(since, audit.Event.Accepted, func(e audit.Event) bool {
		return e.Resource() == "ipaddressclaims" && e.Object.Name == controlPlane.claim(second.name)
	})
	if len(made) > 2 {
		t.Errorf("the move took %d writes of claims: %v", len(made), made)
	}
	second.becomes(has(controlPlane, other.address(0)))
	if ref := second.claim(controlPlane).Spec.PoolRef; ref != other.ref() {
		t.Errorf("the claim is on %v", ref)
	}
}

// Pools of both kinds give the same address. Nobody can read the ranges of the
// second kind, so a Lease decides, and the loser is told.
func exampleContested(t *testing.T) {
	w := exampleWorld(t)
	k := w.gatedClass(controlPlane)
	subnet := newSubnet()
	both := ranges(subnet+".5", subnet+".6")
	example := w.pool(ofExample(), serving(controlPlane, k), both)
	other := w.pool(serving(controlPlane, k), both)
	var crowd []*cluster
	for _, name := range []string{example.name, w.namespace + "/" + example.name, other.name, other.name} {
		crowd = append(crowd, w.cluster(k, annotated(controlPlane.poolFilter(), name)))
	}
	expect := func(n int) (winner int) {
		t.Helper()
		w.eventually(fmt.Sprintf("%d are served", n), func() error {
			served := 0
			for i, c := range crowd {
				switch now := c.now(); reasonOf(now, controlPlane) {
				case "Allocated":
					served, winner = served+1, i
				case "AddressInUse":
				default:
					return fmt.Errorf("%s: %s (%s)", c.name, reasonOf(now, controlPlane), conditionOf(now, controlPlane))
				}
			}
			if served != n {
				return fmt.Errorf("%d are served", served)
			}
			return nil
		})
		return winner
	}
	winner := expect(2)
	if got := w.leases(); len(got) != 2 {
		t.Errorf("Leases are %q", got)
	}
	// Each address that comes back goes to the one who was refused it.
	crowd[winner].condemned()
	crowd = slices.Delete(crowd, winner, winner+1)
	expect(2)
	for _, c := range crowd {
		c.condemned()
	}
	w.nothingLeaks()
}
