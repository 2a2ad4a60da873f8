package race

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// gate is a form of gate, and how one sees that a Cluster waits under it.
type gate struct {
	gates.Gate
	waits func(cluster *unstructured.Unstructured) error
}

var allGates = []gate{
	{gates.Variable, topologyFails},
	{gates.Guard, topologyFails},
	{gates.Hold, held},
	{gates.Hook, saysOfTopology("extension")},
}

func topologyFails(cluster *unstructured.Unstructured) error {
	condition := observe.Condition(cluster, "TopologyReconciled")
	if condition["status"] != "False" {
		return fmt.Errorf("TopologyReconciled is %v: %v", condition["status"], condition["message"])
	}
	return nil
}

// saysOfTopology expects Cluster API to say why it builds nothing.
func saysOfTopology(text string) func(*unstructured.Unstructured) error {
	return func(cluster *unstructured.Unstructured) error {
		if message := fmt.Sprint(observe.Condition(cluster, "TopologyReconciled")["message"]); !strings.Contains(message, text) {
			return fmt.Errorf("TopologyReconciled says %q, not %q", message, text)
		}
		return topologyFails(cluster)
	}
}

func held(cluster *unstructured.Unstructured) error {
	paused, _, _ := unstructured.NestedBool(cluster.Object, "spec", "paused")
	if _, marked := cluster.GetAnnotations()["vip.capi.gorizond.io/held"]; !marked || !paused {
		return fmt.Errorf("paused is %t, its annotations are %v", paused, cluster.GetAnnotations())
	}
	return nil
}

func free(cluster *unstructured.Unstructured) error {
	if held(cluster) == nil {
		return fmt.Errorf("it is held")
	}
	return nil
}

// some are the gates of these names; all of them with -long.
func some(names ...string) []gate {
	return slices.DeleteFunc(slices.Clone(allGates), func(g gate) bool { return !*long && !slices.Contains(names, g.Name) })
}

// under runs a test under each of the gates, with a class and pools. Nothing may ever
// be built without its VIPs.
func under(t *testing.T, all []gate, test func(w *world, g gate)) {
	for _, g := range all {
		t.Run(g.Name, func(t *testing.T) {
			w := newWorld(t, g.Labels)
			w.class(g.Class)
			w.pools()
			test(w, g)
			w.noLoss()
		})
	}
}

func crowdSize() int {
	if *long {
		return 200
	}
	return 20
}

// noLoss fails the test if anything was ever built without its VIPs.
func (w *world) noLoss() {
	w.t.Helper()
	losses := w.witness.losses(w.namespace)
	for i, loss := range losses {
		if w.t.Errorf("%s", loss); i == 4 {
			w.t.Errorf("and %d more", len(losses)-i-1)
			break
		}
	}
}

// A crowd of Clusters is created at once, and nothing is ever built without a VIP.
func TestCrowd(t *testing.T) {
	under(t, allGates, func(w *world, _ gate) {
		w.start()
		began := time.Now()
		w.create(crowdSize())
		w.built(crowdSize())
		w.t.Logf("%d Clusters after %s", crowdSize(), time.Since(began).Round(time.Millisecond))
	})
}

// Without a gate the race is lost: this is what the other tests would see.
func TestNoGateLoses(t *testing.T) {
	w := newWorld(t, "")
	w.class(gates.Open)
	w.pools()
	w.start()
	w.create(5)
	for i := range 5 {
		w.is(clusterName(i), "has its VIP", func(cluster *unstructured.Unstructured) error {
			if host, _, _ := unstructured.NestedString(cluster.Object, "spec", "controlPlaneEndpoint", "host"); host == "" {
				return fmt.Errorf("it has none")
			}
			return reconciled(cluster)
		})
	}
	if losses := w.witness.losses(w.namespace); len(losses) == 0 {
		t.Error("the witness saw nothing built without its VIPs")
	} else {
		t.Logf("%d losses, the first: %s", len(losses), losses[0])
	}
	w.eventually("the class says so", func() error {
		list, err := w.Client.Resource(events).Namespace(w.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			kind, _, _ := unstructured.NestedString(list.Items[i].Object, "involvedObject", "kind")
			if reason, _, _ := unstructured.NestedString(list.Items[i].Object, "reason"); kind == "ClusterClass" && reason == "ClassUngated" {
				return nil
			}
		}
		return fmt.Errorf("none of %d events does", len(list.Items))
	})
}

var events = schema.GroupVersionResource{Version: "v1", Resource: "events"}

// Clusters that are created while no allocator runs wait for one.
func TestAllocatorIsDownAtCreation(t *testing.T) {
	n := 3
	if *long {
		n = crowdSize()
	}
	under(t, allGates, func(w *world, g gate) {
		w.create(n)
		for i := range n {
			w.is(clusterName(i), "waits", g.waits)
		}
		for i := range n {
			if w.witness.exists(w.namespace, clusterName(i)) {
				w.t.Errorf("something was built for Cluster %s", clusterName(i))
			}
		}
		w.start()
		began := time.Now()
		w.some(1)
		w.t.Logf("the first Cluster is built %s after the allocator is ready", time.Since(began).Round(time.Millisecond))
		w.built(n)
		w.t.Logf("all %d are after %s", n, time.Since(began).Round(time.Millisecond))
	})
}

// The allocator is killed again and again while a crowd is created, wherever it is.
func TestAllocatorIsKilled(t *testing.T) {
	// A gate in the class needs no allocator, so two of four show most.
	under(t, some("hold", "hook"), func(w *world, _ gate) {
		const n = 12
		p := w.start()
		w.create(n)
		for done := 0; done < n; {
			// Some more are built, and it is killed in the midst of the others.
			done = w.some(min(done+4, n))
			p.Kill()
			p = w.start()
		}
		w.built(n)
	})
}
