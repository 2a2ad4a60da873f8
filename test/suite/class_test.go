package suite

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// endpointSchema is an object variable with the address in one field and the port
// beside it, as several infrastructure providers ship it.
var endpointSchema = clusterv1.JSONSchemaProps{
	Type: "object",
	Properties: map[string]clusterv1.JSONSchemaProps{
		"host": {Type: "string"},
		"port": {Type: "integer", Default: raw("6443")},
		"more": {Type: "string"},
	},
}

// While the class is missing the claims are made, but the Cluster is left alone:
// every update of it would be refused after seconds.
func TestClassAppearsLater(t *testing.T) {
	w := newWorld(t)
	k := w.draftClass(declares("clusterVip", text), declares("ingressVip", text))
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	since := w.mark()
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "ClassNotFound", k.name), reason(ingress, "ClassNotFound", k.name))
	w.eventually("both claims are bound", func() error {
		return wanted([]string{c.address(controlPlane), c.address(ingress)}, cp.address(0), in.address(0))
	})
	w.barrier()
	c.is(noEndpoint(), unstamped(controlPlane), unstamped(ingress))
	if patches := w.writes(since, about(c), writesOf("patch", "clusters")); len(patches) > 0 {
		t.Errorf("the Cluster was patched: %s", describe(patches[0]))
	}
	c.rests()
	k.create()
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
}

// A class whose variables Cluster API has not read yet is as good as none.
func TestClassNotReady(t *testing.T) {
	w := newWorld(t)
	k := w.draftClass(declares("clusterVip", text), annotated(pausedAnnotation, "true"))
	p := w.pool(serving(controlPlane, k))
	k.create()
	since := w.mark()
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "ClassNotReady", k.name))
	c.is(noEndpoint(), unstamped(controlPlane))
	if patches := w.writes(since, about(c), writesOf("patch", "clusters")); len(patches) > 0 {
		t.Errorf("the Cluster was patched: %s", describe(patches[0]))
	}
	c.rests()
	k.change(without(pausedAnnotation))
	c.becomes(has(controlPlane, p.address(0)))
}

// A class may live in another namespace; its pools name it with or without that.
func TestClassInAnotherNamespace(t *testing.T) {
	w := newWorld(t)
	elsewhere := w.newNamespace()
	k := w.vipClass(inNamespace(elsewhere))
	cp := w.pool(serving(controlPlane, k))
	in := w.pool(labelled(poolRole, "ingress"), annotated(poolClass, elsewhere+"/"+k.name))
	w.cluster(k).becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
}

// The class says which variable, or which field of one, takes the address. The port
// beside it becomes that of the endpoint.
func TestClassNamesItsVariables(t *testing.T) {
	w := newWorld(t)
	k := w.class(
		annotated(controlPlane.variableKey(), "api.host"), declares("api", endpointSchema),
		annotated(ingress.variableKey(), "frontend"), declares("frontend", text))
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))

	partial := w.cluster(k, set("api", map[string]any{"port": 8443, "more": "kept"}))
	partial.becomes(
		endpoint(cp.address(0), 8443), variable("api", map[string]any{"host": cp.address(0), "port": 8443, "more": "kept"}),
		written(controlPlane, "api.host"), reason(controlPlane, "Allocated"),
		variable("frontend", in.address(0)), written(ingress, "frontend"), reason(ingress, "Allocated"))

	absent := w.cluster(k)
	absent.becomes(
		endpoint(cp.address(1), 6443), variable("api.host", cp.address(1)), variable("api.port", 6443),
		written(controlPlane, "api.host"), reason(controlPlane, "Allocated"))
}

// Both roles may live in one object variable.
func TestClassWithOneVariableForBothRoles(t *testing.T) {
	w := newWorld(t)
	field := clusterv1.JSONSchemaProps{Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"ip": {Type: "string"}}}
	k := w.class(
		declares("vips", clusterv1.JSONSchemaProps{Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"api": field, "web": field}}),
		annotated(controlPlane.variableKey(), "vips.api.ip"), annotated(ingress.variableKey(), "vips.web.ip"))
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(endpoint(cp.address(0), 6443), variable("vips", map[string]any{
		"api": map[string]any{"ip": cp.address(0)}, "web": map[string]any{"ip": in.address(0)},
	}), written(controlPlane, "vips.api.ip"), written(ingress, "vips.web.ip"))
}

// A variable that cannot take the address is a reason, which names class, variable
// and what is wrong; nothing is written, and a class that is mended helps at once.
func TestClassVariableRefusesTheAddress(t *testing.T) {
	t.Parallel()
	enum := text
	enum.Enum = []apiextensionsv1.JSON{*raw(`"192.0.2.1"`), *raw(`"192.0.2.2"`)}
	wrongType := clusterv1.JSONSchemaProps{Type: "integer"}
	pattern := text
	pattern.Pattern = `^192\.`
	for name, test := range map[string]struct {
		schema clusterv1.JSONSchemaProps
		path   string
		says   string
	}{
		"wrong type":    {wrongType, "clusterVip", "integer"},
		"no such field": {endpointSchema, "clusterVip.address", "address"},
		"enum":          {enum, "clusterVip", "192.0.2.1"},
		"pattern":       {pattern, "clusterVip", "192"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(declares("clusterVip", test.schema), annotated(controlPlane.variableKey(), test.path))
			p := w.pool(serving(controlPlane, k))
			since := w.mark()
			c := w.cluster(k)
			c.becomes(reason(controlPlane, "VariableRefused", test.path, k.name, test.says))
			w.barrier()
			c.is(noEndpoint(), unstamped(controlPlane), noVariable(test.path))
			if patches := w.writes(since, about(c), writesOf("patch", "clusters")); len(patches) > 0 {
				t.Errorf("the Cluster was patched: %s", describe(patches[0]))
			}
			c.rests()
			k.change(declares("clusterVip", text), without(controlPlane.variableKey()))
			c.becomes(has(controlPlane, p.address(0)))
		})
	}
}

// What only the API server can judge is tried, reported with its answer, and keeps
// the other role from nothing.
func TestClassRuleRefusesTheAddress(t *testing.T) {
	w := newWorld(t)
	rule := text
	rule.XValidations = []clusterv1.ValidationRule{{Rule: "self.startsWith('192.')", Message: "only 192 will do"}}
	k := w.class(declares("clusterVip", text), declares("ingressVip", rule))
	cp := w.pool(serving(controlPlane, k))
	w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), reason(ingress, "PatchRefused", "only 192 will do"), noVariable("ingressVip"), unstamped(ingress))
	if claim := c.claim(ingress); claim == nil {
		t.Error("the claim is gone")
	}
}

// A class whose rule is mended gets its variable at once, and no later than that the
// patch is tried again by itself.
func TestClassRuleIsMended(t *testing.T) {
	w := newWorld(t)
	rule := text
	rule.XValidations = []clusterv1.ValidationRule{{Rule: "self.startsWith('192.')", Message: "only 192 will do"}}
	k := w.class(declares("ingressVip", rule))
	in := w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(reason(ingress, "PatchRefused"))
	c.rests()
	k.change(declares("ingressVip", text))
	c.becomes(has(ingress, in.address(0)))
}

// A class that stops to declare the variable makes every update of its Clusters
// invalid as long as the value stays, so ours is taken away.
func TestClassDropsTheVariable(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	c.build()
	k.change(undeclared("ingressVip"))
	c.becomes(noVariable("ingressVip"), written(ingress, writtenNone), stamped(ingress, in.address(0)), reason(ingress, "Allocated"),
		has(controlPlane, cp.address(0)))
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
