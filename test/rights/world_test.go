package rights

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// world is what one feature is tried in: the namespace default.
type world struct {
	*scene.Scene
	t *testing.T
}

type resourceOf = schema.GroupVersionResource

var (
	clusters  = resourceOf{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "clusters"}
	claims    = resourceOf{Group: "ipam.cluster.x-k8s.io", Version: "v1beta2", Resource: "ipaddressclaims"}
	addresses = resourceOf{Group: "ipam.cluster.x-k8s.io", Version: "v1beta2", Resource: "ipaddresses"}
	secrets   = resourceOf{Version: "v1", Resource: "secrets"}
	reviews   = resourceOf{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"}
	rancher   = resourceOf{Group: "management.cattle.io", Version: "v3", Resource: "clusters"}
	fleet     = resourceOf{Group: "fleet.cattle.io", Version: "v1alpha1", Resource: "clusters"}
)

func (w *world) in(kind resourceOf) dynamic.ResourceInterface {
	return w.Client.Resource(kind).Namespace("default")
}

func (w *world) kubectl(dir string, args ...string) {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(dir, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Management.Kubeconfig(), "KUBECACHEDIR="+w.t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (w *world) start(args ...string) *allocator.Process {
	w.t.Helper()
	p, err := allocator.Start(w.t.Context(), allocator.Options{Kubeconfig: w.Kubeconfig, Args: append(args, w.Chart.Args...)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Kill)
	return p
}

func (w *world) stop(p *allocator.Process) {
	w.t.Helper()
	if code, err := p.Stop(); code != 0 || err != nil {
		w.t.Errorf("it ended with code %d: %v", code, err)
	}
}

// pools: two that overlap, so that Leases decide, and one for ingress. No address
// rests: the next feature has the same Clusters.
const pools = `
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: one
  annotations: {vip.capi.gorizond.io/role: control-plane, vip.capi.gorizond.io/cluster-class: demo}
spec: {addresses: [10.77.0.10-10.77.0.40], prefix: 24, gateway: 10.77.0.1}
---
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: two
  annotations: {vip.capi.gorizond.io/role: control-plane, vip.capi.gorizond.io/cluster-class: demo}
spec: {addresses: [10.77.0.10-10.77.0.60], prefix: 24, gateway: 10.77.0.1}
---
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: ingress
  annotations: {vip.capi.gorizond.io/role: ingress, vip.capi.gorizond.io/cluster-class: demo}
spec: {addresses: [10.77.1.10-10.77.1.40], prefix: 24, gateway: 10.77.1.1}
`

func (w *world) prepare() {
	w.t.Helper()
	examples, err := allocator.Examples(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	class, err := os.ReadFile(filepath.Join(examples, "clusterclass.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.Apply(w.t, string(class))
	w.Apply(w.t, pools)
}

// cluster makes a Cluster with more fields of its spec.
func (w *world) cluster(name string, fields ...string) *unstructured.Unstructured {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: default}
spec: {%stopology: {classRef: {name: demo}, version: v1.36.3, controlPlane: {replicas: 1}}}
`, name, strings.Join(fields, "")))
	c, err := w.in(clusters).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// served waits until the Cluster has both VIPs.
func (w *world) served(name string) {
	w.t.Helper()
	w.until(name+" has its VIPs", func() error {
		c, err := w.in(clusters).Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		host, _, _ := unstructured.NestedString(c.Object, "spec", "controlPlaneEndpoint", "host")
		if host == "" || c.GetAnnotations()["vip.capi.gorizond.io/ingress-vip"] == "" {
			return fmt.Errorf("its endpoint is %q, its annotations %v", host, c.GetAnnotations())
		}
		return nil
	})
}

func (w *world) patch(kind resourceOf, name, patch string) {
	w.t.Helper()
	if _, err := w.in(kind).Patch(w.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if err := w.in(clusters).Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, name := range names {
		w.gone(clusters, name)
		w.gone(claims, "vip-cp-"+name)
		w.gone(addresses, "vip-cp-"+name)
	}
}
