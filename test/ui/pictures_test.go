package ui

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

var pictures = flag.Bool("pictures", false, "write the pictures of docs/ui.md; with -run TestPictures, so that nothing else is on them")

// TestPictures takes the pictures of the documents, of real data.
func TestPictures(t *testing.T) {
	w := newWorld(t)
	folder := t.TempDir()
	if *pictures {
		folder = filepath.Join("..", "..", "docs")
	}
	w.furnish()
	w.visit("/cluster/team-b/warehouse")
	w.says(".way h2", "Allocated") // success is reported late
	for _, p := range []struct {
		file, path string
		dark       bool
	}{
		{"ui-light.png", "/?q=vip-", false},
		{"ui-dark.png", "/?q=vip-", true},
		{"ui-clusters.png", "/clusters?q=team-", false},
		{"ui-cluster.png", "/cluster/team-b/warehouse", false},
	} {
		w.tab.look(1280, 720, p.dark)
		w.visit(p.path)
		w.tab.picture(filepath.Join(folder, p.file))
	}
}

// furnish makes what a platform team may have: two teams with Clusters, pools of all kinds,
// and some trouble.
func (w *world) furnish() {
	w.t.Helper()
	for _, team := range []string{"team-a", "team-b"} {
		w.apply("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", team)
		w.apply(management.BlankTemplates(team)+`
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: metal, namespace: %s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1, pattern: '[^9]$'}}}
  - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  patches:
  - name: endpoint
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}]
`, team)
		if err := observe.AwaitClass(w.t.Context(), w.Client, team, "metal"); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, p := range []struct{ name, role, spec string }{
		{"vip-control-plane", "control-plane", `addresses: [10.10.0.10-10.10.0.89], excludedAddresses: [10.10.0.16-10.10.0.19], prefix: 24, gateway: 10.10.0.1, addressReuseGracePeriodSeconds: 600`},
		{"vip-edge", "control-plane", `addresses: [10.10.0.80-10.10.0.127], prefix: 24, gateway: 10.10.0.1, addressReuseGracePeriodSeconds: 600`},
		{"vip-ingress", "ingress", `addresses: [10.10.1.10-10.10.1.18], prefix: 24, gateway: 10.10.1.1, addressReuseGracePeriodSeconds: 600`},
		{"vip-lab", "control-plane", `addresses: [172.20.0.0/16], prefix: 12, addressReuseGracePeriodSeconds: 600`},
		{"vip-v6", "control-plane", `addresses: ["fd00:10:20::/64"], prefix: 64, addressReuseGracePeriodSeconds: 600`},
		{"vip-legacy", "control-plane", `addresses: [10.30.0.9], prefix: 24, addressReuseGracePeriodSeconds: 600`},
	} {
		class, priority := "metal", 1
		if p.name != "vip-control-plane" && p.role != "ingress" {
			priority = 0
		}
		w.apply(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata: {name: %s, annotations: {vip.capi.gorizond.io/cluster-class: %s, vip.capi.gorizond.io/role: %s, vip.capi.gorizond.io/priority: "%d"}}
spec: {%s}
`, p.name, class, p.role, priority, p.spec)
	}
	w.deploy()
	w.inhabit()
}

// deploy makes the Deployment of the allocator, which here is a process.
func (w *world) deploy() {
	w.t.Helper()
	const name = "capi-vip-allocator-controller-manager"
	w.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  replicas: 2
  selector: {matchLabels: {control-plane: %[1]s}}
  template: {metadata: {labels: {control-plane: %[1]s}}, spec: {containers: [{name: manager, image: allocator, args: [--leader-elect]}]}}
`, name, allocator.Namespace)
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	ready := []byte(`{"status": {"replicas": 2, "readyReplicas": 2}}`)
	if _, err := w.Client.Resource(deployments).Namespace(allocator.Namespace).Patch(w.t.Context(), name, types.MergePatchType, ready, metav1.PatchOptions{}, "status"); err != nil {
		w.t.Fatal(err)
	}
}

// inhabit makes Clusters, one after the other, so that the picture is always the same.
func (w *world) inhabit() {
	w.t.Helper()
	one := func(team, name, metadata, spec, shows string) {
		w.t.Helper()
		w.apply(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: %s%s}
spec: {topology: {classRef: {name: metal}, version: v1.36.3, controlPlane: {replicas: 1}}%s}
`, name, team, metadata, spec)
		w.visit(fmt.Sprintf("/cluster/%s/%s", team, name))
		w.says("main", strings.Split(shows, "|")...)
	}
	settled := "control-plane 10.10.0.|ingress 10.10.1."
	for _, name := range []string{"shop", "search", "billing", "identity", "media"} {
		one("team-a", name, "", "", settled)
	}
	w.claimIn("team-b", "printer", "vip-control-plane")
	for _, name := range []string{"analytics", "mail"} {
		one("team-b", name, "", "", settled)
	}
	one("team-b", "old", "", "", settled)
	if err := w.Client.Resource(observe.Clusters).Namespace("team-b").Delete(w.t.Context(), "old", metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	one("team-a", "lab", ", annotations: {vip.capi.gorizond.io/control-plane-pool: vip-lab, vip.capi.gorizond.io/ingress-enabled: \"false\"}", "", "172.20.0.|Disabled")
	one("team-a", "six", ", annotations: {vip.capi.gorizond.io/control-plane-pool: vip-v6, vip.capi.gorizond.io/ingress-enabled: \"false\"}", "", "fd00:10:20::|Disabled")
	one("team-a", "typed", ", annotations: {vip.capi.gorizond.io/ingress-enabled: \"false\"}", ", controlPlaneEndpoint: {host: 10.10.0.40, port: 6443}", "10.10.0.40|Manual")
	w.book("team-a", "typed", "vip-control-plane", "10.10.0.40")
	one("team-b", "payments", ", annotations: {vip.capi.gorizond.io/control-plane-pool: vip-legacy, vip.capi.gorizond.io/ingress-enabled: \"false\"}", "", "VariableRefused")
	one("team-b", "archive", "", "", settled)
	one("team-b", "warehouse", "", "", "PoolExhausted")
}
