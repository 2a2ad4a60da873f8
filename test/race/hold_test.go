package race

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// holdSwitch is the ConfigMap that switches the hold gate.
const holdSwitch = "capi-vip-allocator-hold"

func paused(want bool) func(*unstructured.Unstructured) error {
	return func(cluster *unstructured.Unstructured) error {
		if got, _, _ := unstructured.NestedBool(cluster.Object, "spec", "paused"); got != want {
			return fmt.Errorf("paused is %t", got)
		}
		return nil
	}
}

// letGo expects that nobody holds the Cluster, nor pauses it.
func letGo(cluster *unstructured.Unstructured) error {
	return errors.Join(paused(false)(cluster), free(cluster))
}

// Whoever says in the manifest whether the Cluster is paused is taken at their word.
func TestHoldLeavesAStatedPauseAlone(t *testing.T) {
	w := newWorld(t, gates.UnderHold)
	w.class(gates.Open)
	w.pools()
	w.start()
	for name, more := range map[string]string{
		"by-spec":       "  paused: true\n",
		"not-paused":    "  paused: false\n",
		"has-endpoint":  "  controlPlaneEndpoint: {host: 192.0.2.1, port: 6443}\n",
		"by-annotation": "metadata: {annotations: {cluster.x-k8s.io/paused: ''}}\n",
	} {
		manifest := fmt.Sprintf(clusterManifest, name, w.namespace) + more
		if name == "by-annotation" {
			manifest = fmt.Sprintf(clusterManifest, name+", annotations: {cluster.x-k8s.io/paused: ''}", w.namespace)
		}
		w.apply(manifest)
		cluster, err := w.get(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := held(cluster); err == nil {
			t.Errorf("Cluster %s is held", name)
		}
	}
	// One that is held afterwards shows that the allocator has seen those before it.
	w.create(1)
	w.is(clusterName(0), "has its VIPs", free)
	w.is("by-spec", "stays paused", paused(true))
	w.is("not-paused", "is not paused", paused(false))
}

// A user who pauses a held Cluster in a way of their own keeps that pause.
func TestHoldLeavesTheUsersOwnPause(t *testing.T) {
	w := newWorld(t, gates.UnderHold)
	w.class(gates.Open)
	w.create(2)
	w.patch(clusterName(0), `{"metadata":{"annotations":{"cluster.x-k8s.io/paused":""}}}`)
	w.patch(clusterName(1), `{"metadata":{"annotations":{"vip.capi.gorizond.io/held":null}}}`)
	w.pools()
	w.start()
	w.apply(fmt.Sprintf(clusterManifest, "later", w.namespace))
	w.is("later", "has its VIPs", free)
	w.is(clusterName(0), "stays paused", paused(true))
	w.is(clusterName(1), "stays paused", paused(true))
	w.patch(clusterName(0), `{"metadata":{"annotations":{"cluster.x-k8s.io/paused":null}}}`)
	w.is(clusterName(0), "has its VIPs", free)
	w.noLoss()
}

// What is held for want of an address says so, and can be deleted.
func TestHoldWithoutAPool(t *testing.T) {
	w := newWorld(t, gates.UnderHold)
	w.class(gates.Open)
	p := w.start()
	w.create(1)
	w.is(clusterName(0), "says why it waits", func(cluster *unstructured.Unstructured) error {
		condition := observe.Condition(cluster, "ControlPlaneVIPReady")
		if condition["reason"] != "NoPool" || condition["status"] != "False" {
			return fmt.Errorf("ControlPlaneVIPReady is %v", condition)
		}
		return held(cluster)
	})
	series, err := p.Series(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count, age := series[heldClusters], series["capi_vip_allocator_oldest_held_seconds"]
	if count < 1 || age <= 0 {
		t.Errorf("the metrics show %v held Clusters, the oldest for %v s", count, age)
	}
	w.delete(clusterName(0))
	w.gone(clusterName(0))
	w.eventually("the metrics show one less", func() error {
		series, err := p.Series(t.Context())
		if err == nil && series[heldClusters] != count-1 {
			return fmt.Errorf("they show %v of %v", series[heldClusters], count)
		}
		return err
	})
}

// The claims of a held Cluster get its name once they are bound, and not before its VIPs
// are out: each change of a claim costs the provider a pass, for which others wait.
func TestHoldNamesItsClaimsLast(t *testing.T) {
	w := newWorld(t, gates.UnderHold)
	w.class(gates.Open)
	w.pools()
	log := audit.Log(w.Management.AuditLog())
	position, err := log.Position()
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	w.create(1)
	w.eventually("both claims have the Cluster's name", func() error {
		list, err := w.Client.Resource(observe.Claims).Namespace(w.namespace).List(t.Context(), metav1.ListOptions{
			LabelSelector: "cluster.x-k8s.io/cluster-name=" + clusterName(0),
		})
		if err == nil && len(list.Items) != 2 {
			err = fmt.Errorf("%d have", len(list.Items))
		}
		return err
	})
	requests, err := log.Since(position)
	if err != nil {
		t.Fatal(err)
	}
	var writes []string
	for _, request := range audit.Keep(requests, audit.By(observe.UserAgent), audit.Event.IsWrite, audit.Event.Accepted) {
		if request.Object.Namespace == w.namespace && request.Object.Resource != "events" {
			writes = append(writes, request.Verb+" "+request.Resource())
		}
	}
	// The condition is written before or after.
	writes = slices.DeleteFunc(writes, func(write string) bool { return write == "patch clusters/status" })
	want := []string{"create ipaddressclaims", "create ipaddressclaims", "patch clusters", "patch ipaddressclaims", "patch ipaddressclaims"}
	if !slices.Equal(writes, want) {
		t.Errorf("the allocator's writes are %q, want %q", writes, want)
	}
	w.built(1)
	w.noLoss()
}

const heldClusters = "capi_vip_allocator_held_clusters"

// A Cluster whose class asks for no VIP goes at once.
func TestHoldLetsStrangersGo(t *testing.T) {
	w := newWorld(t, gates.UnderHold)
	w.class(gates.Stranger)
	w.start()
	w.create(1)
	w.is(clusterName(0), "is let go", letGo)
}

// Without the ConfigMap nothing is held any more, and what is held goes.
func TestHoldIsSwitchedOff(t *testing.T) {
	w := newWorld(t, gates.UnderHold)
	w.class(gates.Open)
	w.start()
	w.create(2)
	for i := range 2 {
		w.is(clusterName(i), "is held", held)
	}
	w.switchOff()
	for i := range 2 {
		w.is(clusterName(i), "is let go", free)
	}
	tries := 0
	w.eventually("the policy lets a new Cluster pass", func() error {
		tries++
		name := fmt.Sprintf("new-%d", tries)
		w.apply(fmt.Sprintf(clusterManifest, name, w.namespace))
		cluster, err := w.get(name)
		if err != nil {
			return err
		}
		return free(cluster)
	})
}
