package suite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// cluster is a CAPI Cluster.
type cluster struct {
	w               *world
	namespace, name string
	uid             types.UID
}

// cluster creates a Cluster of the class that the world's allocator serves.
func (w *world) cluster(k *class, options ...clusterOption) *cluster {
	w.t.Helper()
	made := create(w, observe.Clusters, w.draftCluster(k, options...))
	return &cluster{w: w, namespace: made.Namespace, name: made.Name, uid: made.UID}
}

// draftCluster plans a Cluster that does not exist yet.
func (w *world) draftCluster(k *class, options ...clusterOption) *clusterv1.Cluster {
	w.t.Helper()
	w.made++
	object := &clusterv1.Cluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: fmt.Sprintf("c%d", w.made)},
	}
	labelled(watchFilterLabel, w.filter)(object)
	if k != nil {
		object.Spec.Topology = clusterv1.Topology{Version: "v1.36.3", ClassRef: clusterv1.ClusterClassRef{Name: k.name}}
		object.Spec.Topology.ControlPlane.Replicas = ptr.To[int32](1)
	}
	for _, option := range options {
		option.onCluster(object)
	}
	if k != nil && k.namespace != object.Namespace {
		object.Spec.Topology.ClassRef.Namespace = k.namespace
	}
	return object
}

// at sets the endpoint; a port of 0 or a host of "" is left out.
func at(host string, port int32) clusterFunc {
	return func(c *clusterv1.Cluster) {
		c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: host, Port: port}
	}
}

// set gives a topology variable a value of any JSON type.
func set(name string, value any) clusterFunc {
	return func(c *clusterv1.Cluster) {
		data, err := json.Marshal(value)
		if err != nil {
			panic(err) // the test's own literal
		}
		variables := &c.Spec.Topology.Variables
		entry := clusterv1.ClusterVariable{Name: name, Value: apiextensionsv1.JSON{Raw: data}}
		if i := slices.IndexFunc(*variables, func(v clusterv1.ClusterVariable) bool { return v.Name == name }); i >= 0 {
			(*variables)[i] = entry
			return
		}
		*variables = append(*variables, entry)
	}
}

// unset takes a topology variable away.
func unset(name string) clusterFunc {
	return func(c *clusterv1.Cluster) {
		c.Spec.Topology.Variables = slices.DeleteFunc(c.Spec.Topology.Variables, func(v clusterv1.ClusterVariable) bool { return v.Name == name })
	}
}

// paused sets or clears spec.paused.
func paused(on bool) clusterFunc {
	return func(c *clusterv1.Cluster) {
		if c.Spec.Paused = nil; on {
			c.Spec.Paused = ptr.To(true)
		}
	}
}

// now reads the Cluster, which must exist.
func (c *cluster) now() *clusterv1.Cluster {
	c.w.t.Helper()
	object := fetch[clusterv1.Cluster](c.w, observe.Clusters, c.namespace, c.name)
	if object == nil {
		c.w.t.Fatalf("Cluster %s does not exist", c.name)
	}
	return object
}

// change edits the Cluster as its user.
func (c *cluster) change(options ...clusterOption) {
	c.w.t.Helper()
	change(c.w, observe.Clusters, c.namespace, c.name, func(o *clusterv1.Cluster) {
		for _, option := range options {
			option.onCluster(o)
		}
	})
}

// condemned deletes the Cluster and waits until it is gone.
func (c *cluster) condemned(options ...metav1.DeletionPropagation) {
	c.w.t.Helper()
	o := metav1.DeleteOptions{}
	if len(options) > 0 {
		o.PropagationPolicy = &options[0]
	}
	c.w.remove(observe.Clusters, c.namespace, c.name, o)
	c.w.gone(observe.Clusters, c.namespace, c.name)
}

func (c *cluster) remove() {
	c.w.t.Helper()
	c.w.remove(observe.Clusters, c.namespace, c.name, metav1.DeleteOptions{})
}

// claim returns the role's claim, nil if there is none.
func (c *cluster) claim(r role) *ipamv1.IPAddressClaim {
	c.w.t.Helper()
	return fetch[ipamv1.IPAddressClaim](c.w, observe.Claims, c.namespace, r.claim(c.name))
}

// owns tells whether the role's claim is the Cluster's own and bound to the address.
func (c *cluster) owns(r role, address string) error {
	c.w.t.Helper()
	claim := c.claim(r)
	if claim == nil || claim.DeletionTimestamp != nil {
		return fmt.Errorf("there is no live claim")
	}
	owned := slices.ContainsFunc(claim.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == c.uid })
	if got := c.address(r); !owned || got != address {
		return fmt.Errorf("owned: %t, bound to %q, want %s", owned, got, address)
	}
	return nil
}

// address returns what the role's claim is bound to, "" while it is not.
func (c *cluster) address(r role) string {
	c.w.t.Helper()
	claim := c.claim(r)
	if claim == nil || claim.Status.AddressRef.Name == "" {
		return ""
	}
	address := fetch[ipamv1.IPAddress](c.w, observe.Addresses, c.namespace, claim.Status.AddressRef.Name)
	if address == nil {
		return ""
	}
	return address.Spec.Address
}

// claims returns the names of all claims that belong to the Cluster by name.
func (c *cluster) claims() []string {
	c.w.t.Helper()
	var names []string
	for _, r := range bothRoles {
		if claim := c.claim(r); claim != nil {
			names = append(names, claim.Name)
		}
	}
	return names
}

// build opens the gate of the class and waits until infrastructure exists.
func (c *cluster) build() {
	c.w.t.Helper()
	c.change(set(buildVariable, "now"))
	c.becomes(built())
}

// infrastructure returns the Cluster's infrastructure object.
func (c *cluster) infrastructure() *unstructured.Unstructured {
	c.w.t.Helper()
	return c.referred(c.now().Spec.InfrastructureRef.Name, "DemoCluster")
}

func (c *cluster) referred(name, kind string) *unstructured.Unstructured {
	c.w.t.Helper()
	resource := observe.DemoClusters
	if kind == "DemoControlPlane" {
		resource = controlPlanes
	}
	object, err := c.w.in(resource, c.namespace).Get(c.w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.w.t.Fatal(err)
	}
	return object
}

// provision plays the infrastructure provider: infrastructure is there now, at the
// endpoint if one is given.
func (c *cluster) provision(host string) {
	c.w.t.Helper()
	name := c.infrastructure().GetName()
	if host != "" {
		c.w.merge(observe.DemoClusters, c.namespace, name, fmt.Sprintf(`{"spec":{"controlPlaneEndpoint":{"host":%q,"port":6443}}}`, host))
	}
	// In the words of both contracts.
	c.w.merge(observe.DemoClusters, c.namespace, name, `{"status":{"ready":true,"initialization":{"provisioned":true}}}`, "status")
	c.w.eventually("Cluster API has seen the infrastructure", func() error {
		if done := c.now().Status.Initialization.InfrastructureProvisioned; done == nil || !*done {
			return fmt.Errorf("not yet")
		}
		return nil
	})
}

// events returns the allocator's events on the Cluster, as "Type Reason: message".
func (c *cluster) events() []string {
	c.w.t.Helper()
	var lines []string
	for _, event := range list[unstructured.Unstructured](c.w, coreEvents, c.namespace, "") {
		about, _, _ := unstructured.NestedString(event.Object, "involvedObject", "uid")
		source, _, _ := unstructured.NestedString(event.Object, "source", "component")
		if about == string(c.uid) && strings.HasPrefix(source, observe.UserAgent) {
			lines = append(lines, fmt.Sprintf("%v %v: %v", event.Object["type"], event.Object["reason"], event.Object["message"]))
		}
	}
	return lines
}

// told expects, for each fragment, an event of that type and reason that contains it.
func (c *cluster) told(reason string, fragments ...string) error {
	c.w.t.Helper()
	events := c.events()
	for _, fragment := range fragments {
		if !slices.ContainsFunc(events, func(event string) bool {
			return strings.HasPrefix(event, reason+": ") && strings.Contains(event, fragment)
		}) {
			return fmt.Errorf("no event %s names %s in %q", reason, fragment, events)
		}
	}
	return nil
}

// replicas asks for so many control plane machines.
func replicas(n int32) clusterFunc {
	return func(c *clusterv1.Cluster) { c.Spec.Topology.ControlPlane.Replicas = ptr.To(n) }
}

// rests waits until nobody has written the Cluster for a while. The allocator looks
// at it again after each write, so only then a test shows what else wakes it.
func (c *cluster) rests() {
	c.w.t.Helper()
	c.w.rest(c)
}

func (w *world) rest(crowd ...*cluster) {
	w.t.Helper()
	const quiet = 2 * time.Second
	versions, since := "", time.Now()
	w.eventually("nobody writes the Clusters", func() error {
		now := ""
		for _, c := range crowd {
			now += c.now().ResourceVersion + " "
		}
		if now != versions {
			versions, since = now, time.Now()
		}
		if time.Since(since) < quiet {
			return fmt.Errorf("somebody did %s ago", time.Since(since))
		}
		return nil
	})
}
