package survive

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

const prefix = "vip.capi.gorizond.io/"

var leases = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}

// A form is the variables and patches of a ClusterClass.
type form string

const (
	// gated builds infrastructure once both VIPs are known.
	gated form = `
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  patches:
  - name: both
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}
      - {op: add, path: /spec/template/spec/ingressVIP, valueFrom: {variable: ingressVip}}
`
	// open builds at once, unless another gate holds it.
	open form = `
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, default: ""}}}
  - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, default: ""}}}
  patches:
  - name: both
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}
      - {op: add, path: /spec/template/spec/ingressVIP, valueFrom: {variable: ingressVip}}
`
	// onDemand builds once the test sets the variable "build". Nobody consumes the VIPs,
	// so that one can be given back.
	onDemand form = `
  variables:
  - {name: build, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  patches:
  - name: build
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/build, valueFrom: {variable: build}}]
`
)

const classManifest = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: survive, namespace: %s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}
`

// class makes the ClusterClass "survive" of this form in the world's namespace.
func (w *world) class(f form) {
	w.t.Helper()
	w.apply(management.BlankTemplates(w.namespace) + fmt.Sprintf(classManifest, w.namespace) + string(f))
	if err := observe.AwaitClass(w.t.Context(), w.Client, w.namespace, "survive"); err != nil {
		w.t.Fatal(err)
	}
}

// poolName is the name of one of the world's pools.
func (w *world) poolName(name string) string { return w.namespace + "-" + name }

// pool makes a pool for both roles of the world's class, from and to being the last
// numbers of its addresses, or brings it back to that.
func (w *world) pool(name string, from, to, graceSeconds int) {
	w.t.Helper()
	w.apply(fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: %[1]s
  labels: {vip.capi.gorizond.io/role: control-plane_ingress}
  annotations: {vip.capi.gorizond.io/cluster-class: %[2]s/survive}
spec: {addresses: [%[3]s.%[4]d-%[3]s.%[5]d], prefix: 24, addressReuseGracePeriodSeconds: %[6]d}
`, w.poolName(name), w.namespace, w.subnet, from, to, graceSeconds))
	w.eventually("pool "+name+" is counted", func() error {
		pool, err := w.Client.Resource(observe.GlobalPools).Get(w.t.Context(), w.poolName(name), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if _, counted, _ := unstructured.NestedMap(pool.Object, "status", "ipAddresses"); !counted {
			return fmt.Errorf("it has no status")
		}
		return nil
	})
}

const strangersClaim = `
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata: {name: %s, namespace: %s}
spec: {poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: %s}}
`

// take has a stranger claim an address of a pool.
func (w *world) take(pool, claim string) {
	w.t.Helper()
	w.apply(fmt.Sprintf(strangersClaim, claim, w.namespace, w.poolName(pool)))
	w.eventually("claim "+claim+" is bound", func() error {
		address, err := w.get(observe.Addresses, claim)
		if err == nil && address == nil {
			return fmt.Errorf("it is not")
		}
		return err
	})
}

// draft is a Cluster of the world's class.
func (w *world) draft(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
		"metadata": map[string]any{
			"name": name, "namespace": w.namespace, "labels": map[string]any{"cluster.x-k8s.io/watch-filter": w.namespace},
		},
		"spec": map[string]any{"topology": map[string]any{
			"classRef": map[string]any{"name": "survive"}, "version": "v1.36.3", "controlPlane": map[string]any{"replicas": int64(1)},
		}},
	}}
}

// create creates Clusters.
func (w *world) create(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if _, err := w.in(observe.Clusters).Create(w.t.Context(), w.draft(name), metav1.CreateOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// in is the client for a resource in the world's namespace.
func (w *world) in(resource schema.GroupVersionResource) dynamic.ResourceInterface {
	return w.Client.Resource(resource).Namespace(w.namespace)
}

// get returns an object, nil if there is none.
func (w *world) get(resource schema.GroupVersionResource, name string) (*unstructured.Unstructured, error) {
	object, err := w.in(resource).Get(w.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return object, err
}

// list returns the objects of the world's namespace.
func (w *world) list(resource schema.GroupVersionResource) ([]unstructured.Unstructured, error) {
	list, err := w.in(resource).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// patch merges a JSON document into a Cluster as its user, which must exist.
func (w *world) patch(name, document string) {
	w.t.Helper()
	if err := merge(w.t.Context(), w.in(observe.Clusters), name, document); err != nil {
		w.t.Fatal(err)
	}
}

// delete deletes an object, which need not exist.
func (w *world) delete(resource schema.GroupVersionResource, name string) {
	w.t.Helper()
	if err := w.in(resource).Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
}

// gone waits until an object does not exist.
func (w *world) gone(resource schema.GroupVersionResource, name string) {
	w.t.Helper()
	scene.Gone(w.t, patience, w.in(resource), name)
}

var claimPrefixes = map[string]string{observe.ControlPlane: "vip-cp-", observe.Ingress: "vip-ingress-"}

// strip is a re-apply of a manifest that knows no VIP.
const strip = `{"spec":{"controlPlaneEndpoint":null,"topology":{"variables":null}},"metadata":{
	"annotations":{"vip.capi.gorizond.io/control-plane-vip":null,"vip.capi.gorizond.io/ingress-vip":null},
	"labels":{"vip.capi.gorizond.io/control-plane-vip":null,"vip.capi.gorizond.io/ingress-vip":null,
	"vip.capi.gorizond.io/has-control-plane-vip":null,"vip.capi.gorizond.io/has-ingress-vip":null}}}`

// merge merges a JSON document into an object.
func merge(ctx context.Context, in dynamic.ResourceInterface, name, document string) error {
	_, err := in.Patch(ctx, name, types.MergePatchType, []byte(document), metav1.PatchOptions{})
	return err
}
