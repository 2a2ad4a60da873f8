package suite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// What a provider hands out may be no address for a VIP. The claim is kept, since
// only its provider can know better.
func TestConditionAddressInvalid(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ addresses, says string }{
		"loopback":   {"127.0.0.10-127.0.0.20", "127.0.0.10"},
		"link-local": {"169.254.3.10-169.254.3.20", "169.254.3.10"},
		"multicast":  {"224.0.7.10-224.0.7.20", "224.0.7.10"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(declares("clusterVip", text))
			p := w.pool(serving(controlPlane, k), ranges(test.addresses))
			c := w.cluster(k)
			c.becomes(reason(controlPlane, "AddressInvalid", test.says, controlPlane.claim(c.name)), noEndpoint())
			p.uses(1)
		})
	}
}

// A claim that is bound to an address of a pool which does not serve the Cluster is
// not believed.
func TestConditionPoolNotAccepted(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	stranger := w.pool()
	c := w.cluster(k, labelled(watchFilterLabel, "not-yet"))
	c.ownClaim(controlPlane, stranger)
	stranger.uses(1)
	c.change(labelled(watchFilterLabel, w.filter))
	c.becomes(reason(controlPlane, "PoolNotAccepted", stranger.name, stranger.address(0)), noEndpoint())
	c.rests()
	stranger.change(serving(controlPlane, k))
	c.becomes(has(controlPlane, stranger.address(0)))
}

// Our claim's name with the other role's label is not this role's claim.
func TestConditionClaimOfTheOtherRole(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k, labelled(watchFilterLabel, "not-yet"))
	c.ownClaim(controlPlane, p, labelledClaim(poolRole, "ingress"))
	p.uses(1)
	c.change(labelled(watchFilterLabel, w.filter))
	w.eventually("the claim is reported", func() error { return isFalse(c.now(), controlPlane) })
	w.barrier()
	c.is(noEndpoint())
}

func isFalse(c *clusterv1.Cluster, r role) error {
	if !meta.IsStatusConditionFalse(c.Status.Conditions, r.condition()) {
		return fmt.Errorf("condition %s is not False", r.condition())
	}
	return nil
}

// A VIP whose claim is gone stays the VIP. Where it cannot be had back that is said,
// and never another one taken.
func TestConditionClaimLost(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, p.address(0)))
	p.change(annotated(poolClass, "other"))
	w.remove(observe.Claims, w.namespace, controlPlane.claim(c.name), metav1.DeleteOptions{})
	c.becomes(reason(controlPlane, "ClaimLost", p.address(0), controlPlane.claim(c.name)), endpoint(p.address(0), 6443), stamped(controlPlane, p.address(0)))
	w.barrier()
	if claims := c.claims(); len(claims) > 0 {
		t.Errorf("there are claims: %q", claims)
	}
}

// After its claim is gone, another value is a decision of the user like any other.
func TestConditionManualAfterClaim(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(c *cluster, change func()){
		"lost first": func(c *cluster, change func()) {
			c.loseClaim(controlPlane)
			c.becomes(reason(controlPlane, "ClaimLost"))
			change()
		},
		"changed first": func(c *cluster, change func()) {
			change()
			c.becomes(reason(controlPlane, "ClaimUnused"))
			c.loseClaim(controlPlane)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(declares("clusterVip", text))
			p := w.pool(serving(controlPlane, k))
			c := w.cluster(k)
			c.becomes(has(controlPlane, p.address(0)))
			p.change(annotated(poolClass, "other"))
			ip := newIP()
			lose(c, func() { c.change(at(ip, 6443), set("clusterVip", ip)) })
			c.becomes(reason(controlPlane, "Manual", ip), endpoint(ip, 6443), variable("clusterVip", ip))
			w.barrier()
			c.is(reason(controlPlane, "Manual", ip))
		})
	}
}

// loseClaim deletes a claim of the Cluster behind its back.
func (c *cluster) loseClaim(r role) {
	c.w.t.Helper()
	c.w.remove(observe.Claims, c.namespace, r.claim(c.name), metav1.DeleteOptions{})
	c.w.gone(observe.Claims, c.namespace, r.claim(c.name))
}

// Our condition may gate the Cluster's availability.
func TestConditionAsAvailabilityGate(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	c := w.cluster(k, clusterFunc(func(c *clusterv1.Cluster) {
		c.Spec.AvailabilityGates = []clusterv1.ClusterAvailabilityGate{{ConditionType: controlPlane.condition()}}
	}))
	available := func() string {
		if condition := meta.FindStatusCondition(c.now().Status.Conditions, clusterv1.ClusterAvailableCondition); condition != nil {
			return condition.Message
		}
		return ""
	}
	c.becomes(reason(controlPlane, "NoPool"))
	w.eventually("the gate is seen", func() error {
		if message := available(); !strings.Contains(message, controlPlane.condition()+": no pool") {
			return fmt.Errorf("Available says %q", message)
		}
		return nil
	})
	w.pool(serving(controlPlane, k))
	c.becomes(reason(controlPlane, "Allocated"))
	w.eventually("the gate is open", func() error { return absent(available(), controlPlane.condition()) })
}

// A condition changes its time only with its status, and events tell only of changes.
func TestConditionTransitions(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	c := w.cluster(k)
	first := meta.FindStatusCondition(c.becomes(reason(controlPlane, "NoPool")).Status.Conditions, controlPlane.condition())
	p := w.pool(serving(controlPlane, k), annotated(poolPriority, "x"))
	second := meta.FindStatusCondition(c.becomes(reason(controlPlane, "PoolInvalid")).Status.Conditions, controlPlane.condition())
	if !second.LastTransitionTime.Equal(&first.LastTransitionTime) {
		t.Error("the transition time changed although the status did not")
	}
	p.change(without(poolPriority))
	c.becomes(has(controlPlane, p.address(0)))
	w.eventually("the events are there", func() error {
		return wanted(c.events(), "Warning NoPool: ", "Warning PoolInvalid: ", "Normal Allocated: ")
	})
	c.change(labelled("example.com/edited", "yes"))
	w.barrier()
	if events := c.events(); len(events) != 3 {
		t.Errorf("there are %d events: %q", len(events), events)
	}
}

// The conditions of others stay, in whatever order Cluster API keeps them.
func TestConditionKeepsOthers(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	c := w.cluster(k)
	object := c.becomes(reason(controlPlane, "NoPool"), reason(ingress, "NoPool"))
	object.Status.Conditions = append(object.Status.Conditions, metav1.Condition{
		Type: "example.com/Other", Status: metav1.ConditionTrue, Reason: "Because", LastTransitionTime: metav1.Now(),
	})
	w.eventually("a condition of somebody else is there", func() error {
		now := c.now()
		now.Status.Conditions = append(now.Status.Conditions, object.Status.Conditions[len(object.Status.Conditions)-1])
		_, err := w.in(observe.Clusters, w.namespace).UpdateStatus(t.Context(), plain(w, now), metav1.UpdateOptions{})
		return err
	})
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	after := c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	for _, want := range object.Status.Conditions {
		if !slices.ContainsFunc(after.Status.Conditions, func(c metav1.Condition) bool { return c.Type == want.Type }) {
			t.Errorf("condition %s is gone", want.Type)
		}
	}
}

// A condition is taken away when its role stops to apply.
func TestConditionGoesWithTheRole(t *testing.T) {
	w := newWorld(t)
	k := w.class()
	p := w.pool(serving(ingress, k), size(1))
	p.take("taken")
	c := w.cluster(k)
	c.becomes(reason(ingress, "PoolExhausted"))
	p.change(without(poolClass), without(poolRole))
	c.becomes(noCondition(ingress))
}
