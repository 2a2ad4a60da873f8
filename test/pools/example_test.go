package pools

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/provider"
)

const exampleFlag = "--pool-kinds=examplepools.ipam.example.test,ippools.not.installed.test"

// exampleWorld is a world whose allocator knows the second provider, which runs.
func exampleWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if err := w.example(); err != nil {
		t.Fatal(err)
	}
	w.start(exampleFlag)
	return w
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
	w := newSerialWorld(t)
	w.start(exampleFlag)
	class := w.class(bothRoles...)
	c := w.cluster(class)
	c.becomes(reason(controlPlane, "NoPool"), reason(ingress, "NoPool"))
	if err := w.example(); err != nil {
		t.Fatal(err)
	}
	w.pool(draft{kind: provider.Kind, class: class, addresses: []string{w.ip(0, 5), w.ip(0, 6)}})
	seen := map[string]bool{}
	for _, r := range bothRoles {
		vip := c.served(r)
		seen[vip] = true
		if got := textAt(c.claim(r), "status", "addressRef", "name"); got != "example-"+strings.ReplaceAll(vip, ".", "-") {
			t.Errorf("the IPAddress is %s", got)
		}
	}
	if !seen[w.ip(0, 5)] || !seen[w.ip(0, 6)] {
		t.Errorf("VIPs are %v", seen)
	}
	c.condemned()
	w.nothingLeaks()
}

// What the provider says about a claim is what the Cluster says.
func exampleReasons(t *testing.T) {
	w := exampleWorld(t)
	class := w.class(controlPlane)
	pool := w.pool(draft{kind: provider.Kind, class: class, roles: "control-plane", addresses: []string{w.ip(0, 5)}})
	first, second := w.cluster(class), (*cluster)(nil)
	first.becomes(has(controlPlane, w.ip(0, 5)))
	// The pool says nothing about its capacity, so the claim has to try.
	second = w.cluster(class)
	second.becomes(reason(controlPlane, "PoolExhausted", pool.name, "all addresses of the pool are in use"))
	// Another namespaced object has the name that the provider needs.
	blocker := "example-" + strings.ReplaceAll(w.ip(0, 6), ".", "-")
	w.create(observe.Addresses, w.namespace, fmt.Sprintf(
		`{apiVersion: ipam.cluster.x-k8s.io/v1beta2, kind: IPAddress, metadata: {name: %s}, spec: {address: %s, prefix: 24,
		claimRef: {name: nobody}, poolRef: {apiGroup: %s, kind: %s, name: other}}}`, blocker, w.ip(0, 7), provider.Group, provider.Kind))
	pool.holds(w.ip(0, 5), w.ip(0, 6))
	second.becomes(reason(controlPlane, "PoolNotReady", "AllocationFailed", blocker))
	w.remove(observe.Addresses, w.namespace, blocker)
	second.becomes(has(controlPlane, w.ip(0, 6)))
	// A released address goes to whoever waits.
	third := w.cluster(class)
	third.becomes(reason(controlPlane, "PoolExhausted"))
	first.condemned()
	third.becomes(has(controlPlane, w.ip(0, 5)))
}

// A claim that the provider refuses moves to a pool of another kind; a refusal that
// may pass does not.
func exampleMoves(t *testing.T) {
	w := exampleWorld(t)
	class := w.class(controlPlane)
	example := w.pool(draft{kind: provider.Kind, class: class, roles: "control-plane", addresses: []string{w.ip(0, 5)}, notes: map[string]string{prefix + "priority": "5"}})
	w.cluster(class).becomes(has(controlPlane, w.ip(0, 5)))
	second := w.cluster(class)
	second.becomes(reason(controlPlane, "PoolExhausted", example.name))
	since := w.mark()
	other := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(1, 5)}})
	w.barrier()
	if made := len(w.writes(since, claimsOf(second))); made > 2 {
		t.Errorf("the move took %d writes of claims", made)
	}
	second.becomes(has(controlPlane, w.ip(1, 5)))
	if second.on(controlPlane) != other.name {
		t.Errorf("the claim is on %s", second.on(controlPlane))
	}
}

// claimsOf keeps what was written about the claims of a Cluster.
func claimsOf(c *cluster) func(audit.Event) bool {
	return func(e audit.Event) bool {
		return e.Resource() == "ipaddressclaims" && e.Object.Name == controlPlane.claim(c.name)
	}
}

// Pools of both kinds give the same address. Nobody can read the ranges of the
// second kind, so a Lease decides, and the loser is told.
func exampleContested(t *testing.T) {
	w := exampleWorld(t)
	class := w.class(controlPlane)
	both := []string{w.ip(0, 5), w.ip(0, 6)}
	example := w.pool(draft{kind: provider.Kind, class: class, roles: "control-plane", addresses: both})
	other := w.pool(draft{class: class, roles: "control-plane", addresses: both})
	filter := prefix + "control-plane-pool"
	var all []*cluster
	for i := range 4 {
		all = append(all, w.cluster(class, filter, []string{example.name, w.namespace + "/" + example.name, other.name, other.name}[i]))
	}
	served := func() (names []string, err error) {
		for _, c := range all {
			switch reason, message := conditionOf(c.now(), controlPlane); reason {
			case "Allocated":
				names = append(names, c.name)
			case "AddressInUse":
			default:
				err = fmt.Errorf("%s: %s (%s)", c.name, reason, message)
			}
		}
		return names, err
	}
	expect := func(n int) (names []string) {
		w.eventually(fmt.Sprintf("%d are served", n), func() (err error) {
			if names, err = served(); err == nil && len(names) != n {
				err = fmt.Errorf("%q are served", names)
			}
			return err
		})
		return names
	}
	winners := expect(2)
	if got := w.leases(); len(got) != 2 {
		t.Errorf("Leases are %q", got)
	}
	// Each address that comes back goes to the one who was refused it.
	for i, c := range all {
		if winners[0] == c.name {
			c.condemned()
			all = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	expect(2)
	for _, c := range all {
		c.condemned()
	}
	w.nothingLeaks()
}
