package neighbours

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// distribution is a kind of control plane, as its real provider serves it.
type distribution struct {
	resource schema.GroupVersionResource // of the control plane
	config   schema.GroupVersionResource // of what its machines boot by
	// suffix is that of the distribution's versions of Kubernetes.
	suffix string
	// spec is where the template's spec has the configuration of machines, and sans where the
	// control plane has the names of its certificate.
	spec, sans []string
	// version replaces that of the examples, where the provider here is older.
	version map[string]string
}

var distributions = map[string]distribution{
	"kubeadm": {
		resource: controlPlane("v1beta2", "kubeadmcontrolplanes"), config: bootstrap("v1beta2", "kubeadmconfigs"),
		spec: []string{"spec", "kubeadmConfigSpec"}, sans: []string{"clusterConfiguration", "apiServer", "certSANs"},
	},
	"rke2": {
		resource: controlPlane("v1beta1", "rke2controlplanes"), config: bootstrap("v1beta1", "rke2configs"), suffix: "+rke2r1",
		spec: []string{"spec"}, sans: []string{"serverConfig", "tlsSan"},
		version: map[string]string{
			"controlplane.cluster.x-k8s.io/v1beta2": "controlplane.cluster.x-k8s.io/v1beta1",
			"bootstrap.cluster.x-k8s.io/v1beta2":    "bootstrap.cluster.x-k8s.io/v1beta1",
		},
	},
	"k3s": {
		resource: controlPlane("v1beta2", "kthreescontrolplanes"), config: bootstrap("v1beta2", "kthreesconfigs"), suffix: "+k3s1",
		spec: []string{"spec", "kthreesConfigSpec"}, sans: []string{"serverConfig", "tlsSan"},
	},
}

func controlPlane(version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "controlplane.cluster.x-k8s.io", Version: version, Resource: resource}
}

func bootstrap(version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "bootstrap.cluster.x-k8s.io", Version: version, Resource: resource}
}

var (
	secrets     = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	deployments = schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "machinedeployments"}
	machines    = schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "machines"}
)

// world is a namespace with one of the example classes, and pools for it.
type world struct {
	*environment
	t         *testing.T
	class     string // name of the file
	namespace string
	number    int64
	ipv6      bool
	distribution
	infrastructure schema.GroupVersionResource
}

var worlds atomic.Int64

// newWorld applies the class. The real webhooks of its providers judge the templates.
func newWorld(t *testing.T, class string, ipv6 bool) *world {
	t.Helper()
	t.Parallel()
	e, err := boot()
	if err != nil {
		t.Fatal(err)
	}
	infrastructure, controlPlane, _ := strings.Cut(class, "-")
	w := &world{
		environment: e, t: t, class: class, number: worlds.Add(1), ipv6: ipv6,
		distribution: distributions[controlPlane], infrastructure: infrastructures[infrastructure],
	}
	w.namespace = e.Namespace(t, "")
	examples, err := allocator.Examples(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(examples, "classes", class+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for example, here := range w.version {
		text = strings.ReplaceAll(text, example, here)
	}
	w.applyHere(text)
	w.applyHere(fmt.Sprintf(pools, class, w.addresses(10), w.addresses(11), w.prefix()))
	return w
}

const pools = `
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: InClusterIPPool
metadata: {name: control-plane, annotations: {vip.capi.gorizond.io/cluster-class: %[1]s, vip.capi.gorizond.io/role: control-plane}}
spec: {addresses: ["%[2]s"], prefix: %[4]d}
---
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: InClusterIPPool
metadata: {name: ingress, annotations: {vip.capi.gorizond.io/cluster-class: %[1]s, vip.capi.gorizond.io/role: ingress}}
spec: {addresses: ["%[3]s"], prefix: %[4]d}
`

func (w *world) addresses(block int) string {
	if w.ipv6 {
		return fmt.Sprintf("2001:db8:%x:%d::10-2001:db8:%x:%d::19", w.number, block, w.number, block)
	}
	return fmt.Sprintf("10.%d.%d.10-10.%d.%d.19", w.number, block, w.number, block)
}

func (w *world) prefix() int {
	if w.ipv6 {
		return 64
	}
	return 24
}

// applyHere applies a YAML stream in the world's namespace.
func (w *world) applyHere(text string) {
	w.t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); err != nil {
			break
		}
		o.SetNamespace(w.namespace)
		data, err := json.Marshal(o.Object)
		if err != nil {
			w.t.Fatal(err)
		}
		w.Apply(w.t, string(data))
	}
}

func (w *world) in(resource schema.GroupVersionResource) dynamic.ResourceInterface {
	return w.Client.Resource(resource).Namespace(w.namespace)
}

// cluster is a Cluster of the world's class.
type cluster struct {
	*world
	name string
}

const manifest = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %[1]s, annotations: {%[2]s}}
spec:
  clusterNetwork: {pods: {cidrBlocks: [%[5]s]}}
  topology:
    classRef: {name: %[3]s}
    version: v1.36.3%[4]s
    controlPlane: {replicas: 1}
    workers: {machineDeployments: [{class: default-worker, name: workers, replicas: 1}]}
    %[6]s
`

func (w *world) cluster(name, annotations string) *cluster {
	w.t.Helper()
	network, variables := "10.244.0.0/16", ""
	if w.ipv6 {
		network = "'fd00:10:244::/56'"
	}
	if strings.HasPrefix(w.class, "proxmox-") {
		variables = "variables: [{name: ipv4Config, value: {addresses: [192.0.2.100-192.0.2.109], prefix: 24, gateway: 192.0.2.254}}]"
	}
	w.applyHere(fmt.Sprintf(manifest, name, annotations, w.class, w.suffix, network, variables))
	return &cluster{w, name}
}

// get returns the object, or fails the test.
func (w *world) get(resource schema.GroupVersionResource, name string) *unstructured.Unstructured {
	w.t.Helper()
	o, err := w.in(resource).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// merge is a user's change of the Cluster.
func (c *cluster) merge(patch string) {
	c.t.Helper()
	if _, err := c.in(observe.Clusters).Patch(c.t.Context(), c.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// topology is a user's change of one value below spec.topology.
func (c *cluster) topology(path, value string) {
	c.t.Helper()
	patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/topology/%s","value":%s}]`, path, value)
	if _, err := c.in(observe.Clusters).Patch(c.t.Context(), c.name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// vip waits for the Cluster's VIP of a role.
func (c *cluster) vip(role string) (address string) {
	c.t.Helper()
	scene.Until(c.t, patience, fmt.Sprintf("Cluster %s has its VIP for %s", c.name, role), func() error {
		if address = c.get(observe.Clusters, c.name).GetAnnotations()["vip.capi.gorizond.io/"+role+"-vip"]; address == "" {
			return fmt.Errorf("it has the conditions %v", c.get(observe.Clusters, c.name).Object["status"])
		}
		return nil
	})
	return address
}

// the waits for the one object of the kind that belongs to the Cluster.
func (c *cluster) the(resource schema.GroupVersionResource) (found *unstructured.Unstructured) {
	c.t.Helper()
	scene.Until(c.t, patience, fmt.Sprintf("Cluster %s has its %s", c.name, resource.Resource), func() error {
		list, err := c.in(resource).List(c.t.Context(), metav1.ListOptions{LabelSelector: "cluster.x-k8s.io/cluster-name=" + c.name})
		if err != nil {
			return err
		}
		if len(list.Items) != 1 {
			return fmt.Errorf("there are %d; the Cluster says %v", len(list.Items), observe.Condition(c.get(observe.Clusters, c.name), "TopologyReconciled"))
		}
		found = &list.Items[0]
		return nil
	})
	return found
}

// files are what the control plane's machines get, by path.
func (c *cluster) files(o *unstructured.Unstructured) map[string]string {
	list, _, _ := unstructured.NestedSlice(o.Object, append(slices.Clone(c.spec), "files")...)
	files := map[string]string{}
	for _, entry := range list {
		if file, ok := entry.(map[string]any); ok {
			files[fmt.Sprint(file["path"])] = fmt.Sprint(file["content"])
		}
	}
	return files
}

// ingressFile is the content of the file that brings the ingress VIP, "" if there is none.
func (c *cluster) ingressFile() string {
	c.t.Helper()
	for path, content := range c.files(c.the(c.resource)) {
		if strings.HasSuffix(path, "/ingress-vip.yaml") {
			return content
		}
	}
	return ""
}

// carries checks that the VIP for the control plane is in every place.
func (c *cluster) carries(address string) {
	c.t.Helper()
	infrastructure := c.the(c.infrastructure)
	if host, _, _ := unstructured.NestedString(infrastructure.Object, "spec", "controlPlaneEndpoint", "host"); host != address {
		c.t.Errorf("the infrastructure has host %q, want %s", host, address)
	}
	if port, _, _ := unstructured.NestedFieldNoCopy(infrastructure.Object, "spec", "controlPlaneEndpoint", "port"); fmt.Sprint(port) != "6443" {
		c.t.Errorf("the infrastructure has port %v", port)
	}
	o := c.the(c.resource)
	sans, _, _ := unstructured.NestedStringSlice(o.Object, append(slices.Clone(c.spec), c.sans...)...)
	if !slices.Contains(sans, address) {
		c.t.Errorf("the certificate is for %q, not for %s", sans, address)
	}
	if registration, found, _ := unstructured.NestedString(o.Object, "spec", "registrationAddress"); found && registration != address {
		c.t.Errorf("nodes register at %s", registration)
	}
	announced := false
	for path, content := range c.files(o) {
		announced = announced || (strings.HasSuffix(path, "/kube-vip.yaml") && strings.Contains(content, `value: "`+address+`"`))
	}
	// Harvester has a load balancer of its own.
	if !announced && !strings.HasPrefix(c.class, "harvester-") {
		c.t.Errorf("kube-vip does not announce %s: %v", address, c.files(o))
	}
}

// boots waits for what the first machine of the control plane boots by, and returns it. A
// provider with a slow cache may make more than one machine at first; only one boots alone.
func (c *cluster) boots() (data string) {
	c.t.Helper()
	scene.Until(c.t, patience, "a machine of Cluster "+c.name+" can boot", func() error {
		list, err := c.in(c.config).List(c.t.Context(), metav1.ListOptions{LabelSelector: "cluster.x-k8s.io/cluster-name=" + c.name})
		if err != nil {
			return err
		}
		waiting := []error{errors.New("none has what it boots by")}
		for _, config := range list.Items {
			if _, worker := config.GetLabels()["topology.cluster.x-k8s.io/deployment-name"]; worker {
				continue
			}
			secret, err := c.in(secrets).Get(c.t.Context(), config.GetName(), metav1.GetOptions{})
			if err != nil {
				waiting = append(waiting, err, fmt.Errorf("%v", config.Object["status"]))
				continue
			}
			encoded, _, _ := unstructured.NestedString(secret.Object, "data", "value")
			decoded, err := base64.StdEncoding.DecodeString(encoded)
			data = string(decoded)
			return err
		}
		return errors.Join(waiting...)
	})
	return data
}

// gone waits until nothing of the Cluster is left.
func (c *cluster) gone() {
	c.t.Helper()
	scene.Gone(c.t, 2*patience, c.in(observe.Clusters), c.name)
	for _, resource := range []schema.GroupVersionResource{c.infrastructure, c.resource, c.config, deployments, machines, observe.Claims} {
		scene.Until(c.t, patience, "the "+resource.Resource+" are gone", func() error {
			list, err := c.in(resource).List(c.t.Context(), metav1.ListOptions{LabelSelector: "cluster.x-k8s.io/cluster-name=" + c.name})
			if err == nil && len(list.Items) > 0 {
				err = fmt.Errorf("%s is there", list.Items[0].GetName())
			}
			return err
		})
	}
}

// unclaimed returns nil if there is no claim for the role.
func (c *cluster) unclaimed(role string) error {
	_, err := c.in(observe.Claims).Get(c.t.Context(), "vip-"+role+"-"+c.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return errors.Join(err, fmt.Errorf("the claim for %s is there", role))
}
