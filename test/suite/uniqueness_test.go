package suite

import (
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// An address that any Cluster uses is not published for another one, wherever it
// stands and however it is written. As soon as the clash is gone it is.
func TestUniquenessOfAddressesInUse(t *testing.T) {
	t.Parallel()
	unserved := labelled(watchFilterLabel, "nobody")
	for name, holder := range map[string]func(w *world, k *class, address string) *cluster{
		"an endpoint": func(w *world, k *class, address string) *cluster { return w.cluster(k, unserved, at(address, 6443)) },
		"an endpoint without topology": func(w *world, _ *class, address string) *cluster {
			return w.cluster(nil, unserved, at(address, 6443), clusterFunc(func(c *clusterv1.Cluster) {
				c.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DemoCluster", Name: "none"}
			}))
		},
		"an endpoint of a paused Cluster": func(w *world, k *class, address string) *cluster {
			return w.cluster(k, at(address, 6443), paused(true))
		},
		"an endpoint in IPv6 notation": func(w *world, k *class, address string) *cluster {
			return w.cluster(k, unserved, at("::ffff:"+address, 6443))
		},
		"a variable": func(w *world, k *class, address string) *cluster {
			return w.cluster(k, unserved, set("clusterVip", address))
		},
		"the ingress variable": func(w *world, k *class, address string) *cluster {
			return w.cluster(k, unserved, set("ingressVip", address))
		},
		"a field of a variable": func(w *world, _ *class, address string) *cluster {
			other := w.class(annotated(controlPlane.variableKey(), "api.host"), declares("api", endpointSchema))
			return w.cluster(other, unserved, set("api", map[string]any{"host": address}))
		},
		"a stamp": func(w *world, k *class, address string) *cluster {
			return w.cluster(k, unserved, annotated(ingress.stamp(), address))
		},
		"another namespace": func(w *world, k *class, address string) *cluster {
			return w.cluster(k, unserved, at(address, 6443), inNamespace(w.newNamespace()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.vipClass()
			p := w.pool(serving(controlPlane, k), size(1))
			holder := holder(w, k, p.address(0))
			c := w.cluster(k, annotated(ingress.enabled(), "false"))
			c.becomes(reason(controlPlane, "AddressInUse", p.address(0), p.name, holder.namespace+"/"+holder.name))
			w.barrier()
			c.is(noEndpoint(), noVariable("clusterVip"), unstamped(controlPlane), written(controlPlane, ""))
			if name == "an endpoint of a paused Cluster" {
				holder.change(paused(false)) // or it could not be deleted
			}
			c.rests()
			holder.remove()
			c.becomes(has(controlPlane, p.address(0)))
		})
	}
}

// The clash may also end by an edit.
func TestUniquenessClashEndsByEdit(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), size(1))
	holder := w.cluster(k, labelled(watchFilterLabel, "nobody"), at(p.address(0), 6443))
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "AddressInUse", holder.name))
	c.rests()
	holder.change(at(newIP(), 6443))
	c.becomes(has(controlPlane, p.address(0)))
}

// An address that a stranger got from an overlapping pool is in use too.
func TestUniquenessOfForeignIPAddress(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), size(1))
	overlapping := w.pool(ranges(p.address(0)))
	overlapping.take("stranger")
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "AddressInUse", p.address(0), "IPAddress", w.namespace+"/stranger"), noEndpoint())
	c.rests()
	overlapping.giveBack("stranger")
	c.becomes(has(controlPlane, p.address(0)))
}

// The roles of one Cluster do not share an address either.
func TestUniquenessBetweenRoles(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp := w.pool(serving(controlPlane, k), size(1))
	in := w.pool(serving(ingress, k), ranges(cp.address(0)))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), reason(ingress, "AddressInUse", in.name), noVariable("ingressVip"), unstamped(ingress))

	other := w.pool(serving(controlPlane, k), size(1), annotated(bookManual, "false"))
	manual := w.cluster(k, set("ingressVip", other.address(0)))
	manual.becomes(reason(ingress, "Manual"), reason(controlPlane, "AddressInUse", other.address(0)), noEndpoint())
}

// A clash that users made is reported on both sides, never "fixed".
func TestUniquenessManualClash(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	ip := newIP()
	a, b := w.cluster(k, at(ip, 6443)), w.cluster(k, at(ip, 6443))
	a.becomes(reason(controlPlane, "Manual", ip, w.namespace+"/"+b.name), endpoint(ip, 6443))
	b.becomes(reason(controlPlane, "Manual", ip, w.namespace+"/"+a.name), endpoint(ip, 6443))
	own := newIP()
	b.change(at(own, 6443), set("clusterVip", own), annotated(controlPlane.stamp(), own))
	for _, c := range []*cluster{a, b} {
		w.eventually("the report is taken back", func() error {
			condition := conditionOf(c.now(), controlPlane)
			return absent(condition, w.namespace+"/")
		})
	}
}

// So is a user who takes the address of a Cluster that has it from a pool.
func TestUniquenessLaterClash(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	a := w.cluster(k)
	a.becomes(has(controlPlane, p.address(0)))
	a.rests()
	b := w.cluster(k, at(p.address(0), 6443))
	a.becomes(reason(controlPlane, "DuplicateAddress", p.address(0), b.name), endpoint(p.address(0), 6443), stamped(controlPlane, p.address(0)))
	b.becomes(reason(controlPlane, "Manual", p.address(0), a.name), endpoint(p.address(0), 6443))
	a.rests()
	b.remove()
	a.becomes(has(controlPlane, p.address(0)))
}

// A claim that is bound to an address in use moves by itself, as soon as a pool that serves
// the Cluster has another address.
func TestUniquenessRemedies(t *testing.T) {
	t.Parallel()
	for name, remedy := range map[string]func(w *world, k *class, p *pool) (address string){
		"another pool": func(w *world, k *class, _ *pool) string { return w.pool(serving(controlPlane, k)).address(0) },
		"a larger pool": func(_ *world, _ *class, p *pool) string {
			p.change(size(2))
			return p.address(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(declares("clusterVip", text))
			p := w.pool(serving(controlPlane, k), size(1))
			holder := w.cluster(k, labelled(watchFilterLabel, "nobody"), at(p.address(0), 6443))
			c := w.cluster(k)
			c.becomes(reason(controlPlane, "AddressInUse", holder.name, "add a pool"))
			c.rests()
			c.becomes(has(controlPlane, remedy(w, k, p)))
		})
	}
}
