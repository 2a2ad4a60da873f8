package rancher

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

var (
	rancherClusters = schema.GroupVersionResource{Group: "management.cattle.io", Version: "v3", Resource: "clusters"}
	fleetClusters   = schema.GroupVersionResource{Group: "fleet.cattle.io", Version: "v1alpha1", Resource: "clusters"}
	events          = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	crdResource     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// world is what one test works in: a namespace, and a workspace that may ask.
type world struct {
	*environment
	t                    *testing.T
	namespace, workspace string
	number               int64
	filter               string
	begin                int64 // of the test, in the audit log
}

var worlds atomic.Int64

// newWorld makes a world for a test that runs beside others.
func newWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	t.Parallel()
	return newLonelyWorld(t)
}

// newLonelyWorld makes a world for a test that runs alone: it takes kinds or rights away.
func newLonelyWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	e, err := boot()
	if err != nil {
		t.Fatalf("start the environment: %v", err)
	}
	return e.newWorld(t)
}

// newWorld makes a world in this environment.
func (e *environment) newWorld(t *testing.T) *world {
	t.Helper()
	n := worlds.Add(1)
	w := &world{environment: e, t: t, number: n, namespace: fmt.Sprintf("team-%d", n), workspace: workspace(int(n)), filter: sharedFilter}
	if n >= workspaces {
		t.Fatal("there are more tests than workspaces")
	}
	w.begin = w.mark()
	for _, file := range []string{"management.cattle.io.yaml", "fleet.cattle.io.yaml"} {
		if err := w.install(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{w.namespace, w.workspace} {
		w.apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}")
	}
	w.apply(fmt.Sprintf(classManifest, w.namespace))
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(w.sharedLog())
			t.Logf("the shared allocator on this test:\n%s", linesAbout(string(log), w.namespace))
		}
	})
	return w
}

func linesAbout(log, text string) string {
	var lines []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

// classManifest has two classes: one that takes VIPs, from pools of the world's own,
// and one that has nothing to do with them.
const classManifest = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DemoClusterTemplate
metadata: {name: plain, namespace: %[1]s}
spec: {template: {spec: {controlPlaneEndpoint: {port: 6443}}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: DemoControlPlaneTemplate
metadata: {name: plain, namespace: %[1]s}
spec: {template: {spec: {tlsSANs: [localhost]}}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: plain, namespace: %[1]s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: plain}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: plain}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: vip, namespace: %[1]s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: plain}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: plain}}
  variables:
    - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
    - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
`

const poolManifest = `
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: InClusterIPPool
metadata:
  name: vips
  namespace: %[1]s
  annotations: {vip.capi.gorizond.io/cluster-class: vip, vip.capi.gorizond.io/role: "control-plane,ingress"}
spec: {addresses: [10.%[2]d.0.1-10.%[2]d.0.50], prefix: 24}
`

func (w *world) apply(content string) {
	w.t.Helper()
	w.scene.Apply(w.t, content)
}

func (w *world) in(resource schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return w.client.Resource(resource)
	}
	return w.client.Resource(resource).Namespace(namespace)
}

// mark is a moment in the audit log.
func (w *world) mark() int64 {
	w.t.Helper()
	position, err := w.audit.Position()
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

// requests are those of the allocators since the mark.
func (w *world) requests(since int64, tests ...func(audit.Event) bool) []audit.Event {
	w.t.Helper()
	all, err := w.audit.Since(since)
	if err != nil {
		w.t.Fatal(err)
	}
	return audit.Keep(audit.Keep(all, audit.By(observe.UserAgent)), tests...)
}

// start starts an allocator that serves the world's Clusters instead of the shared one.
func (w *world) start(kubeconfig string, args ...string) *allocator.Process {
	w.t.Helper()
	w.filter = w.namespace
	p, err := allocator.Start(w.t.Context(), allocator.Options{
		Kubeconfig: kubeconfig, Args: append([]string{"--log-level=debug", "--watch-filter=" + w.filter, "--fleet-workspaces=" + w.workspace}, args...),
		LogFile: filepath.Join(w.logs, "allocator-"+w.namespace+".log"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Kill)
	return p
}

// eventually waits until check returns nil; what completes "wait until".
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	w.within(patience, what, check)
}

func (w *world) within(limit time.Duration, what string, check func() error) {
	w.t.Helper()
	scene.Until(w.t, limit, what, check)
}

// told waits for an event PropagationBlocked on the Cluster that contains the texts.
func (w *world) told(cluster string, texts ...string) {
	w.t.Helper()
	w.eventually("an event on Cluster "+cluster+" tells of it", func() error {
		said := w.said(cluster)
		for _, text := range texts {
			if !slices.ContainsFunc(said, func(message string) bool { return strings.Contains(message, text) }) {
				return fmt.Errorf("nothing of %q in %q", text, said)
			}
		}
		return nil
	})
}

// said are the messages of the Cluster's events PropagationBlocked.
func (w *world) said(cluster string) []string {
	w.t.Helper()
	list, err := w.in(events, w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	var said []string
	for _, event := range list.Items {
		about, _, _ := unstructured.NestedString(event.Object, "involvedObject", "name")
		if about == cluster && event.Object["reason"] == "PropagationBlocked" {
			message, _ := event.Object["message"].(string)
			said = append(said, message)
		}
	}
	return said
}
