package suite

import (
	"testing"
)

// A class that stops to declare the variable makes every update of its Clusters
// invalid as long as the value stays, so ours is taken away.
func TestClassDropsTheVariable(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	c.build()
	c.rests()
	k.change(undeclared("ingressVip"))
	c.becomes(noVariable("ingressVip"), written(ingress, writtenNone), stamped(ingress, in.address(0)), reason(ingress, "Allocated"),
		has(controlPlane, cp.address(0)))
	c.change(annotated("example.com/editable", "again"))
}

// An object variable goes as a whole: what is left of it would be refused as well.
func TestClassDropsTheObjectVariable(t *testing.T) {
	w := newWorld(t)
	k := w.class(annotated(controlPlane.variableKey(), "api.host"), declares("api", endpointSchema))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k)
	c.becomes(variable("api", map[string]any{"host": p.address(0), "port": 6443}), written(controlPlane, "api.host"), reason(controlPlane, "Allocated"))
	c.rests()
	k.change(undeclared("api"))
	c.becomes(noVariable("api"), written(controlPlane, writtenNone), endpoint(p.address(0), 6443), reason(controlPlane, "Allocated"))
	c.change(annotated("example.com/editable", "again"))
}

// The value that replaced ours is the user's, and stays for him to take away.
func TestClassDropsTheVariableWithAnotherValue(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	in := w.pool(serving(ingress, k))
	w.pool(serving(controlPlane, k))
	c := w.cluster(k)
	c.becomes(has(ingress, in.address(0)))
	ip := newIP()
	c.change(set("ingressVip", ip))
	c.becomes(reason(ingress, "ClaimUnused", ip))
	k.change(undeclared("ingressVip"))
	w.barrier()
	c.is(variable("ingressVip", ip))
}

// A variable that the class gains later is not filled on a running Cluster; before
// infrastructure it is.
func TestClassGainsTheVariable(t *testing.T) {
	w := newWorld(t)
	k := w.class()
	cp := w.pool(serving(controlPlane, k))
	running, young := w.cluster(k), w.cluster(k)
	for _, c := range []*cluster{running, young} {
		c.becomes(reason(controlPlane, "Allocated"), written(controlPlane, writtenNone))
	}
	running.build()
	k.change(declares("clusterVip", text))
	young.becomes(endpoint(young.address(controlPlane), 6443), variable("clusterVip", young.address(controlPlane)), written(controlPlane, "clusterVip"))
	running.becomes(reason(controlPlane, "VariableNotBackfilled", "clusterVip", backfill), noVariable("clusterVip"), written(controlPlane, writtenNone))
	running.change(annotated(backfill, "true"))
	running.becomes(has(controlPlane, running.address(controlPlane)))
	if cp.now().Status.IPAddresses.Used != 2 {
		t.Error("more addresses are used than there are Clusters")
	}
}

// A class that names another variable from now on: a running Cluster is left as it is.
func TestClassNamesAnotherVariable(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text), declares("newVip", text))
	w.pool(serving(controlPlane, k))
	running, young := w.cluster(k), w.cluster(k)
	for _, c := range []*cluster{running, young} {
		c.becomes(reason(controlPlane, "Allocated"), written(controlPlane, "clusterVip"), noVariable("newVip"))
	}
	running.build()
	k.change(annotated(controlPlane.variableKey(), "newVip"))
	young.becomes(variable("newVip", young.address(controlPlane)), written(controlPlane, "newVip"), reason(controlPlane, "Allocated"))
	running.becomes(reason(controlPlane, "VariableNotBackfilled", "newVip"), noVariable("newVip"), variable("clusterVip", running.address(controlPlane)))
}
