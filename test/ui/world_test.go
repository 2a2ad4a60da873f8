package ui

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// world is a namespace with a class of its own, and a tab of the administrator's page.
type world struct {
	*environment
	t                *testing.T
	namespace, class string
	tab              *tab
	subnet           string // "10.n.m", which nobody else uses
}

var subnets atomic.Int64

func newWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	e, err := boot()
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	w := &world{environment: e, t: t, namespace: e.Namespace(t, "")}
	n := subnets.Add(1)
	w.class, w.subnet = w.namespace+"-class", fmt.Sprintf("10.%d.%d", 100+n/250, n%250)
	w.tab = e.browser.tab(t)
	w.tab.open(e.page.URL)
	w.tab.live()
	return w
}

// live waits until the page follows what changes.
func (p *tab) live() {
	p.t.Helper()
	p.eventually("the page is live", `document.querySelector("#live")?.textContent === "live"`)
}

// visit leads the tab to another page of the same server.
func (w *world) visit(path string) {
	w.t.Helper()
	origin, err := evaluate[string](w.tab, "location.origin")
	if err != nil {
		w.t.Fatal(err)
	}
	w.tab.open(origin + path)
	w.tab.live()
}

func (w *world) apply(format string, values ...any) {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf(format, values...))
}

// needClass makes a ClusterClass that is gated by a variable for the control plane, and for
// the ingress if it is asked for. The schema is what the former must be, beside a text.
func (w *world) needClass(ingress bool, schema string) {
	w.t.Helper()
	more, path := "", ""
	if ingress {
		more = "  - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}\n"
		path = ", {op: add, path: /spec/template/spec/ingressVIP, valueFrom: {variable: ingressVip}}"
	}
	w.apply(management.BlankTemplates(w.namespace)+`
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: %s, namespace: %s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1%s}}}
%s  patches:
  - name: vip
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}%s]
`, w.class, w.namespace, schema, more, path)
	if err := observe.AwaitClass(w.t.Context(), w.Client, w.namespace, w.class); err != nil {
		w.t.Fatal(err)
	}
}

// pool makes a pool for the role of the world's class, and waits until its provider has
// counted it. Annotations are in YAML.
func (w *world) pool(name, role, annotations string, prefix int, grace int, ranges ...string) string {
	w.t.Helper()
	name = w.namespace + "-" + name
	w.apply(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata: {name: %s, annotations: {vip.capi.gorizond.io/cluster-class: %q, vip.capi.gorizond.io/role: %q%s}}
spec: {addresses: ["%s"], prefix: %d, addressReuseGracePeriodSeconds: %d}
`, name, w.class, role, annotations, strings.Join(ranges, `", "`), prefix, grace)
	w.until("pool "+name+" is counted", func() error {
		_, found, err := unstructured.NestedMap(w.get(observe.GlobalPools, "", name).Object, "status", "ipAddresses")
		if !found && err == nil {
			err = fmt.Errorf("it is not")
		}
		return err
	})
	return name
}

// cluster makes a Cluster of the world's class. Extra is metadata, spec is of the Cluster, in
// YAML and with a comma before.
func (w *world) cluster(name, extra, spec string) {
	w.t.Helper()
	w.apply(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: %s%s}
spec: {topology: {classRef: {name: %s}, version: v1.36.3, controlPlane: {replicas: 1}}%s}
`, name, w.namespace, extra, w.class, spec)
}

func (w *world) get(resource schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	w.t.Helper()
	object, err := w.Client.Resource(resource).Namespace(namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return object
}

func (w *world) until(what string, check func() error) {
	w.t.Helper()
	scene.Until(w.t, patience, what, check)
}

// cell is the expression of the state of an address of a pool.
func cell(pool, address string) string {
	return fmt.Sprintf(`document.querySelector('section[id$="/%s"] .cell[aria-label^="%s,"]')?.dataset.state`, pool, address)
}

// shows waits until the address of the pool is in the state.
func (w *world) shows(pool, address, state string) {
	w.t.Helper()
	w.tab.eventually(fmt.Sprintf("%s of %s is %s", address, pool, state), fmt.Sprintf("%s === %q", cell(pool, address), state))
}

// says waits until the selected element says all of the words.
func (w *world) says(selector string, words ...string) {
	w.t.Helper()
	for _, phrase := range words {
		w.tab.eventually(fmt.Sprintf("%s says %q", selector, phrase), fmt.Sprintf("document.querySelector(%q)?.textContent.replace(/\\s+/g, ' ').includes(%q)", selector, phrase))
	}
}
