package suite

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Twenty Clusters lose their claims, others take the addresses, and only then an allocator
// starts: the old ones keep what nobody else has, and every new one gets another address.
func TestNewClustersAreSteeredAroundLostOnes(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	p := w.pool(serving(eitherRole, k), size(60))
	w.leaveShared()
	first := w.startAllocator()
	var old, young []*cluster
	for range 6 {
		old = append(old, w.cluster(k))
	}
	for _, c := range old {
		c.served(controlPlane)
		c.served(ingress)
	}
	if _, err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range old {
		for _, r := range bothRoles {
			w.remove(observe.Claims, w.namespace, r.claim(c.name), metav1.DeleteOptions{})
		}
	}
	p.uses(0)
	for range 6 {
		young = append(young, w.cluster(k))
	}
	w.startAllocator()
	for _, c := range append(young, old...) {
		c.served(controlPlane)
		c.served(ingress)
	}
	p.uses(24)
}

// A pool that stops serving between the binding and the publication costs the Cluster
// nothing while another one can serve.
func TestPoolIsRelabelledBeforeThePublication(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	first, second := w.pool(serving(controlPlane, k)), w.pool(serving(controlPlane, k))
	w.pool(serving(ingress, k))
	c := w.cluster(k, paused(true))
	claim := c.ownClaim(controlPlane, first, func(claim *ipamv1.IPAddressClaim) { delete(claim.Labels, clusterNameLabel) })
	first.uses(1)
	first.change(without(poolRole), without(poolClass))
	c.change(paused(false))
	c.becomes(has(controlPlane, second.address(0)))
	first.uses(0)
	w.eventually("the events tell", func() error { return c.told("Normal ClaimMoved", claim.Name, first.name) })
}

// The manifest of a Cluster is copied under another name. What says what we wrote is that of
// the original and is replaced.
func TestCopiedManifest(t *testing.T) {
	for name, copied := range map[string]func(original *clusterv1.Cluster) []clusterOption{
		"annotations and variables": func(o *clusterv1.Cluster) []clusterOption {
			return []clusterOption{marksOf(o), variablesOf(o)}
		},
		"annotations": func(o *clusterv1.Cluster) []clusterOption { return []clusterOption{marksOf(o)} },
		"stamp alone": func(o *clusterv1.Cluster) []clusterOption {
			return []clusterOption{annotated(ingress.stamp(), o.Annotations[ingress.stamp()])}
		},
		"annotations of 0.8.0": func(o *clusterv1.Cluster) []clusterOption {
			return []clusterOption{marksOf(o), variablesOf(o), clusterFunc(func(c *clusterv1.Cluster) { delete(c.Annotations, writtenFor) })}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.vipClass()
			w.pool(serving(eitherRole, k))
			original := w.cluster(k)
			original.served(controlPlane)
			original.served(ingress)
			before := original.becomes(has(ingress, original.now().Annotations[ingress.stamp()]))
			if want := w.namespace + "/" + original.name; before.Annotations[writtenFor] != want {
				t.Errorf("annotation %s is %q, want %q", writtenFor, before.Annotations[writtenFor], want)
			}
			second := w.cluster(k, copied(before)...)
			for _, r := range bothRoles {
				if address := second.served(r); address == before.Annotations[r.stamp()] {
					t.Errorf("role %s of the copy has the original's %s", r, address)
				}
			}
			original.is(has(controlPlane, before.Spec.ControlPlaneEndpoint.Host), has(ingress, before.Annotations[ingress.stamp()]))
		})
	}
}

// A variable alone that names another Cluster's VIP is not spread, and the Cluster is told.
func TestCopiedVariable(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	w.pool(serving(eitherRole, k))
	original := w.cluster(k)
	vip := original.served(controlPlane)
	in := original.served(ingress)
	second := w.cluster(k, set("clusterVip", vip), set("ingressVip", in))
	second.becomes(reason(controlPlane, "CopiedVIP", original.name), reason(ingress, "CopiedVIP", original.name), noEndpoint(), unstamped(controlPlane), unstamped(ingress))
	original.becomes(reason(controlPlane, "DuplicateAddress", second.name))
	second.change(unset("clusterVip"), unset("ingressVip"))
	if got := second.served(controlPlane); got == vip {
		t.Errorf("the copy has the original's %s", got)
	}
	second.served(ingress)
}

// marksOf copies the labels and annotations of another Cluster, variablesOf its variables.
func marksOf(o *clusterv1.Cluster) clusterOption {
	return clusterFunc(func(c *clusterv1.Cluster) {
		for key, value := range o.Labels {
			labelled(key, value)(c)
		}
		for key, value := range o.Annotations {
			annotated(key, value)(c)
		}
	})
}

func variablesOf(o *clusterv1.Cluster) clusterOption {
	return clusterFunc(func(c *clusterv1.Cluster) {
		for _, v := range o.Spec.Topology.Variables {
			if v.Name != buildVariable {
				c.Spec.Topology.Variables = append(c.Spec.Topology.Variables, v)
			}
		}
	})
}

// A restore from a backup leaves claims and addresses without owner. Those whose address the
// Cluster published are its own again; others that nobody uses are debris.
func TestRestoredClaims(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	p := w.pool(serving(eitherRole, k))
	c := w.cluster(k)
	vip, in := c.served(controlPlane), c.served(ingress)
	c.change(paused(true))
	for _, r := range bothRoles {
		change(w, observe.Claims, w.namespace, r.claim(c.name), func(claim *ipamv1.IPAddressClaim) { claim.OwnerReferences = nil })
	}
	c.change(paused(false))
	for r, address := range map[role]string{controlPlane: vip, ingress: in} {
		w.eventually("the claim of role "+string(r)+" is adopted", func() error { return c.owns(r, address) })
	}
	c.becomes(has(controlPlane, vip), has(ingress, in))
	c.condemned()
	p.uses(0)

	// Orphaned on purpose, then made again: the address goes back and another comes.
	again := w.cluster(k, named("again"))
	again.served(controlPlane)
	again.served(ingress)
	again.condemned(metav1.DeletePropagationOrphan)
	p.uses(2)
	again = w.cluster(k, named("again"))
	again.served(controlPlane)
	again.served(ingress)
	p.uses(2)
	again.condemned()
	p.uses(0)
}

// A claim that was reserved for a Cluster becomes its own, with a topology or without, and one
// that nobody came for is deleted.
func TestReservedClaims(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	p := w.pool(serving(eitherRole, k))
	reserve := func(owner string, until time.Time) string {
		t.Helper()
		name := controlPlane.claim(owner)
		create(w, observe.Claims, &ipamv1.IPAddressClaim{
			TypeMeta: metav1.TypeMeta{APIVersion: ipamv1.GroupVersion.String(), Kind: "IPAddressClaim"},
			ObjectMeta: metav1.ObjectMeta{
				Namespace: w.namespace, Name: name, Labels: map[string]string{poolRole: string(controlPlane)},
				Annotations: map[string]string{reservedUntil: until.UTC().Format(time.RFC3339)},
			},
			Spec: ipamv1.IPAddressClaimSpec{PoolRef: p.ref()},
		})
		var address string
		w.eventually("claim "+name+" is bound", func() error {
			if address = (&cluster{w: w, namespace: w.namespace, name: owner}).address(controlPlane); address == "" {
				return errors.New("it is not")
			}
			return nil
		})
		return address
	}
	alone := annotated(ingress.enabled(), "false")
	hour := time.Now().Add(time.Hour)
	vip := reserve("planned", hour)
	c := w.cluster(k, named("planned"), alone)
	c.becomes(has(controlPlane, vip))
	w.eventually("the claim is the Cluster's", func() error { return c.owns(controlPlane, vip) })

	vip = reserve("plain", hour)
	plain := w.cluster(nil, named("plain"), at(vip, 6443), infrastructureOfNobody())
	w.eventually("the claim is the Cluster's", func() error { return plain.owns(controlPlane, vip) })
	if got := plain.booking(controlPlane); got != "" {
		t.Errorf("%s is booked beside its own claim", got)
	}
	plain.condemned()

	reserve("nobody", time.Now().Add(3*time.Second))
	w.gone(observe.Claims, w.namespace, controlPlane.claim("nobody"))
	p.uses(1)
}

// The stamps of a typed VIP follow it at any time, and come back when they are stripped.
func TestStampsFollowATypedVIP(t *testing.T) {
	w := newWorld(t)
	k := w.gatedClass(bothRoles...)
	first, second := newIP(), newIP()
	c := w.cluster(k, at(newIP(), 6443), set("ingressVip", first))
	c.becomes(manual(ingress, first), built())
	c.rests()
	c.change(set("ingressVip", second))
	c.becomes(manual(ingress, second))
	c.rests()
	c.change(clusterFunc(func(o *clusterv1.Cluster) {
		for _, r := range bothRoles {
			delete(o.Annotations, r.stamp())
			delete(o.Labels, r.stamp())
			delete(o.Labels, r.hasVIP())
		}
	}))
	c.becomes(manual(ingress, second))

	// One that never had them gets none by itself.
	late := w.cluster(k, at(newIP(), 6443), annotated(ingress.enabled(), "false"), set("ingressVip", newIP()))
	late.becomes(built())
	late.change(without(ingress.enabled()))
	late.becomes(func(o *clusterv1.Cluster) error {
		if reasonOf(o, ingress) != "Manual" {
			return fmt.Errorf("the reason is %q", reasonOf(o, ingress))
		}
		return nil
	})
	late.is(unstamped(ingress))
}

// A typed VIP whose variable is taken out of Git is told, with the remedy.
func TestTypedVariableIsTakenAway(t *testing.T) {
	w := newWorld(t)
	k := w.gatedClass(controlPlane)
	ip := newIP()
	c := w.cluster(k, at(ip, 6443), annotated(ingress.enabled(), "false"))
	c.becomes(manual(controlPlane, ip), variable("clusterVip", ip), built())
	c.change(unset("clusterVip"))
	c.becomes(reason(controlPlane, "VariableNotBackfilled", ip, backfill), noVariable("clusterVip"))
	c.change(annotated(backfill, "true"))
	c.becomes(manual(controlPlane, ip), variable("clusterVip", ip))
}

// Endpoint and record are taken away and the variable is changed, all at once: the claim and
// the stamp still say which address the Cluster has.
func TestEndpointIsStrippedAndTheVariableChanged(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	w.pool(serving(eitherRole, k))
	c := w.cluster(k)
	vip := c.served(controlPlane)
	c.change(at("", 0), without(controlPlane.written()), set("clusterVip", "10.9.9.9"))
	c.becomes(endpoint(vip, 6443), stamped(controlPlane, vip))
}

// Ingress is switched off on a running Cluster, and on again while no pool can serve: nothing
// stops the Cluster meanwhile.
func TestIngressIsEnabledWithoutAPool(t *testing.T) {
	w := newWorld(t)
	k := w.class(open(), declares("clusterVip", text), declares("ingressVip", text), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host"))
	w.pool(serving(controlPlane, k))
	in := w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.served(ingress)
	c.becomes(built())
	c.change(annotated(ingress.enabled(), "false"))
	c.becomes(unstamped(ingress), written(ingress, "none"), noVariable("ingressVip"))
	in.uses(0)
	in.remove()
	c.change(without(ingress.enabled()))
	c.becomes(reason(ingress, "NoPool"), written(ingress, "none"))
	w.pool(serving(ingress, k))
	c.served(ingress)
}
