package suite

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

const (
	portVariableKey = "vip.capi.gorizond.io/control-plane-port-variable"
	endpointPath    = "/spec/template/spec/controlPlaneEndpoint"
)

// apiServerPort sets the port of the Cluster's network.
func apiServerPort(port int32) clusterFunc {
	return func(c *clusterv1.Cluster) { c.Spec.ClusterNetwork.APIServerPort = port }
}

// infrastructureAt waits until infrastructure exists and expects its endpoint.
func (c *cluster) infrastructureAt(host string, port int64) {
	c.w.t.Helper()
	c.becomes(built())
	endpoint, _, _ := unstructured.NestedMap(c.infrastructure().Object, "spec", "controlPlaneEndpoint")
	if endpoint["host"] != host || endpoint["port"] != port {
		c.w.t.Errorf("infrastructure is built at %v, want %s:%d", endpoint, host, port)
	}
}

// Wherever a class keeps the port of the endpoint, the Cluster's endpoint and its
// infrastructure get the same one.
func TestThePortThatTheClassSays(t *testing.T) {
	t.Parallel()
	port := clusterv1.JSONSchemaProps{Type: "integer", Minimum: ptr.To[int64](1), Maximum: ptr.To[int64](65535)}
	withDefault := port
	withDefault.Default = raw("9443")
	object := func(port clusterv1.JSONSchemaProps, required ...string) clusterv1.JSONSchemaProps {
		return clusterv1.JSONSchemaProps{Type: "object", Required: required, Properties: map[string]clusterv1.JSONSchemaProps{"host": text, "port": port}}
	}
	inObject := []classOption{
		annotated(controlPlane.variableKey(), "api.host"),
		toInfrastructure("api.host", endpointPath+"/host"), toInfrastructure("api.port", endpointPath+"/port"),
	}
	ofItsOwn := []classOption{
		declares("clusterVip", text), annotated(portVariableKey, "apiPort"),
		toInfrastructure("clusterVip", endpointPath+"/host"), toInfrastructure("apiPort", endpointPath+"/port"),
	}
	for name, test := range map[string]struct {
		class   []classOption
		cluster []clusterOption
		want    int32
	}{
		"nowhere, and the Cluster has one":   {[]classOption{declares("clusterVip", text), toInfrastructure("clusterVip", endpointPath+"/host")}, []clusterOption{apiServerPort(6443)}, 6443},
		"in a variable":                      {append([]classOption{declares("apiPort", port)}, ofItsOwn...), []clusterOption{set("apiPort", 8443), apiServerPort(7443)}, 8443},
		"in a variable of digits":            {append([]classOption{declares("apiPort", text)}, ofItsOwn[:3]...), []clusterOption{set("apiPort", "8443")}, 6443},
		"as default of a variable":           {append([]classOption{declares("apiPort", withDefault)}, ofItsOwn...), nil, 9443},
		"beside the host":                    {append([]classOption{declares("api", object(port))}, inObject...), nil, 6443},
		"beside the host, by the Cluster":    {append([]classOption{declares("api", object(port))}, inObject...), []clusterOption{set("api", map[string]any{"port": 8443}), apiServerPort(7443)}, 8443},
		"beside the host, of its network":    {append([]classOption{declares("api", object(port))}, inObject...), []clusterOption{apiServerPort(7443)}, 7443},
		"beside the host, by default":        {append([]classOption{declares("api", object(withDefault))}, inObject...), []clusterOption{apiServerPort(7443)}, 9443},
		"beside the host, which requires it": {append([]classOption{declares("api", object(port, "host", "port"))}, inObject...), nil, 6443},
		"beside a host that the user typed":  {append([]classOption{declares("api", object(port))}, inObject...), []clusterOption{at("192.0.2.77", 9444)}, 9444},
		"beside a host whose port is typed":  {append([]classOption{declares("api", object(port))}, inObject...), []clusterOption{at("", 9444)}, 9444},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(append([]classOption{open()}, test.class...)...)
			p := w.pool(serving(controlPlane, k))
			c := w.cluster(k, test.cluster...)
			host := p.address(0)
			if strings.Contains(name, "that the user typed") {
				host = "192.0.2.77"
			}
			if strings.Contains(name, "digits") {
				// Cluster API refuses a string where the template has a number.
				c.becomes(endpoint(host, 8443))
				return
			}
			c.becomes(endpoint(host, test.want))
			c.infrastructureAt(host, int64(test.want))
			c.rests()
		})
	}
}

// What is written once is not derived anew, and that it differs is told.
func TestThePortOfARunningClusterStays(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text), annotated(portVariableKey, "apiPort"), declares("apiPort", clusterv1.JSONSchemaProps{Type: "integer"}))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k)
	c.becomes(endpoint(p.address(0), 6443), reason(controlPlane, "Allocated"))
	c.change(set("apiPort", 8443))
	c.becomes(endpoint(p.address(0), 6443), reason(controlPlane, "Allocated", "variable apiPort holds 8443", "port is 6443"))
	c.rests()
}

// A port that the class does not take is told instead of written again and again.
func TestThePortThatTheClassRefuses(t *testing.T) {
	w := newWorld(t)
	k := w.class(annotated(controlPlane.variableKey(), "api.host"), declares("api", clusterv1.JSONSchemaProps{
		Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"host": text, "port": {Type: "integer", Maximum: ptr.To[int64](7000)}},
	}))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k, apiServerPort(8443))
	c.becomes(reason(controlPlane, "VariableRefused", "api.port", "8443"), noEndpoint())
	c.rests()
	c.change(set("api", map[string]any{"port": 6443}))
	c.becomes(endpoint(p.address(0), 6443))
}

// One variable cannot hold two addresses.
func TestOneVariableNamedForBothRoles(t *testing.T) {
	w := newWorld(t)
	k := w.class(open(), declares("clusterVip", text), toInfrastructure("clusterVip", endpointPath+"/host"), annotated(ingress.variableKey(), "clusterVip"))
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(endpoint(cp.address(0), 6443), reason(controlPlane, "Allocated"), variable("clusterVip", cp.address(0)),
		reason(ingress, "VariableRefused", "clusterVip", ingress.variableKey()), unstamped(ingress))
	c.infrastructureAt(cp.address(0), 6443)
	c.rests()
	k.change(declares("ingressVip", text), annotated(ingress.variableKey(), "ingressVip"))
	c.becomes(reason(ingress, "VariableNotBackfilled"), stamped(ingress, in.address(0)), variable("clusterVip", cp.address(0)))
}

// A variable of a name that is near would be waited for without end.
func TestAVariableOfANearName(t *testing.T) {
	w := newWorld(t)
	k := w.class(open(), declares("clusterVIP", text), toInfrastructure("clusterVIP", endpointPath+"/host"))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k)
	c.becomes(endpoint(p.address(0), 6443), reason(controlPlane, "Allocated", "declares variable clusterVIP, not clusterVip"), unbuilt())
	w.eventually("the class has a warning", func() error { return k.warned("declares variable clusterVIP, not clusterVip") })
	k.change(annotated(controlPlane.variableKey(), "clusterVIP"))
	c.change(annotated("vip.capi.gorizond.io/backfill", "true"))
	c.becomes(variable("clusterVIP", p.address(0)))
	c.infrastructureAt(p.address(0), 6443)
}

// An entry of a list cannot be written; an object that may hold anything can.
func TestPathsInVariables(t *testing.T) {
	t.Parallel()
	t.Run("of a list", func(t *testing.T) {
		w := newWorld(t)
		k := w.class(annotated(controlPlane.variableKey(), "nets[0].vip"), declares("nets", clusterv1.JSONSchemaProps{
			Type: "array", Items: &clusterv1.JSONSchemaProps{Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"vip": text}},
		}))
		w.pool(serving(controlPlane, k))
		c := w.cluster(k)
		c.becomes(reason(controlPlane, "VariableRefused", "nets[0].vip", "list"), noEndpoint())
		c.rests()
	})
	t.Run("of an object that may hold anything", func(t *testing.T) {
		w := newWorld(t)
		k := w.class(open(), annotated(controlPlane.variableKey(), "free.api.host"), toInfrastructure("free.api.host", endpointPath+"/host"),
			declares("free", clusterv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}))
		p := w.pool(serving(controlPlane, k))
		c := w.cluster(k)
		c.becomes(endpoint(p.address(0), 6443), variable("free", map[string]any{"api": map[string]any{"host": p.address(0)}}), reason(controlPlane, "Allocated"))
		c.infrastructureAt(p.address(0), 6443)
	})
}

// A pool that names the class comes before one that serves every class.
func TestThePoolThatNamesTheClassComesFirst(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	byName := w.pool(labelled(poolRole, "control-plane"), annotated(poolClass, k.name), named("z"), namespaced())
	w.pool(labelled(poolRole, "control-plane"), annotated(poolClass, "*"), named("a"), namespaced())
	w.cluster(k).becomes(endpoint(byName.address(0), 6443))
}

// A pool whose addresses the class's variable does not take is passed over.
func TestAPoolWhoseAddressesTheClassRefuses(t *testing.T) {
	w := newWorld(t)
	four := text
	four.Format = "ipv4"
	k := w.class(declares("clusterVip", four))
	p := w.pool(serving(controlPlane, k))
	w.pool(serving(controlPlane, k), network(120, "fd00:77::10-fd00:77::20"), annotated("vip.capi.gorizond.io/priority", "9"))
	w.cluster(k).becomes(endpoint(p.address(0), 6443), reason(controlPlane, "Allocated"))

	k = w.class(declares("clusterVip", four))
	six := w.pool(serving(controlPlane, k), network(120, "fd00:78::10-fd00:78::20"))
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "VariableRefused", six.name, "refuses all of its addresses"), noEndpoint())
	if claim := c.claim(controlPlane); claim != nil {
		t.Errorf("there is claim %s", claim.Name)
	}
	c.rests()
	k.change(declares("clusterVip", text))
	c.becomes(reason(controlPlane, "Allocated"))
}

// A patch that is off for some Clusters is no gate, and what it is off by is told.
func TestAPatchThatIsOffIsNoGate(t *testing.T) {
	t.Parallel()
	enabled := clusterv1.JSONSchemaProps{Type: "boolean", Default: raw("false")}
	for name, test := range map[string]struct {
		enabledIf, says string
	}{
		"by default":   {"{{ .kubeVip.enabled }}", "is off unless variable kubeVip.enabled is true"},
		"by a version": {`{{ semverCompare ">= 1.37" .builtin.cluster.topology.version }}`, "is off unless the version is v1.99.0"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(open(), declares("clusterVip", text),
				declares("kubeVip", clusterv1.JSONSchemaProps{Type: "object", Default: raw("{}"), Properties: map[string]clusterv1.JSONSchemaProps{"enabled": enabled}}),
				patched("endpoint", test.enabledIf, "infrastructure", endpointPath+"/host", clusterv1.JSONPatchValue{Variable: "clusterVip"}))
			// Without a pool it has no VIP, and is built all the same.
			c := w.cluster(k)
			c.becomes(built(), noEndpoint(), reason(controlPlane, "NoPool", "infrastructure may be built without this VIP", test.says))
			w.eventually("the class has a warning", func() error { return k.warned(test.says) })
		})
	}
}

// warned expects a warning ClassUngated on the class.
func (k *class) warned(fragment string) error {
	events := k.w.eventsOn("ClusterClass", k.name)
	for _, event := range events {
		if strings.HasPrefix(event, "Warning ClassUngated: ") && strings.Contains(event, fragment) {
			return nil
		}
	}
	return fmt.Errorf("none says %q: %q", fragment, events)
}

// Where no control-plane VIP is wanted the one variable is that of ingress.
func TestOneVariableForIngressAlone(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text), annotated(ingress.variableKey(), "clusterVip"))
	p := w.pool(serving(ingress, k))
	c := w.cluster(k, annotated("vip.capi.gorizond.io/control-plane-enabled", "false"))
	c.becomes(reason(ingress, "Allocated"), variable("clusterVip", p.address(0)), stamped(ingress, p.address(0)), noEndpoint())
	c.rests()
}
