package rancher

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// uninstall removes a kind with all of its objects. It lists them first: Kubernetes
// 1.36 can leave a kind that is deleted before its watch cache is filled terminating
// for minutes. The finalizer is refused the list, then meets its own status write as a
// conflict, and takes it for somebody's who will have it called again.
func (w *world) uninstall(kind schema.GroupVersionResource) {
	w.t.Helper()
	if _, err := w.in(kind, "").List(w.t.Context(), metav1.ListOptions{}); err != nil {
		w.t.Fatal(err)
	}
	name := kind.GroupResource().String()
	if err := w.in(crdResource, "").Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	scene.Gone(w.t, patience, w.in(crdResource, ""), name)
}

// Rancher and Fleet are installed long after us, removed, and installed again.
func TestKindsComeAndGo(t *testing.T) {
	w := newLonelyWorld(t)
	w.uninstall(rancherClusters)
	w.uninstall(fleetClusters)
	c, ingress, _ := w.allocated("prod")
	for range 2 {
		if err := w.install(t.Context(), "fleet.cattle.io.yaml"); err != nil {
			t.Fatal(err)
		}
		edge := w.fleet(w.workspace, "edge", asking(c))
		edge.becomes(stamped(observe.Ingress, ingress))
		if err := w.install(t.Context(), "management.cattle.io.yaml"); err != nil {
			t.Fatal(err)
		}
		target := w.rancher(c, nil)
		target.becomes(stamped(observe.Ingress, ingress))
		late := w.fleet(w.workspace, "late", asking(c))
		w.told("prod", "Fleet Cluster "+w.workspace+"/late")
		late.is(bare)
		edge.is(stamped(observe.Ingress, ingress))
		edge.delete()
		edge.gone()
		target.delete()
		target.free()
		target.gone()
		late.becomes(stamped(observe.Ingress, ingress))
		w.uninstall(rancherClusters)
		w.uninstall(fleetClusters)
	}
}

// What was carried is taken back once propagation is switched off; a value that
// somebody changed meanwhile stays, and so does what another allocator carried.
func TestSwitchedOff(t *testing.T) {
	w := newLonelyWorld(t)
	other := w.rancher(w.cluster("of-another-allocator", ingressAt("10.0.0.1")), nil)
	other.reached("10.0.0.1")

	p := w.start(w.kubeconfig)
	a, b, gone := w.cluster("a", ingressAt("10.0.0.5")), w.cluster("b", ingressAt("10.0.0.6")), w.cluster("gone", ingressAt("10.0.0.7"))
	imported, edge, orphan := w.rancher(a, nil), w.fleet(w.workspace, "edge", asking(b)), w.rancher(gone, nil)
	imported.reached("10.0.0.5")
	edge.reached("10.0.0.6")
	orphan.reached("10.0.0.7")
	if _, err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	a.merge(`{"spec":{"paused":true}}`)
	gone.delete()
	gone.gone()
	edge.merge(`{"metadata":{"labels":{"vip.capi.gorizond.io/ingress-vip":"10.9.9.9"}}}`)

	w.start(w.kubeconfig, "--propagate=off")
	imported.becomes(bare)
	orphan.becomes(bare)
	edge.becomes(func(o *unstructured.Unstructured) error {
		if o.GetAnnotations()[recordKey] != "" {
			return fmt.Errorf("the record is there")
		}
		return same("label", observe.IngressVIP, o.GetLabels(), "10.9.9.9")
	})
	w.barrierOf(sharedFilter)
	other.is(stamped(observe.Ingress, "10.0.0.1"))
	other.written(1)
}

// A Turtles that copies labels has brought those of the stamp before us, and would bring them
// back at once: Fleet would remove and deploy anew. They stay as long as the Cluster has them;
// what nobody else wrote goes.
func TestSwitchedOffBesideTurtles(t *testing.T) {
	w := newLonelyWorld(t)
	p := w.start(w.kubeconfig)
	c, ingress, controlPlane := w.known("prod")
	if _, err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	target := w.rancher(c, nil)
	if err := w.turtles(c, target)(t.Context()); err != nil {
		t.Fatal(err)
	}
	p = w.start(w.kubeconfig)
	target.becomes(stamped(observe.Ingress, ingress), stamped(observe.ControlPlane, controlPlane))
	if _, err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	p = w.start(w.kubeconfig, "--propagate=off")
	target.becomes(func(o *unstructured.Unstructured) error {
		annotations, labels := o.GetAnnotations(), o.GetLabels()
		if annotations[recordKey]+annotations[observe.IngressVIP] != "" {
			return fmt.Errorf("there are %v", annotations)
		}
		return errors.Join(same("label", observe.IngressVIP, labels, ingress), same("label", observe.HasIngressVIP, labels, "true"))
	})
	if _, err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	// Switched on again, they are ours like any value that is equal to the VIP.
	w.start(w.kubeconfig)
	target.becomes(stamped(observe.Ingress, ingress))
	c.delete()
	c.gone()
	target.becomes(bare)
}

// Without the rights, nothing happens but one line in the log; once they are given, VIPs
// are carried.
func TestWithoutRights(t *testing.T) {
	w := newLonelyWorld(t)
	kubeconfig, err := w.management.User("no-propagation")
	if err != nil {
		t.Fatal(err)
	}
	w.apply(fmt.Sprintf(plainRights, chart.ManagerName, allocator.Namespace))
	begin := w.mark()
	w.start(kubeconfig)
	c, _, _ := w.allocated("prod")
	target, edge := w.rancher(c, nil), w.fleet(w.workspace, "edge", asking(c))
	log := w.logs + "/allocator-" + w.namespace + ".log"
	w.eventually("the log says so, once for each kind", func() error {
		text, err := os.ReadFile(log)
		if count := strings.Count(string(text), "which we may not list"); count != 2 {
			return fmt.Errorf("it does %d times: %w", count, err)
		}
		return nil
	})
	// Passes go on.
	w.allocated("later")
	// The shared allocator has the rights, and begins to follow the kinds when they come.
	refused := w.requests(begin, func(e audit.Event) bool {
		return strings.HasSuffix(e.Object.Group, "cattle.io") && e.User.Username == "no-propagation"
	})
	for _, request := range refused {
		if request.Response.Code != 403 || request.Verb != "list" {
			t.Errorf("unexpected request: %+v", request)
		}
	}
	const attempts = 8 // for each kind, with back-off: in two minutes, or in three
	if len(refused) > 2*attempts {
		t.Errorf("%d attempts", len(refused))
	}
	target.is(bare)
	edge.is(bare)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "level=error") || strings.Contains(line, "PropagationBlocked") {
			t.Errorf("the log has %s", line)
		}
	}
}

const plainRights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: no-propagation}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: no-propagation}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: no-propagation, namespace: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: no-propagation}]
`

// A restart finds everything as it should be and writes nothing; a VIP that was
// released while nobody ran is withdrawn then.
func TestRestart(t *testing.T) {
	w := newLonelyWorld(t)
	p := w.start(w.kubeconfig)
	a, b := w.cluster("a", ingressAt("10.0.0.5")), w.cluster("b", ingressAt("10.0.0.6"))
	one, other := w.rancher(a, nil), w.rancher(b, nil)
	one.reached("10.0.0.5")
	other.reached("10.0.0.6")
	if _, err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	b.annotate(observe.IngressVIP, "null")
	w.start(w.kubeconfig)
	other.becomes(bare)
	w.barrier()
	one.written(1)
	other.written(2)
}
