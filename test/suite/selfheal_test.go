package suite

import (
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// Whatever a re-apply strips is put back from the claim, before infrastructure and
// after.
func TestSelfHealStripped(t *testing.T) {
	t.Parallel()
	strips := map[string]clusterOption{
		"the endpoint":    at("", 0),
		"the host":        at("", 6443),
		"the variable":    unset("clusterVip"),
		"all variables":   clusterFunc(func(c *clusterv1.Cluster) { c.Spec.Topology.Variables = nil }),
		"the stamp":       without(ingress.stamp()),
		"the annotations": clusterFunc(func(c *clusterv1.Cluster) { c.Annotations = nil }),
		"the labels": clusterFunc(func(c *clusterv1.Cluster) {
			c.Labels = map[string]string{watchFilterLabel: c.Labels[watchFilterLabel], clusterNameLabel: c.Labels[clusterNameLabel]}
		}),
		"everything": clusterFunc(func(c *clusterv1.Cluster) {
			c.Annotations, c.Spec.Topology.Variables, c.Spec.ControlPlaneEndpoint = nil, nil, clusterv1.APIEndpoint{}
			c.Labels = map[string]string{watchFilterLabel: c.Labels[watchFilterLabel]}
		}),
	}
	for _, state := range []string{"before infrastructure", "on a running cluster"} {
		t.Run(state, func(t *testing.T) {
			w := newWorld(t)
			k := w.vipClass()
			w.pool(serving(controlPlane, k))
			w.pool(serving(ingress, k))
			crowd := map[string]*cluster{}
			for name := range strips {
				crowd[name] = w.cluster(k)
			}
			for name, c := range crowd {
				cp, in := "", ""
				c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"))
				if state == "on a running cluster" {
					c.build()
					if name == "everything" || name == "the annotations" {
						// With the -written annotation the right to fill the variable is lost.
						continue
					}
				}
				cp, in = c.address(controlPlane), c.address(ingress)
				c.change(strips[name])
				w.t.Logf("stripped %s of %s", name, c.name)
				c.becomes(has(controlPlane, cp), has(ingress, in))
				if got := c.address(controlPlane) + " " + c.address(ingress); got != cp+" "+in {
					t.Errorf("the addresses became %s", got)
				}
			}
		})
	}
}

// A running Cluster that lost all its annotations is met for the first time: a
// variable that holds the address is ours again, one that does not stays empty.
func TestSelfHealWithoutRecord(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	c.build()
	c.change(clusterFunc(func(o *clusterv1.Cluster) { o.Annotations = nil }), unset("ingressVip"))
	c.becomes(has(controlPlane, cp.address(0)),
		stamped(ingress, in.address(0)), noVariable("ingressVip"), written(ingress, writtenNone), reason(ingress, "VariableNotBackfilled"))
}

// An emptied variable that is not ours is left alone on a running Cluster.
func TestSelfHealNotOurs(t *testing.T) {
	w := newWorld(t)
	k := w.class()
	p := w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(stamped(ingress, p.address(0)), written(ingress, writtenNone))
	c.build()
	k.change(declares("ingressVip", text))
	c.becomes(reason(ingress, "VariableNotBackfilled"))
	c.change(set("ingressVip", p.address(0)))
	c.becomes(reason(ingress, "Allocated"))
	c.change(unset("ingressVip"))
	c.becomes(reason(ingress, "VariableNotBackfilled"), noVariable("ingressVip"))
}

// A wrong stamp or a missing port is mended.
func TestSelfHealForged(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	c.change(labelled(ingress.stamp(), "10.0.0.1"), labelled(controlPlane.hasVIP(), "false"), annotated(controlPlane.stamp(), "10.0.0.2"),
		at(cp.address(0), 0))
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
}

// The user's word is the last: another endpoint, or another ingress variable, is the
// VIP from then on. It is never changed back, and the claim that lost its use is
// reported with the way to be rid of it.
func TestSelfHealYieldsToTheUser(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	host, vip := newIP(), newIP()
	c.change(at(host, 6443), unset("clusterVip"), set("ingressVip", vip))
	c.becomes(
		endpoint(host, 6443), variable("clusterVip", host), reason(controlPlane, "ClaimUnused", host, cp.address(0)),
		variable("ingressVip", vip), reason(ingress, "ClaimUnused", vip, in.address(0)))
	w.barrier()
	c.is(endpoint(host, 6443), variable("clusterVip", host), variable("ingressVip", vip))
	if claims := c.claims(); len(claims) != 2 {
		t.Errorf("the claims are %q", claims)
	}
	c.change(at(cp.address(0), 6443), set("clusterVip", cp.address(0)), set("ingressVip", in.address(0)))
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
}

// A VIP whose every trace was stripped is put back even if its pool serves others
// by now: it was this Cluster's before.
func TestSelfHealFromAPoolThatServesOthersNow(t *testing.T) {
	w := newWorld(t)
	k := w.class()
	p := w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(stamped(ingress, p.address(0)), reason(ingress, "Allocated"))
	p.change(annotated(poolClass, "other"))
	w.barrier()
	c.change(without(ingress.stamp()))
	c.becomes(stamped(ingress, p.address(0)), reason(ingress, "Allocated"))
}
