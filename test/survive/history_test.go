package survive

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// history is a random history under way.
type history struct {
	*world
	process *allocator.Process
	members []*member
	rules   []*fault.Armed
	storms  []*fault.Armed // rules for many requests
	thaws   []func()
	// strangers are how many claims strangers made.
	strangers int
	// obeyed are the claims that were deleted because a condition says so.
	obeyed map[types.UID]bool
}

// member is a Cluster as its users want it.
type member struct {
	name   string
	exists bool
	manifest
}

// manifest is what tells Clusters of a history apart.
type manifest struct {
	ingressOff, built, manual bool
}

func newHistory(t *testing.T, graceSeconds int) *history {
	w := newWorld(t, "")
	w.class(onDemand)
	w.pool("a", 10, 15, graceSeconds)
	w.pool("b", 30, 60, 0)
	return &history{world: w, process: w.start(), obeyed: map[types.UID]bool{}}
}

// wholePools are the addresses of the pools as they should be.
var wholePools = map[string]string{"a": "10-%[1]s.15", "b": "30-%[1]s.60"}

func (h *history) wholePool(name string) string {
	return h.subnet + "." + fmt.Sprintf(wholePools[name], h.subnet)
}

// play plays some steps of a history.
func play(t *testing.T, seed uint64, steps []step, want portraits) {
	h := newHistory(t, int(seed%2))
	for i := range 4 {
		h.members = append(h.members, &member{name: fmt.Sprintf("v%03d", i)})
	}
	for _, s := range steps {
		random := rand.New(rand.NewPCG(s.seed, 1))
		h.revive()
		e := events[draw(random)]
		t.Logf("%s step %d: %s", time.Now().Format("15:04:05.000"), s.number, e.name)
		e.do(h, random)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) // part of the history
	}
	h.heal()
	h.ends(want)
	h.process = h.anew(h.process, len(h.present()))
	h.leavesNothing()
}

// revive starts the allocator again if it was killed.
func (h *history) revive() {
	h.t.Helper()
	select {
	case <-h.process.Done():
		h.process = h.startSomehow()
	default:
	}
}

// startSomehow starts an allocator as a kubelet does: one that ends is started again.
// A frozen watch would keep it from ever being ready, and one lost request of its
// hundred first ones ends it.
func (h *history) startSomehow() *allocator.Process {
	h.t.Helper()
	h.thaw()
	const attempts = 5
	for n := 1; ; n++ {
		p, err := h.tryStart(h.kubeconfig)
		if err == nil {
			return p
		}
		if n == attempts {
			h.t.Fatal(err)
		}
	}
}

// thaw ends the faults that last.
func (h *history) thaw() {
	for _, thaw := range h.thaws {
		thaw()
	}
	for _, storm := range h.storms {
		storm.Remove()
	}
}

// heal ends all faults. The users say once more what they want.
func (h *history) heal() {
	h.t.Helper()
	for _, rule := range h.rules {
		rule.Remove()
	}
	h.thaw()
	h.revive()
	for name := range wholePools {
		if err := h.shape(name, poolServes, h.wholePool(name)); err != nil {
			h.t.Fatal(err)
		}
	}
	for n := range h.strangers {
		h.delete(observe.Claims, stranger(n))
	}
	for _, m := range h.members {
		h.user(m, unpause)
		if !m.exists {
			h.gone(observe.Clusters, m.name)
			continue
		}
		h.eventually("Cluster "+m.name+" exists", func() error {
			cluster, err := h.get(observe.Clusters, m.name)
			switch {
			case err != nil:
				return err
			case cluster == nil:
				return h.make(m)
			case cluster.GetDeletionTimestamp() != nil:
				return fmt.Errorf("it is being deleted")
			}
			return nil
		})
	}
}

// ends waits until every Cluster is what it should be.
func (h *history) ends(want portraits) {
	h.t.Helper()
	for _, m := range h.members {
		if m.exists {
			h.eventually("Cluster "+m.name+" is as if nothing had happened", func() error {
				h.revive() // a kill may have been under way
				h.obey(m)
				return h.becomes(m.name, want[m.manifest], false)
			})
		} else {
			h.eventually("nothing is left of Cluster "+m.name, func() error { return h.nothingLeft(m.name) })
		}
	}
}

// obey does what a condition tells the user to do: a claim deleted by hand may leave
// its address to another Cluster, which then cannot have it, and says so.
func (h *history) obey(m *member) {
	h.t.Helper()
	cluster, err := h.get(observe.Clusters, m.name)
	if err != nil || cluster == nil {
		return
	}
	for role, kind := range map[string]string{observe.ControlPlane: observe.ControlPlaneReady, observe.Ingress: observe.IngressReady} {
		if reasonOf(cluster, kind) != "AddressInUse" {
			continue
		}
		claim, err := h.get(observe.Claims, claimPrefixes[role]+m.name)
		if err != nil || claim == nil || h.obeyed[claim.GetUID()] {
			continue
		}
		h.obeyed[claim.GetUID()] = true
		h.delete(observe.Claims, claim.GetName())
	}
}

func (h *history) present() []*member {
	return slices.DeleteFunc(slices.Clone(h.members), func(m *member) bool { return !m.exists })
}

// leavesNothing deletes all.
func (h *history) leavesNothing() {
	h.t.Helper()
	for _, m := range h.present() {
		h.delete(observe.Clusters, m.name)
	}
	for _, m := range h.members {
		h.eventually("nothing is left of Cluster "+m.name, func() error { return h.nothingLeft(m.name) })
	}
	h.eventually("no Lease is left", func() error {
		if held, err := h.leased(""); err != nil || len(held) > 0 {
			return fmt.Errorf("leases of %q, %w", held, err)
		}
		return nil
	})
	for name := range wholePools { // later histories need not look at them
		if err := h.Client.Resource(observe.GlobalPools).Delete(h.t.Context(), h.poolName(name), metav1.DeleteOptions{}); err != nil {
			h.t.Error(err)
		}
	}
}

// portraits are those of undisturbed Clusters by their manifests.
type portraits map[manifest]string

// undisturbed makes a Cluster of each manifest, and nothing disturbs it.
func undisturbed(t *testing.T) portraits {
	h := newHistory(t, 0)
	for i := range 8 {
		m := &member{name: fmt.Sprintf("v%03d", i), exists: true}
		m.ingressOff, m.manual = i&1 > 0, i&2 > 0
		if h.members = append(h.members, m); h.make(m) != nil {
			t.Fatal("make Cluster")
		}
	}
	for i, m := range h.members {
		cp, in := allocated, allocated
		if m.manual {
			cp = manual
		}
		if m.ingressOff {
			in = disabled
		}
		h.eventually("Cluster "+m.name+" is served", func() error { return h.served(m.name, cp, in) })
		if i&4 > 0 {
			h.build(m)
		}
	}
	want := portraits{}
	for _, m := range h.members {
		h.eventually("Cluster "+m.name+" is built if it should be", func() error {
			cluster, err := h.get(observe.Clusters, m.name)
			if _, built, _ := unstructured.NestedMap(cluster.Object, "spec", "infrastructureRef"); err == nil && built != m.built {
				return fmt.Errorf("built is %t", built)
			}
			return err
		})
		h.quiet()
		var err error
		if want[m.manifest], err = h.portrait(m.name, false); err != nil {
			t.Fatal(err)
		}
	}
	h.process.Kill()
	return want
}
