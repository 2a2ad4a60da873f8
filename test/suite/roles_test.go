package suite

import (
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// The roles do not wait for each other.
func TestRolesAreIndependent(t *testing.T) {
	t.Parallel()
	for _, r := range bothRoles {
		other := ingress
		if r == ingress {
			other = controlPlane
		}
		t.Run("only a pool for "+string(r), func(t *testing.T) {
			w := newWorld(t)
			k := w.vipClass()
			p := w.pool(serving(r, k))
			c := w.cluster(k)
			c.becomes(has(r, p.address(0)), reason(other, "NoPool", k.name, string(other)))
			c.rests()
			late := w.pool(serving(other, k))
			c.becomes(has(r, p.address(0)), has(other, late.address(0)))
		})
	}
}

// A Cluster of a class that has nothing to do with VIPs hears nothing of us: no
// claim, no condition, no event, no error. A pool for every class does not change
// that.
func TestRolesForeignClusterIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	foreign := w.class()
	for _, r := range bothRoles {
		w.pool(namespaced(), labelled(poolRole, string(r)), annotated(poolClass, "*"))
	}
	since := w.mark()
	c := w.cluster(foreign)
	off := w.cluster(foreign, annotated(backfill, "true"))
	w.untouched(since, c, off)
	c.is(noCondition(controlPlane), noCondition(ingress), noEndpoint())
	if events := c.events(); len(events) > 0 {
		t.Errorf("there are events: %q", events)
	}
}

// The control-plane role of a class that does not declare the variable is asked for
// by a pool that names the class, before infrastructure only; the ingress role always.
func TestRolesByPoolName(t *testing.T) {
	w := newWorld(t)
	k := w.class(open())
	old := w.cluster(k)
	old.becomes(built())
	since := w.mark()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	old.becomes(stamped(ingress, in.address(0)), reason(ingress, "Allocated"))
	w.barrier()
	old.is(noEndpoint(), noCondition(controlPlane), unstamped(controlPlane))
	if claim := old.claim(controlPlane); claim != nil {
		t.Error("there is a control-plane claim")
	}
	for _, e := range w.writes(since, about(old), writesOf("create", "ipaddressclaims")) {
		if e.Object.Name != ingress.claim(old.name) {
			t.Errorf("unexpected write: %s", describe(e))
		}
	}
	gated := w.class()
	cp.change(annotated(poolClass, k.name+","+gated.name))
	w.cluster(gated).becomes(endpoint(cp.address(0), 6443), reason(controlPlane, "Allocated"))
}

// Only "false" disables. Any other value means enabled and is reported.
func TestRolesOnlyFalseDisables(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k, annotated(ingress.enabled(), "no"), annotated(controlPlane.enabled(), "False"))
	c.becomes(
		endpoint(cp.address(0), 6443), reason(controlPlane, "Allocated", `"False"`, controlPlane.enabled()),
		stamped(ingress, in.address(0)), reason(ingress, "Allocated", `"no"`, ingress.enabled()))
	quiet := w.cluster(k, annotated(ingress.enabled(), "true"))
	object := quiet.becomes(reason(ingress, "Allocated"))
	for _, condition := range object.Status.Conditions {
		if condition.Type == observe.IngressReady && len(condition.Message) > 200 {
			t.Errorf("a legal value is reported: %s", condition.Message)
		}
	}
}

// A role that has its VIP goes on to apply when nothing asks for it any more: the
// VIP is in use. It is healed as ever.
func TestRolesStayOnceAllocated(t *testing.T) {
	w := newWorld(t)
	k := w.class()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"))
	for _, p := range []*pool{cp, in} {
		p.change(without(poolRole), without(poolClass))
	}
	w.barrier()
	c.is(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"), stamped(ingress, in.address(0)))
	c.change(without(ingress.hasVIP()), at("", 0))
	c.becomes(endpoint(cp.address(0), 6443), stamped(ingress, in.address(0)))
}

// A claim that is still pending when nobody asks for the role any more is deleted,
// and the condition goes with it.
func TestRolesPendingClaimIsDroppedWithTheRole(t *testing.T) {
	w := newWorld(t)
	k := w.class()
	p := w.pool(serving(ingress, k), size(1))
	c := w.pendingOn(k, ingress, p)
	c.becomes(reason(ingress, "PoolExhausted"))
	p.change(without(poolClass), without(poolRole))
	w.gone(observe.Claims, c.namespace, ingress.claim(c.name))
	c.becomes(noCondition(ingress))
}
