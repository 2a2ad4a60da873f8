package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// told is a class with its pools, and what is to be told of it.
type told struct {
	class []classOption
	pools func(k *class) [][]poolOption
	// cluster says what the controller does.
	cluster []expectation
	// explain is a part of what explain prints, lint of what lint prints about the class and
	// the pools. With silent lint has nothing to find.
	explain, lint string
	silent        bool
}

// What a class says decides, and the controller, explain and lint tell the same of it.
func TestWhatTheClassSaysIsTold(t *testing.T) {
	host := endpointPath + "/host"
	number := clusterv1.JSONSchemaProps{Type: "integer"}
	port := clusterv1.JSONSchemaProps{Type: "integer", Default: raw("9443")}
	four := text
	four.Format = "ipv4"
	object := clusterv1.JSONSchemaProps{Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"host": text, "port": number}}
	list := clusterv1.JSONSchemaProps{Type: "array", Items: &clusterv1.JSONSchemaProps{Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"vip": text}}}
	free := clusterv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}
	for name, row := range map[string]told{
		"the port in a variable": {
			class:   []classOption{declares("clusterVip", text), declares("apiPort", port), annotated(portVariableKey, "apiPort"), toInfrastructure("clusterVip", host), toInfrastructure("apiPort", endpointPath+"/port")},
			cluster: []expectation{reason(controlPlane, "Allocated"), built()},
			explain: ":9443", silent: true,
		},
		"the port in a variable that is not declared": {
			class:   []classOption{declares("clusterVip", text), annotated(portVariableKey, "apiPort"), toInfrastructure("clusterVip", host)},
			cluster: []expectation{reason(controlPlane, "Allocated"), built()},
			explain: ":6443", lint: "annotation " + portVariableKey + " names variable apiPort, which the class does not declare",
		},
		"the port beside the host": {
			class:   []classOption{declares("api", object), annotated(controlPlane.variableKey(), "api.host"), toInfrastructure("api.host", host), toInfrastructure("api.port", endpointPath+"/port")},
			cluster: []expectation{reason(controlPlane, "Allocated"), built(), variable("api.port", 6443)},
			explain: ":6443", silent: true,
		},
		"a patch that is off by default": {
			class:   []classOption{declares("clusterVip", text), declares("kubeVip", boolean("false")), patched("endpoint", "{{ .kubeVip }}", "infrastructure", host, clusterv1.JSONPatchValue{Variable: "clusterVip"})},
			pools:   func(*class) [][]poolOption { return nil },
			cluster: []expectation{built(), reason(controlPlane, "NoPool", "is off unless variable kubeVip is true")},
			explain: "is off unless variable kubeVip is true", lint: "is off unless variable kubeVip is true",
		},
		"one variable for both roles": {
			class:   []classOption{declares("clusterVip", text), annotated(ingress.variableKey(), "clusterVip"), toInfrastructure("clusterVip", host)},
			cluster: []expectation{reason(controlPlane, "Allocated"), reason(ingress, "VariableRefused", "both roles")},
			explain: "both roles", lint: "variable clusterVip is that of both roles",
		},
		"a near name": {
			class:   []classOption{declares("clusterVIP", text), toInfrastructure("clusterVIP", host)},
			cluster: []expectation{reason(controlPlane, "Allocated", "declares variable clusterVIP, not clusterVip"), unbuilt()},
			explain: "declares variable clusterVIP, not clusterVip", lint: "the class declares variable clusterVIP, not clusterVip",
		},
		"a pool of the other family": {
			class: []classOption{declares("clusterVip", four), toInfrastructure("clusterVip", host)},
			pools: func(k *class) [][]poolOption {
				return [][]poolOption{{serving(controlPlane, k), network(120, "fd00:79::10-fd00:79::20"), annotated("vip.capi.gorizond.io/priority", "9")}, {serving(controlPlane, k)}}
			},
			cluster: []expectation{reason(controlPlane, "Allocated"), built()},
			explain: "refuses all of its addresses", lint: "refuses fd00:79::10",
		},
		"an entry of a list": {
			class:   []classOption{declares("nets", list), annotated(controlPlane.variableKey(), "nets[0].vip")},
			cluster: []expectation{reason(controlPlane, "VariableRefused", "nets[0].vip", "list"), noEndpoint()},
			explain: `"nets" is a list`, lint: `"nets" is a list`,
		},
		"an object that may hold anything": {
			class:   []classOption{declares("free", free), annotated(controlPlane.variableKey(), "free.host"), toInfrastructure("free.host", host)},
			cluster: []expectation{reason(controlPlane, "Allocated"), built()},
			explain: "free.host", lint: `a Cluster that states "" as variable free.host`,
		},
		"a pool of every class": {
			class: []classOption{declares("clusterVip", text), toInfrastructure("clusterVip", host)},
			pools: func(k *class) [][]poolOption {
				return [][]poolOption{{labelled(poolRole, "control-plane"), annotated(poolClass, k.name), named("z"), namespaced()}, {labelled(poolRole, "control-plane"), annotated(poolClass, "*"), named("a"), namespaced()}}
			},
			cluster: []expectation{reason(controlPlane, "Allocated", "InClusterIPPool", "/z")},
			explain: "/z", silent: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(append([]classOption{open()}, row.class...)...)
			all := [][]poolOption{{serving(controlPlane, k)}}
			if row.pools != nil {
				all = row.pools(k)
			}
			var manifests []any
			for _, options := range all {
				manifests = append(manifests, w.pool(options...).draft)
			}
			c := w.cluster(k)
			c.becomes(row.cluster...)
			if output, err := w.cli("", "explain", "cluster", c.name, "-n", c.namespace, "--watch-filter="+w.filter); err != nil || !strings.Contains(unwrapped(output), row.explain) {
				t.Errorf("explain does not say %q: %v\n%s", row.explain, err, output)
			}
			output := w.lint(append(manifests, k.draft)...)
			if row.silent && strings.Contains(output, "ClusterClass "+k.namespace) || !strings.Contains(output, row.lint) {
				t.Errorf("lint does not say %q:\n%s", row.lint, output)
			}
		})
	}
}

// lint returns what lint says of the objects.
func (w *world) lint(objects ...any) string {
	w.t.Helper()
	var text []string
	for _, object := range objects {
		manifest, err := yaml.Marshal(object)
		if err != nil {
			w.t.Fatal(err)
		}
		text = append(text, string(manifest))
	}
	file := filepath.Join(w.t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(strings.Join(text, "---\n")), 0o600); err != nil {
		w.t.Fatal(err)
	}
	output, _ := w.cli("", "lint", file) // it fails where it finds an error
	return output
}

// unwrapped joins the lines of a text that is broken at the width of a screen.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

// The variable of another name takes the VIP in the patch that names the other class;
// without it the topology waits until it may be filled.
func TestAnotherClassForARunningCluster(t *testing.T) {
	w := newWorld(t)
	host := endpointPath + "/host"
	old := w.class(open(), declares("clusterVip", text), toInfrastructure("clusterVip", host))
	other := w.class(open(), annotated(controlPlane.variableKey(), "apiAddress"), declares("apiAddress", text), toInfrastructure("apiAddress", host))
	p := w.pool(serving(controlPlane, old, other))
	to := clusterFunc(func(c *clusterv1.Cluster) { c.Spec.Topology.ClassRef.Name = other.name })

	c, d := w.cluster(old), w.cluster(old)
	c.becomes(built(), reason(controlPlane, "Allocated"))
	d.becomes(built(), reason(controlPlane, "Allocated"))
	address, second := c.now().Spec.ControlPlaneEndpoint.Host, d.now().Spec.ControlPlaneEndpoint.Host
	if !slices.Contains([]string{p.address(0), p.address(1)}, address) {
		t.Errorf("the VIP is %s", address)
	}
	if err := tryChange(w, observe.Clusters, c.namespace, c.name, func(o *clusterv1.Cluster) { to(o) }); err == nil || !strings.Contains(err.Error(), "clusterVip") {
		t.Errorf("with the old variable: %v", err)
	}

	// As the documentation has it.
	patch := fmt.Sprintf(`[{"op": "replace", "path": "/spec/topology/classRef/name", "value": %q},
		{"op": "test", "path": "/spec/topology/variables/0/name", "value": "clusterVip"},
		{"op": "replace", "path": "/spec/topology/variables/0", "value": {"name": "apiAddress", "value": %q}}]`, other.name, address)
	if _, err := w.in(observe.Clusters, c.namespace).Patch(t.Context(), c.name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.becomes(variable("apiAddress", address), written(controlPlane, "apiAddress"), reason(controlPlane, "Allocated"), endpoint(address, 6443), topologyReconciled())
	c.rests()

	d.change(to, unset("clusterVip"))
	d.becomes(reason(controlPlane, "VariableNotBackfilled", "apiAddress", "backfill"), endpoint(second, 6443))
	if r := d.explain("--watch-filter=" + w.filter).role(controlPlane); r.Reason != "VariableNotBackfilled" || !strings.Contains(r.Message, `annotation vip.capi.gorizond.io/backfill: "true" fills it`) {
		t.Errorf("explain: %+v", r)
	}
	d.change(annotated("vip.capi.gorizond.io/backfill", "true"))
	d.becomes(variable("apiAddress", second), reason(controlPlane, "Allocated"), topologyReconciled())
}

// topologyReconciled expects that Cluster API has applied the topology as it is now.
func topologyReconciled() expectation {
	return func(c *clusterv1.Cluster) error {
		condition := meta.FindStatusCondition(c.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
		if condition == nil || condition.Status != metav1.ConditionTrue || condition.ObservedGeneration != c.Generation {
			return fmt.Errorf("the topology: %+v", condition)
		}
		return nil
	}
}
