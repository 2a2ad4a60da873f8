package pools

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/provider"
)

// class makes a ClusterClass with the usual variables of the roles, whose
// infrastructure waits for all of them, and waits until Cluster API has read it.
func (w *world) class(roles ...role) string {
	w.t.Helper()
	name := w.unique("class")
	var variables, patches []string
	for _, r := range roles {
		path := map[role]string{controlPlane: "controlPlaneEndpoint/host", ingress: "ingressVIP"}[r]
		variables = append(variables, fmt.Sprintf(`{name: %s, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}`, r.variable()))
		patches = append(patches, fmt.Sprintf(`{name: %[1]s, definitions: [{
			selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}},
			jsonPatches: [{op: add, path: /spec/template/spec/%[2]s, valueFrom: {variable: %[1]s}}]}]}`, r.variable(), path))
	}
	w.apply(fmt.Sprintf(classManifest, w.namespace, name, strings.Join(variables, ", "), strings.Join(patches, ", ")))
	if err := observe.AwaitClass(w.t.Context(), w.client, w.namespace, name); err != nil {
		w.t.Fatal(err)
	}
	return name
}

const classManifest = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DemoClusterTemplate
metadata: {name: blank, namespace: %[1]s}
spec: {template: {spec: {controlPlaneEndpoint: {port: 6443}}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: DemoControlPlaneTemplate
metadata: {name: blank, namespace: %[1]s}
spec: {template: {spec: {tlsSANs: [localhost]}}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}
  variables: [%[3]s]
  patches: [%[4]s]
`

// pool is an IPAM pool of any kind.
type pool struct {
	w               *world
	resource        schema.GroupVersionResource
	group, kind     string
	namespace, name string
}

// draft is a pool to be.
type draft struct {
	kind      string // "" is GlobalInClusterIPPool
	name      string // "" is a new one
	addresses []string
	class     string
	roles     string // as in the label; "" is both
	prefix    int    // 0 is 16
	grace     int    // seconds
	notes     map[string]string
}

// pool makes a pool and waits until its provider has counted it.
func (w *world) pool(d draft) *pool {
	w.t.Helper()
	p := &pool{w: w, resource: observe.GlobalPools, group: "ipam.cluster.x-k8s.io", kind: "GlobalInClusterIPPool", name: d.name}
	version := "v1alpha2"
	switch d.kind {
	case provider.Kind:
		p.resource, p.group, p.kind, p.namespace, version = provider.Pools, provider.Group, d.kind, w.namespace, "v1"
	case "InClusterIPPool":
		p.resource, p.kind, p.namespace = inClusterPools, d.kind, w.namespace
	}
	if p.name == "" {
		p.name = w.unique("pool")
	}
	spec := map[string]any{"addresses": anyOf(d.addresses)}
	if d.kind != provider.Kind {
		spec["prefix"] = int64(max(d.prefix, 16))
		if d.grace > 0 {
			spec["addressReuseGracePeriodSeconds"] = int64(d.grace)
		}
	}
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": p.group + "/" + version, "kind": p.kind, "spec": spec}}
	object.SetName(p.name)
	notes := map[string]string{prefix + "cluster-class": d.class}
	for key, value := range d.notes {
		notes[key] = value
	}
	object.SetAnnotations(notes)
	if d.roles == "" {
		d.roles = "control-plane_ingress"
	}
	object.SetLabels(map[string]string{prefix + "role": d.roles})
	w.createObject(p.resource, p.namespace, object)
	if d.kind != provider.Kind && notes[pausedAnnotation] == "" {
		w.eventually("pool "+p.name+" is counted", func() error { return p.counts(func(map[string]any) bool { return true }) })
	}
	return p
}

func anyOf(texts []string) []any {
	var values []any
	for _, text := range texts {
		values = append(values, text)
	}
	return values
}

// counts tells whether the provider's numbers are as the test says.
func (p *pool) counts(test func(numbers map[string]any) bool) error {
	p.w.t.Helper()
	numbers, found, _ := unstructured.NestedMap(p.w.get(p.resource, p.namespace, p.name).Object, "status", "ipAddresses")
	if !found || !test(numbers) {
		return fmt.Errorf("its numbers are %v", numbers)
	}
	return nil
}

// uses waits until the provider has counted so many addresses as used.
func (p *pool) uses(n int64) {
	p.w.t.Helper()
	p.w.eventually(fmt.Sprintf("pool %s uses %d", p.name, n), func() error {
		return p.counts(func(numbers map[string]any) bool { return numbers["used"] == n })
	})
}

func (p *pool) patch(document string) {
	p.w.t.Helper()
	p.w.patch(p.resource, p.namespace, p.name, document)
}

// holds sets the addresses of the pool.
func (p *pool) holds(addresses ...string) {
	p.w.t.Helper()
	p.patch(`{"spec":{"addresses":["` + strings.Join(addresses, `","`) + `"]}}`)
}

func (p *pool) annotate(key, value string) {
	p.w.t.Helper()
	p.patch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, key, value))
}

func (p *pool) pause(on bool) {
	p.w.t.Helper()
	p.annotate(pausedAnnotation, map[bool]string{true: `"true"`, false: "null"}[on])
}

// take has somebody else claim an address of the pool, and returns the address.
func (p *pool) take(claim string) string {
	p.w.t.Helper()
	p.w.create(observe.Claims, p.w.namespace, fmt.Sprintf(
		"{apiVersion: ipam.cluster.x-k8s.io/v1beta2, kind: IPAddressClaim, metadata: {name: %s}, spec: {poolRef: {apiGroup: %s, kind: %s, name: %s}}}",
		claim, p.group, p.kind, p.name))
	var address string
	p.w.eventually("claim "+claim+" is bound", func() error {
		if address = p.w.boundTo(claim); address == "" {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	return address
}

// boundTo is the address to which a claim is bound, "" if it is not.
func (w *world) boundTo(claim string) string {
	w.t.Helper()
	object := w.get(observe.Claims, w.namespace, claim)
	if object == nil || textAt(object, "status", "addressRef", "name") == "" {
		return ""
	}
	address := w.get(observe.Addresses, w.namespace, textAt(object, "status", "addressRef", "name"))
	if address == nil {
		return ""
	}
	return textAt(address, "spec", "address")
}

func textAt(o *unstructured.Unstructured, fields ...string) string {
	value, _, _ := unstructured.NestedString(o.Object, fields...)
	return value
}

// cluster is a CAPI Cluster.
type cluster struct {
	w    *world
	name string
	uid  types.UID
}

// draftCluster is a Cluster of the class that the world's allocators serve.
func (w *world) draftCluster(class, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster",
		"spec": map[string]any{"topology": map[string]any{
			"classRef": map[string]any{"name": class}, "version": "v1.36.3", "controlPlane": map[string]any{"replicas": int64(1)},
		}},
	}}
	object.SetName(name)
	object.SetNamespace(w.namespace)
	object.SetLabels(map[string]string{watchFilter: w.filter})
	return object
}

// cluster creates a Cluster; annotations are pairs of key and value.
func (w *world) cluster(class string, annotations ...string) *cluster {
	w.t.Helper()
	w.made++
	return w.clusterNamed(class, fmt.Sprintf("c%d", w.made), annotations...)
}

func (w *world) clusterNamed(class, name string, annotations ...string) *cluster {
	w.t.Helper()
	object := w.draftCluster(class, name)
	values := map[string]string{}
	for pair := range slices.Chunk(annotations, 2) {
		values[pair[0]] = pair[1]
	}
	object.SetAnnotations(values)
	made := w.createObject(observe.Clusters, w.namespace, object)
	return &cluster{w: w, name: name, uid: made.GetUID()}
}
