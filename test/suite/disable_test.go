package suite

import (
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A role that is switched off from the start takes no address and says so.
func TestDisableFromTheStart(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	a := w.cluster(k, annotated(ingress.enabled(), "false"))
	a.becomes(has(controlPlane, cp.address(0)), reason(ingress, "Disabled", ingress.enabled()), noVariable("ingressVip"), unstamped(ingress))
	b := w.cluster(k, annotated(controlPlane.enabled(), "false"))
	b.becomes(has(ingress, in.address(0)), reason(controlPlane, "Disabled", controlPlane.enabled()), noEndpoint(), noVariable("clusterVip"))
	w.barrier()
	if a.claim(ingress) != nil || b.claim(controlPlane) != nil {
		t.Error("a disabled role has a claim")
	}
}

// Switching ingress off gives the address back, with every trace of it; switching it
// on again gives one anew.
func TestDisableIngressReleases(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(w *world) *class{
		"the example class":           (*world).exampleClass,
		"no variable at all":          func(w *world) *class { return w.class() },
		"nobody consumes it":          func(w *world) *class { return w.vipClass() },
		"the patch can do without it": classWithOptionalIngress,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := make(w)
			cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
			c := w.cluster(k)
			c.becomes(reason(controlPlane, "Allocated"), stamped(ingress, in.address(0)), reason(ingress, "Allocated"))
			if name != "the example class" {
				c.build()
			}
			c.becomes(built())
			since := w.mark()
			c.change(annotated(ingress.enabled(), "false"))
			c.becomes(reason(ingress, "Disabled"), unstamped(ingress), written(ingress, "none"), noVariable("ingressVip"),
				endpoint(cp.address(0), 6443), reason(controlPlane, "Allocated"))
			w.gone(observe.Claims, w.namespace, ingress.claim(c.name))
			in.uses(0)
			if patches := w.writes(since, about(c), writesOf("patch", "clusters")); len(patches) != 1 {
				t.Errorf("there were %d patches of the Cluster", len(patches))
			}
			c.change(without(ingress.enabled()))
			// Whoever enables it again wants the variable filled, though the Cluster runs.
			path := ingress.variable()
			if name == "no variable at all" {
				path = writtenNone
			}
			c.becomes(stamped(ingress, in.address(0)), written(ingress, path), reason(ingress, "Allocated"))
		})
	}
}

// A VIP that is being taken back when ingress is disabled: its IPAddress is there, and
// nobody has bound it to its claim yet. It goes with the claim all the same.
func TestDisableIngressWhileItsVIPIsTakenBack(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	w.pool(serving(controlPlane, k))
	p := w.pool(serving(ingress, k))
	c := w.cluster(k, paused(true), annotated(ingress.enabled(), "false"))
	c.makeAddress(ingress, p.ref(), p.address(0), c.owner())
	p.uses(1)
	// The provider looks at the claim when the allocator has corrected the label.
	c.ownClaim(ingress, p, labelledClaim(clusterNameLabel, "nobody"))
	c.change(paused(false))
	c.becomes(reason(ingress, "Disabled"))
	w.gone(observe.Claims, w.namespace, ingress.claim(c.name))
	w.gone(observe.Addresses, w.namespace, ingress.claim(c.name))
	p.uses(0)
}

// classWithOptionalIngress has a patch that is off as long as there is no value.
func classWithOptionalIngress(w *world) *class {
	return w.vipClass(patched("optional", `{{ if .ingressVip }}true{{ end }}`, "infrastructure", "/spec/template/spec/ingressVIP",
		clusterv1.JSONPatchValue{Variable: "ingressVip"}))
}

// Without the variable the patch of this class would fail, and with it the topology
// of the Cluster: so everything stays until the class can do without it.
func TestDisableIngressVariableInUse(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass(toInfrastructure("ingressVip", "/spec/template/spec/ingressVIP"))
	w.pool(serving(controlPlane, k))
	in := w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(ingress, in.address(0)))
	c.build()
	c.change(annotated(ingress.enabled(), "false"))
	c.becomes(reason(ingress, "VariableInUse", "ingressVip", k.name), variable("ingressVip", in.address(0)))
	w.barrier()
	if c.address(ingress) != in.address(0) {
		t.Error("the claim is gone")
	}
	k.change(unpatched("ingressVip"))
	c.becomes(reason(ingress, "Disabled"), noVariable("ingressVip"), unstamped(ingress))
	in.uses(0)
}

// What the user put into the variable is not ours to remove.
func TestDisableIngressKeepsForeignValue(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	w.pool(serving(controlPlane, k))
	in := w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(ingress, in.address(0)))
	ip := newIP()
	c.change(set("ingressVip", ip))
	c.becomes(reason(ingress, "ClaimUnused"))
	c.change(annotated(ingress.enabled(), "false"))
	c.becomes(reason(ingress, "Disabled"), variable("ingressVip", ip), written(ingress, ""))
	in.uses(0)

	manual := w.cluster(k, set("ingressVip", newIP()), annotated(ingress.enabled(), "false"))
	before := manual.becomes(reason(ingress, "Disabled"))
	manual.is(variable("ingressVip", valueAt(before, "ingressVip")))
}

// The control-plane claim backs the endpoint, which cannot be withdrawn: it stays.
func TestDisableControlPlaneKeepsAClaimInUse(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp := w.pool(serving(controlPlane, k))
	w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)))
	uid := c.claim(controlPlane).UID
	c.change(annotated(controlPlane.enabled(), "false"))
	c.becomes(reason(controlPlane, "Disabled"), endpoint(cp.address(0), 6443), variable("clusterVip", cp.address(0)))
	w.barrier()
	if claim := c.claim(controlPlane); claim == nil || claim.UID != uid {
		t.Error("the claim is gone")
	}

	// Nor does another endpoint free an address that the variable still names.
	ip := newIP()
	c.change(at(ip, 6443))
	w.barrier()
	if claim := c.claim(controlPlane); claim == nil || claim.UID != uid {
		t.Error("the claim is gone although the variable names its address")
	}
	c.is(variable("clusterVip", cp.address(0)))
}

// A claim that backs nothing is released: see also TestUpgradeBurntClaim.
func TestDisableControlPlaneReleasesAnUnusedClaim(t *testing.T) {
	w := newWorld(t)
	k := w.class()
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k)
	c.becomes(endpoint(p.address(0), 6443), reason(controlPlane, "Allocated"))
	ip := newIP()
	c.change(at(ip, 6443), annotated(controlPlane.stamp(), ip))
	c.becomes(reason(controlPlane, "ClaimUnused", ip))
	c.change(annotated(controlPlane.enabled(), "false"))
	c.becomes(reason(controlPlane, "Disabled"), endpoint(ip, 6443))
	p.uses(0)
}
