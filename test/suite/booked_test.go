package suite

import (
	"errors"
	"fmt"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// booking returns the address that is booked for the role's typed VIP, "" for none.
func (c *cluster) booking(r role) string {
	c.w.t.Helper()
	address := fetch[ipamv1.IPAddress](c.w, observe.Addresses, c.namespace, r.booking(c.name))
	if address == nil || address.DeletionTimestamp != nil || address.Labels[manualLabel] != "true" {
		return ""
	}
	return address.Spec.Address
}

// books waits until that address is booked for the role's typed VIP; "" for none.
func (c *cluster) books(r role, want string) {
	c.w.t.Helper()
	c.w.eventually(fmt.Sprintf("Cluster %s has %q booked", c.name, want), func() error {
		if got := c.booking(r); got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// A fleet with typed VIPs in a pool's range is there before the allocator: nothing of it
// changes, its addresses are booked, and no new Cluster ever meets them.
func TestTypedVIPsAreBooked(t *testing.T) {
	w := newWorld(t)
	w.leaveShared()
	k := w.vipClass()
	p := w.pool(serving(eitherRole, k), size(40))
	var fleet, crowd []*cluster
	for i := range 4 {
		fleet = append(fleet, w.cluster(k, at(p.address(i), 6443), set("ingressVip", p.address(10+i))))
	}
	for range 4 {
		crowd = append(crowd, w.cluster(k))
	}
	w.startAllocator()
	for i, c := range fleet {
		c.books(controlPlane, p.address(i))
		c.books(ingress, p.address(10+i))
		c.becomes(manual(controlPlane, p.address(i)), manual(ingress, p.address(10+i)))
	}
	for _, c := range crowd {
		c.served(controlPlane)
		c.served(ingress)
	}
	p.uses(16)
	w.eventually("the events tell", func() error { return fleet[0].told("Normal Booked", p.address(0), p.name) })

	// A VIP that changes takes its booking along, and one that goes frees it.
	fleet[0].change(set("ingressVip", p.address(39)))
	fleet[0].books(ingress, p.address(39))
	fleet[1].change(set("ingressVip", newIP()))
	fleet[1].books(ingress, "")
	fleet[2].condemned()
	p.uses(13)

	p.change(annotated(bookManual, "false"))
	for _, c := range []*cluster{fleet[0], fleet[1], fleet[3]} {
		c.books(controlPlane, "")
		c.books(ingress, "")
	}
	p.uses(8)
	p.change(without(bookManual))
	fleet[3].books(ingress, p.address(13))
	p.change(without(poolRole), without(poolClass))
	fleet[3].books(ingress, "")
}

// Whatever else a Cluster is, its endpoint is in use.
func TestWhoseVIPsAreBooked(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	p := w.pool(serving(eitherRole, k))
	plain := w.cluster(nil, at(p.address(0), 6443), infrastructureOfNobody())
	plain.books(controlPlane, p.address(0))
	alone := annotated(ingress.enabled(), "false")
	waiting := w.cluster(k, at(p.address(1), 6443), paused(true), alone)
	later := w.cluster(k, at(p.address(2), 6443), alone)
	later.books(controlPlane, p.address(2))
	if got := waiting.booking(controlPlane); got != "" {
		t.Errorf("%s is booked for a paused Cluster", got)
	}
	later.change(paused(true))
	waiting.change(paused(false))
	waiting.books(controlPlane, p.address(1))
	if got := later.booking(controlPlane); got == "" {
		t.Error("a pause ended a booking")
	}
	// Who is orphaned on purpose leaves nothing behind.
	waiting.condemned(metav1.DeletePropagationOrphan)
	waiting.books(controlPlane, "")
	p.uses(2)
	// A hand-made claim of the Cluster's is as good as a booking.
	own := p.take("by-hand")
	change(w, observe.Claims, w.namespace, "by-hand", func(c *ipamv1.IPAddressClaim) {
		c.Labels = map[string]string{clusterNameLabel: "mine"}
	})
	mine := w.cluster(k, named("mine"), at(own, 6443), alone)
	mine.becomes(manual(controlPlane, own), func(c *clusterv1.Cluster) error { return absent(conditionOf(c, controlPlane), "used by") })
	if got := mine.booking(controlPlane); got != "" {
		t.Errorf("%s is booked beside its own claim", got)
	}
}

// What is somebody else's is told on both and booked when it comes free; of two that typed
// the same address the older has it.
func TestTypedVIPOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	w.pool(serving(eitherRole, k))
	victim := w.cluster(k, annotated(ingress.enabled(), "false"))
	taken := victim.served(controlPlane)
	thief := w.cluster(k, at(taken, 6443), annotated(ingress.enabled(), "false"))
	thief.becomes(manual(controlPlane, taken), reason(controlPlane, "Manual", victim.name))
	victim.becomes(reason(controlPlane, "DuplicateAddress", thief.name))
	if got := thief.booking(controlPlane); got != "" {
		t.Errorf("%s of another Cluster is booked", got)
	}
	victim.condemned()
	thief.books(controlPlane, taken)

	second := w.cluster(k, at(taken, 6443), annotated(ingress.enabled(), "false"))
	second.becomes(reason(controlPlane, "Manual", thief.name))
	if got := second.booking(controlPlane); got != "" {
		t.Errorf("%s is booked twice", got)
	}
	thief.condemned()
	second.books(controlPlane, taken)
}

// Addresses that cannot be booked, or are not yet, are kept clear of by pins; and a claim
// that was bound to one before is given up for another address.
func TestClaimsAreSteered(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	p := w.pool(serving(eitherRole, k), annotated(bookManual, "false"))
	for i := range 5 {
		w.cluster(k, at(p.address(i), 6443), set("ingressVip", p.address(5+i))).becomes(manual(controlPlane, p.address(i)))
	}
	var crowd []*cluster
	for range 5 {
		crowd = append(crowd, w.cluster(k))
	}
	seen := map[string]bool{}
	for _, c := range crowd {
		seen[c.served(controlPlane)], seen[c.served(ingress)] = true, true
	}
	if len(seen) != 10 {
		t.Errorf("the VIPs are %v", seen)
	}
	p.uses(10)
	// Nothing is left, and nobody is given what somebody typed.
	late := w.cluster(k)
	late.becomes(func(c *clusterv1.Cluster) error {
		if reasonOf(c, controlPlane) == "" {
			return errors.New("there is no condition")
		}
		return noEndpoint()(c)
	})
	crowd[0].condemned()
	late.served(controlPlane)
	late.served(ingress)
}

// A class that takes some of a pool's addresses only gets those.
func TestSomeAddressesAreAdmitted(t *testing.T) {
	w := newWorld(t)
	p := w.draftPool()
	choices := clusterv1.JSONSchemaProps{Type: "string"}
	for _, i := range []int{7, 4} {
		choices.Enum = append(choices.Enum, apiextensionsv1.JSON{Raw: fmt.Appendf(nil, "%q", p.address(i))})
	}
	k := w.class(declares("clusterVip", choices))
	serving(controlPlane, k).onPool(p.draft)
	p.create()
	first, second := w.cluster(k), w.cluster(k)
	got := map[string]bool{first.served(controlPlane): true, second.served(controlPlane): true}
	if !got[p.address(7)] || !got[p.address(4)] {
		t.Errorf("the VIPs are %v", got)
	}
	third := w.cluster(k)
	third.becomes(reason(controlPlane, "VariableRefused", p.name, "is free"))
	first.condemned()
	third.served(controlPlane)
}

// What cannot be booked is told, and tried again until it can.
func TestBookingIsInTheWay(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	p := w.pool(serving(controlPlane, k))
	create(w, observe.Addresses, &ipamv1.IPAddress{
		TypeMeta:   metav1.TypeMeta{APIVersion: ipamv1.GroupVersion.String(), Kind: "IPAddress"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: controlPlane.booking("web")},
		Spec: ipamv1.IPAddressSpec{
			Address: newIP(), Prefix: ptr.To[int32](24), ClaimRef: ipamv1.IPAddressClaimReference{Name: "another"}, PoolRef: p.ref(),
		},
	})
	c := w.cluster(k, named("web"), at(p.address(0), 6443), annotated(ingress.enabled(), "false"))
	w.eventually("the events tell", func() error { return c.told("Warning NotBooked", p.address(0), "in the way") })
	w.remove(observe.Addresses, w.namespace, controlPlane.booking("web"), metav1.DeleteOptions{})
	c.books(controlPlane, p.address(0))
}
