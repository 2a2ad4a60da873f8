package security

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

type object = map[string]any

var namespacedPools = schema.GroupVersionResource{Group: "ipam.cluster.x-k8s.io", Version: "v1alpha2", Resource: "inclusterippools"}

// Public names, written out once more: a test that took them from the product would
// follow a typing error there.
const (
	prefix   = "vip.capi.gorizond.io/"
	cpStamp  = prefix + "control-plane-vip"
	cpWrote  = prefix + "control-plane-written"
	cpPool   = prefix + "control-plane-pool"
	inStamp  = prefix + "ingress-vip"
	inWrote  = prefix + "ingress-written"
	cpReady  = observe.ControlPlaneReady
	inReady  = observe.IngressReady
	cpClaim  = "vip-cp-"
	apiGroup = "cluster.x-k8s.io/v1beta2"
)

// world is what one test works in.
type world struct {
	*environment
	t *testing.T
}

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
	return &world{environment: e, t: t}
}

func (w *world) until(what string, check func() error) {
	w.t.Helper()
	scene.Until(w.t, patience, what, check)
}

// user is somebody with rights in a namespace, and with no others.
type user struct {
	w         *world
	name      string
	namespace string
	client    dynamic.Interface
}

// tenant makes a namespace and one who has Clusters there, by the roles of the example.
func (w *world) tenant(labels string, roles ...string) *user {
	w.t.Helper()
	namespace := w.Namespace(w.t, labels)
	u := &user{w: w, name: "tenant-of-" + namespace, namespace: namespace}
	for _, role := range append([]string{"cluster-tenant"}, roles...) {
		w.Apply(w.t, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s, namespace: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[3]s}]
`, role, namespace, u.name))
	}
	path, err := w.Management.User(u.name, "system:authenticated")
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err == nil {
		u.client, err = dynamic.NewForConfig(config)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	u.awaitRights(len(roles) > 0)
	return u
}

// awaitRights waits until the API server has seen the roles.
func (u *user) awaitRights(pools bool) {
	u.w.t.Helper()
	resources := []schema.GroupVersionResource{observe.Clusters}
	if pools {
		resources = append(resources, namespacedPools)
	}
	for _, resource := range resources {
		u.w.until("the rights count", func() error {
			_, err := u.client.Resource(resource).Namespace(u.namespace).Patch(u.w.t.Context(), "x", types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
			return client404(err)
		})
	}
}

// classes makes a ClusterClass with the usual variables, gated by the first, in each of
// the namespaces, and waits until Cluster API has read them.
func (w *world) classes(name string, namespaces ...string) {
	w.t.Helper()
	for _, namespace := range namespaces {
		w.Apply(w.t, management.BlankTemplates(namespace)+fmt.Sprintf(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: %s, namespace: %s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  - {name: anything, required: false, schema: {openAPIV3Schema: {type: object, additionalProperties: {type: string}}}}
  patches:
  - name: vip
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}]
`, name, namespace))
	}
	for _, namespace := range namespaces {
		w.until("Cluster API has read class "+name, func() error {
			class, err := w.get(observe.ClusterClasses, namespace, name)
			if err != nil {
				return err
			}
			if status, _ := condition(class, "VariablesReady"); status != "True" {
				return fmt.Errorf("it is %q", status)
			}
			return nil
		})
	}
}

// pool makes a pool of both roles for a class: global, or in a namespace.
func (w *world) pool(namespace, name, class, annotations string, addresses ...string) {
	w.t.Helper()
	w.Apply(w.t, poolText(namespace, name, class, annotations, addresses...))
}

func poolText(namespace, name, class, annotations string, addresses ...string) string {
	kind := "GlobalInClusterIPPool"
	if namespace != "" {
		kind, namespace = "InClusterIPPool", "namespace: "+namespace+", "
	}
	if annotations != "" {
		annotations = ", " + annotations
	}
	return fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: %s
metadata: {%sname: %s, annotations: {"vip.capi.gorizond.io/cluster-class": "%s", "vip.capi.gorizond.io/role": "control-plane,ingress"%s}}
spec: {addresses: [%s], prefix: 24}
`, kind, namespace, name, class, annotations, strings.Join(addresses, ", "))
}

var subnets atomic.Int64

// subnet returns the first three numbers of a /24 that nobody else uses.
func subnet() string { return fmt.Sprintf("10.99.%d", subnets.Add(1)) }

// cluster is the manifest of a Cluster.
func cluster(namespace, name, class string, edits ...func(object)) *unstructured.Unstructured {
	o := object{
		"apiVersion": apiGroup, "kind": "Cluster",
		"metadata": object{"namespace": namespace, "name": name},
		"spec":     object{"topology": object{"classRef": object{"name": class}, "version": "v1.36.3", "controlPlane": object{"replicas": int64(1)}}},
	}
	for _, edit := range edits {
		edit(o)
	}
	return &unstructured.Unstructured{Object: o}
}

// at sets a field.
func at(value any, path ...string) func(object) {
	return func(o object) {
		if err := unstructured.SetNestedField(o, value, path...); err != nil {
			panic(err) // the test's own literal
		}
	}
}

func annotation(key, value string) func(object) { return at(value, "metadata", "annotations", key) }
func label(key, value string) func(object)      { return at(value, "metadata", "labels", key) }
func host(text string) func(object)             { return at(text, "spec", "controlPlaneEndpoint", "host") }

// variable sets the only variables of a Cluster, by names and values in turn.
func variable(namesAndValues ...any) func(object) {
	var list []any
	for i := 0; i < len(namesAndValues); i += 2 {
		list = append(list, object{"name": namesAndValues[i], "value": namesAndValues[i+1]})
	}
	return at(list, "spec", "topology", "variables")
}

// create creates an object as the user.
func (u *user) create(resource schema.GroupVersionResource, o *unstructured.Unstructured) error {
	_, err := u.client.Resource(resource).Namespace(o.GetNamespace()).Create(u.w.t.Context(), o, metav1.CreateOptions{})
	return err
}

// make makes a Cluster in the user's namespace.
func (u *user) make(name, class string, edits ...func(object)) {
	u.w.t.Helper()
	if err := u.create(observe.Clusters, cluster(u.namespace, name, class, edits...)); err != nil {
		u.w.t.Fatalf("%s creates Cluster %s: %v", u.name, name, err)
	}
}

// get reads an object as the administrator.
func (w *world) get(resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	return w.Client.Resource(resource).Namespace(namespace).Get(context.WithoutCancel(w.t.Context()), name, metav1.GetOptions{})
}

// vips are what a Cluster has been given, as far as anybody can see.
type vips struct{ host, clusterVip, ingressVip, cpStamp, inStamp, cpClaim, inClaim string }

func (w *world) vips(namespace, name string) (vips, error) {
	c, err := w.get(observe.Clusters, namespace, name)
	if err != nil {
		return vips{}, err
	}
	v := vips{cpStamp: c.GetAnnotations()[cpStamp], inStamp: c.GetAnnotations()[inStamp]}
	v.host, _, _ = unstructured.NestedString(c.Object, "spec", "controlPlaneEndpoint", "host")
	list, _, _ := unstructured.NestedSlice(c.Object, "spec", "topology", "variables")
	for _, entry := range list {
		switch text, _ := entry.(object)["value"].(string); entry.(object)["name"] {
		case "clusterVip":
			v.clusterVip = text
		case "ingressVip":
			v.ingressVip = text
		}
	}
	v.cpClaim, err = w.bound(namespace, cpClaim+name)
	if err != nil {
		return v, err
	}
	v.inClaim, err = w.bound(namespace, "vip-ingress-"+name)
	return v, err
}

// bound returns the address that a claim holds; empty if there is none.
func (w *world) bound(namespace, claim string) (string, error) {
	c, err := w.get(observe.Claims, namespace, claim)
	if err != nil {
		return "", client404(err)
	}
	name, _, _ := unstructured.NestedString(c.Object, "status", "addressRef", "name")
	if name == "" {
		return "", nil
	}
	address, err := w.get(observe.Addresses, namespace, name)
	if err != nil {
		return "", client404(err)
	}
	text, _, _ := unstructured.NestedString(address.Object, "spec", "address")
	return text, nil
}

func client404(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// served waits until the Cluster has both VIPs everywhere, each from its own claim.
func (w *world) served(namespace, name string) vips {
	w.t.Helper()
	var v vips
	w.until(namespace+"/"+name+" has its VIPs", func() error {
		var err error
		if v, err = w.vips(namespace, name); err != nil {
			return err
		}
		cp, in := v.cpClaim, v.inClaim
		if cp == "" || in == "" || v != (vips{cp, cp, in, cp, in, cp, in}) {
			return fmt.Errorf("it has %+v", v)
		}
		return nil
	})
	return v
}

// condition returns what a condition says, as "Reason: message".
func condition(o *unstructured.Unstructured, kind string) (status, text string) {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, entry := range list {
		if c, _ := entry.(object); c["type"] == kind {
			status, _ = c["status"].(string)
			return status, fmt.Sprint(c["reason"], ": ", c["message"])
		}
	}
	return "", ""
}

// says waits until a condition of the Cluster has the reason and names the fragments.
func (w *world) says(namespace, name, kind, reason string, fragments ...string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%s of %s/%s says %s %q", kind, namespace, name, reason, fragments), func() error {
		c, err := w.get(observe.Clusters, namespace, name)
		if err != nil {
			return err
		}
		return saying(c, kind, reason, fragments...)
	})
}

func saying(c *unstructured.Unstructured, kind, reason string, fragments ...string) error {
	_, text := condition(c, kind)
	if !strings.HasPrefix(text, reason+":") {
		return fmt.Errorf("it says %q", text)
	}
	for _, fragment := range fragments {
		if !strings.Contains(text, fragment) {
			return fmt.Errorf("%q is not in %q", fragment, text)
		}
	}
	return nil
}

// nobodyHas expects that no IPAddress of the namespace is one of these.
func (w *world) nobodyHas(namespace string, addresses ...string) {
	w.t.Helper()
	list, err := w.Client.Resource(observe.Addresses).Namespace(namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		text, _, _ := unstructured.NestedString(list.Items[i].Object, "spec", "address")
		for _, address := range addresses {
			if strings.HasSuffix(text, address) {
				w.t.Errorf("%s/%s is %s", namespace, list.Items[i].GetName(), text)
			}
		}
	}
}

// drawsNothing expects that no claim of the namespace names the pool.
func (w *world) drawsNothing(namespace, pool string) {
	w.t.Helper()
	list, err := w.Client.Resource(observe.Claims).Namespace(namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		if name, _, _ := unstructured.NestedString(list.Items[i].Object, "spec", "poolRef", "name"); name == pool {
			w.t.Errorf("claim %s/%s is on pool %s", namespace, list.Items[i].GetName(), pool)
		}
	}
}

var deletion = metav1.DeleteOptions{}

// manifest reads one object.
func manifest(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}
