package rancher

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Turtles writes the same labels as we do, at the same time. A Turtles that read the
// Cluster just before its VIP changed costs one more write.
func TestBesideTurtles(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	target := w.rancher(c, nil)
	addresses := []string{"10.0.0.5", "10.0.0.6", "10.0.0.7"}
	w.during([]imitator{w.turtles(c, target)}, []*object{target}, func() {
		for _, address := range addresses {
			c.annotate(observe.IngressVIP, address)
			c.merge(`{"metadata":{"labels":{"vip.capi.gorizond.io/ingress-vip":"` + address + `","vip.capi.gorizond.io/has-ingress-vip":"true"}}}`)
			target.becomes(stamped(observe.Ingress, address))
		}
	})
	target.is(stamped(observe.Ingress, "10.0.0.7"))
	if writes := target.writes(w.begin); len(writes) > 2*len(addresses) {
		t.Errorf("%d writes for %d VIPs", len(writes), len(addresses))
	}
	if said := w.said("prod"); len(said) > 0 {
		t.Errorf("it is reported: %q", said)
	}
}

// Rancher carries the stamps on, to the Fleet Cluster that templates read, and takes
// them away there once they are withdrawn. We write the Rancher Cluster alone.
func TestBesideRancher(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	target := w.rancher(c, nil)
	fleet := &object{w: w, resource: fleetClusters, namespace: w.workspace, name: target.name}
	w.during([]imitator{w.ranchers(target)}, []*object{target, fleet}, func() {
		for _, address := range []string{"10.0.0.5", "2001:db8::6", "10.0.0.7"} {
			c.annotate(observe.IngressVIP, address)
			target.reached(address)
			w.eventually("Rancher has made the Fleet Cluster", func() error {
				_, err := w.in(fleetClusters, w.workspace).Get(t.Context(), target.name, metav1.GetOptions{})
				return err
			})
			fleet.becomes(stamped(observe.Ingress, address))
		}
	})
	fleet.is(stamped(observe.Ingress, "10.0.0.7"))
	target.written(3)
	fleet.written(0)
	if said := w.said("prod"); len(said) > 0 {
		t.Errorf("it is reported: %q", said)
	}
}

// What CAAPF manages is brought up to date by CAAPF, whether it forces or not.
func TestBesideCAAPF(t *testing.T) {
	t.Parallel()
	for name, force := range map[string]bool{"not forced": false, "forced": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c, ingress, _ := w.known("prod")
			imported := w.rancher(c, map[string]string{externallyManaged: "true"})
			fleet := &object{w: w, resource: fleetClusters, namespace: w.namespace, name: "prod"}
			caapf := w.caapf(c, w.namespace, "prod", force, true)
			if err := caapf(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.during([]imitator{caapf}, []*object{fleet, imported}, func() {
				fleet.becomes(stamped(observe.Ingress, ingress))
				imported.becomes(stamped(observe.Ingress, ingress))
			})
			fleet.is(stamped(observe.Ingress, ingress))
			fleet.written(0)
			imported.written(1)
			if said := w.said("prod"); len(said) > 0 {
				t.Errorf("it is reported: %q", said)
			}
		})
	}
}

// A Fleet Cluster that we stamped is taken over by CAAPF, which does not force. An
// outdated value of ours would keep it from applying for ever.
func TestCAAPFTakesOver(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	fleet := w.fleet(w.workspace, "prod", asking(c))
	fleet.reached("10.0.0.5")
	w.during([]imitator{w.caapf(c, w.workspace, "prod", false, false)}, []*object{fleet}, func() {
		fleet.becomes(managed(addonManager))
		c.annotate(observe.IngressVIP, "10.0.0.6")
		c.merge(`{"metadata":{"labels":{"vip.capi.gorizond.io/ingress-vip":"10.0.0.6","vip.capi.gorizond.io/has-ingress-vip":"true"}}}`)
		fleet.becomes(stamped(observe.Ingress, "10.0.0.6"))
	})
	fleet.is(stamped(observe.Ingress, "10.0.0.6"))
	fleet.written(2)
}

// A CAAPF that makes Fleet Clusters and never updates them leaves out the VIPs that
// come later. That is not ours to mend, and is told.
func TestCAAPFThatCreatesOnly(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", nil)
	if err := w.caapf(c, w.namespace, "prod", false, true)(t.Context()); err != nil {
		t.Fatal(err)
	}
	fleet := &object{w: w, resource: fleetClusters, namespace: w.namespace, name: "prod"}
	c.annotate(observe.IngressVIP, "10.0.0.5")
	w.told("prod", "patchResource")
	fleet.is(bare)
	fleet.written(0)
}

// Against somebody who means it we give up, tell of it, and begin anew with another VIP.
func TestAgainstSomebodyWhoInsists(t *testing.T) {
	t.Parallel()
	const most = 4 // writes of one key in an hour
	for name, insist := range map[string]func(w *world, target *object) imitator{
		"by removing": func(w *world, target *object) imitator {
			return func(ctx context.Context) error {
				_, err := w.in(target.resource, target.namespace).Patch(ctx, target.name, types.MergePatchType,
					[]byte(`{"metadata":{"labels":{"vip.capi.gorizond.io/ingress-vip":null}}}`), metav1.PatchOptions{})
				return err
			}
		},
		"by three-way apply": func(w *world, target *object) imitator {
			return w.insists(target, observe.IngressVIP, "10.9.9.9")
		},
		"by forced apply": func(w *world, target *object) imitator {
			return func(ctx context.Context) error {
				o := newObject("fleet.cattle.io/v1alpha1", "Cluster", target.namespace, target.name)
				delete(o.Object, "spec")
				o.SetLabels(map[string]string{observe.IngressVIP: "10.9.9.9"})
				return w.serverSide(ctx, o, "stranger", true)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.cluster("prod", ingressAt("10.0.0.5"))
			// On a Fleet Cluster a label that was removed comes back after a while only, and so
			// the fight would be a long one.
			var target *object
			if name == "by removing" {
				target = w.rancher(c, nil)
			} else {
				target = w.fleet(w.workspace, "edge", asking(c))
			}
			target.reached("10.0.0.5")
			w.during([]imitator{insist(w, target)}, []*object{target}, func() {})
			target.written(most)
			w.told("prod", "somebody keeps undoing", target.name)
			c.annotate(observe.IngressVIP, "10.0.0.6")
			target.reached("10.0.0.6")
			target.written(most + 1)
		})
	}
}
