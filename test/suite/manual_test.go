package suite

import (
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// manual expects a VIP that a user chose: it is published, but not as ours.
func manual(r role, value string) expectation {
	return all(reason(r, "Manual", value), stamped(r, value), written(r, ""))
}

// usesNoPool asserts that no claim exists and no address of the pools is taken.
func (c *cluster) usesNoPool(pools ...*pool) {
	c.w.t.Helper()
	c.w.useNoPool([]*cluster{c}, pools...)
}

func (w *world) useNoPool(crowd []*cluster, pools ...*pool) {
	w.t.Helper()
	w.barrier()
	for _, c := range crowd {
		if claims := c.claims(); len(claims) > 0 {
			w.t.Errorf("there are claims: %q", claims)
		}
	}
	for _, p := range pools {
		if used := p.now().Status.IPAddresses.Used; used != 0 {
			w.t.Errorf("%d addresses of pool %s are used", used, p.name)
		}
	}
}

// Before infrastructure a value that the user chose is copied to the places that
// are empty, whichever place he chose.
func TestManualValueIsCopied(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	off := func(r role) clusterOption { return annotated(r.enabled(), "false") }

	ip := newIP()
	full := w.cluster(k, at(ip, 7443), off(ingress))
	full.becomes(manual(controlPlane, ip), endpoint(ip, 7443), variable("clusterVip", ip))

	hostOnly := newIP()
	host := w.cluster(k, at(hostOnly, 0), off(ingress))
	host.becomes(manual(controlPlane, hostOnly), endpoint(hostOnly, 6443), variable("clusterVip", hostOnly))

	inVariable := newIP()
	cpVariable := w.cluster(k, set("clusterVip", inVariable), off(ingress))
	cpVariable.becomes(manual(controlPlane, inVariable), endpoint(inVariable, 6443), variable("clusterVip", inVariable))

	ingressIP := newIP()
	ingressVariable := w.cluster(k, set("ingressVip", ingressIP), off(controlPlane))
	ingressVariable.becomes(manual(ingress, ingressIP), variable("ingressVip", ingressIP), noEndpoint())

	annotation := newIP()
	ingressAnnotation := w.cluster(k, annotated(ingress.stamp(), annotation), off(controlPlane))
	ingressAnnotation.becomes(manual(ingress, annotation), variable("ingressVip", annotation))

	w.useNoPool([]*cluster{full, host, cpVariable, ingressVariable, ingressAnnotation}, cp, in)
}

// One role by hand, the other out of the pool.
func TestManualRoleLeavesTheOtherAlone(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	ip := newIP()
	w.cluster(k, at(ip, 6443)).becomes(manual(controlPlane, ip), has(ingress, in.address(0)))
	other := newIP()
	w.cluster(k, set("ingressVip", other)).becomes(has(controlPlane, cp.address(0)), manual(ingress, other))
}

// A host alone gets the port that stands beside it in an object variable.
func TestManualPortFromObjectVariable(t *testing.T) {
	w := newWorld(t)
	k := w.class(annotated(controlPlane.variableKey(), "api.host"), declares("api", endpointSchema))
	ip := newIP()
	c := w.cluster(k, at(ip, 0), set("api", map[string]any{"port": 9443}))
	c.becomes(endpoint(ip, 9443), variable("api", map[string]any{"host": ip, "port": 9443}), manual(controlPlane, ip))
}

// A default of the class is nobody's choice.
func TestManualIsNotTheDefaultOfTheClass(t *testing.T) {
	w := newWorld(t)
	placeholder := text
	placeholder.Default = raw(`"192.0.2.254"`)
	empty := clusterv1.JSONSchemaProps{Type: "string", Default: raw(`""`)}
	k := w.class(declares("clusterVip", placeholder), declares("ingressVip", empty))
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
}

// A host name is accepted, and copied where the schema of the variable takes it.
func TestManualHostName(t *testing.T) {
	w := newWorld(t)
	const name = "api.example.com"
	free := w.class(declares("clusterVip", text))
	w.cluster(free, at(name, 6443)).becomes(reason(controlPlane, "Manual", name), endpoint(name, 6443), variable("clusterVip", name))

	address := text
	address.Format = "ipv4"
	strict := w.class(declares("clusterVip", address))
	p := w.pool(serving(controlPlane, strict))
	c := w.cluster(strict, at(name, 0))
	c.becomes(reason(controlPlane, "Manual", name), endpoint(name, 6443), noVariable("clusterVip"))
	c.usesNoPool(p)
}

// A bad address is reported, but stays the VIP: the user said so.
func TestManualBadAddressIsReported(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	var crowd []*cluster
	for _, bad := range []string{"127.0.0.1", "224.0.0.1", "fe80::1", "0.0.0.0"} {
		c := w.cluster(k, at(bad, 6443))
		c.becomes(reason(controlPlane, "Manual", bad, "not a usable unicast address"), endpoint(bad, 6443))
		crowd = append(crowd, c)
	}
	w.useNoPool(crowd, p)
}

// Of a Cluster that runs already only the missing port is written; what its
// machines are made of is not touched.
func TestManualOnRunningCluster(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass(open())
	ip := newIP()
	c := w.cluster(k, at(ip, 0), labelled(watchFilterLabel, "later"))
	c.becomes(built())
	p := w.pool(serving(controlPlane, k))
	q := w.pool(serving(ingress, k), namespacedOnly("nowhere"))
	c.change(labelled(watchFilterLabel, w.filter))
	c.becomes(reason(controlPlane, "Manual", ip), endpoint(ip, 6443), noVariable("clusterVip"), unstamped(controlPlane), written(controlPlane, ""))
	c.usesNoPool(p, q)
}

// An endpoint that infrastructure brought counts like one set by hand.
func TestManualEndpointFromInfrastructure(t *testing.T) {
	w := newWorld(t)
	k := w.class(open(), declares("clusterVip", text))
	c := w.cluster(k)
	c.becomes(built(), reason(controlPlane, "NoPool"))
	ip := newIP()
	c.provision(ip)
	c.becomes(endpoint(ip, 6443), reason(controlPlane, "Manual", ip), noVariable("clusterVip"))
	p := w.pool(serving(controlPlane, k))
	c.usesNoPool(p)
}

// An endpoint is never changed: neither one that contradicts the variable, nor one
// that the user moves later.
func TestManualEndpointIsNeverChanged(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	ip, other, third := newIP(), newIP(), newIP()
	c := w.cluster(k, at(ip, 6443), set("clusterVip", other))
	c.becomes(reason(controlPlane, "Manual", ip), endpoint(ip, 6443), variable("clusterVip", other))
	c.change(at(third, 6444))
	c.becomes(reason(controlPlane, "Manual", third), endpoint(third, 6444))
}
