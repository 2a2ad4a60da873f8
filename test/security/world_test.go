package security

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

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
	u.client = w.clientOf(u.name)
	u.awaitRights(len(roles) > 0)
	return u
}

func (w *world) clientOf(user string) dynamic.Interface {
	w.t.Helper()
	path, err := w.Management.User(user, "system:authenticated")
	if err != nil {
		w.t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		w.t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return client
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

// classes makes a ClusterClass with the usual variables, gated by both, in each of
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
      jsonPatches: [{op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}, {op: add, path: /spec/template/spec/ingressVIP, valueFrom: {variable: ingressVip}}]
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

// get reads an object as the administrator.
func (w *world) get(resource schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	return w.Client.Resource(resource).Namespace(namespace).Get(context.WithoutCancel(w.t.Context()), name, metav1.GetOptions{})
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
