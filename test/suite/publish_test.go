package suite

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// follow collects every version of the objects of a kind in the world's namespace
// that the API server sends; the returned function ends that and returns them.
func (w *world) follow(resource string) func() []*unstructured.Unstructured {
	w.t.Helper()
	kinds := map[string]func() (watch.Interface, error){
		"clusters": func() (watch.Interface, error) {
			return w.in(observe.Clusters, w.namespace).Watch(w.t.Context(), metav1.ListOptions{})
		},
		"democlusters": func() (watch.Interface, error) {
			return w.in(observe.DemoClusters, w.namespace).Watch(w.t.Context(), metav1.ListOptions{})
		},
	}
	watcher, err := kinds[resource]()
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan []*unstructured.Unstructured, 1)
	go func() {
		var versions []*unstructured.Unstructured
		for event := range watcher.ResultChan() {
			if object, ok := event.Object.(*unstructured.Unstructured); ok {
				versions = append(versions, object)
			}
		}
		done <- versions
	}()
	return func() []*unstructured.Unstructured {
		watcher.Stop()
		return <-done
	}
}

// A Cluster of the example class gets both VIPs before anything is built, and its
// infrastructure is born with them.
func TestPublishBeforeInfrastructure(t *testing.T) {
	w := newWorld(t)
	k := w.exampleClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	clusters, infrastructure := w.follow("clusters"), w.follow("democlusters")
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)), built())

	for _, version := range clusters() {
		endpoint, _, _ := unstructured.NestedMap(version.Object, "spec", "controlPlaneEndpoint")
		if (endpoint["host"] == nil) != (endpoint["port"] == nil) {
			t.Errorf("host and port were not written together: %v", endpoint)
		}
	}
	versions := infrastructure()
	if len(versions) == 0 {
		t.Fatal("no version of the infrastructure was seen")
	}
	host, _, _ := unstructured.NestedString(versions[0].Object, "spec", "controlPlaneEndpoint", "host")
	vip, _, _ := unstructured.NestedString(versions[0].Object, "spec", "ingressVIP")
	if host != cp.address(0) || vip != in.address(0) {
		t.Errorf("infrastructure was born with host %q and ingress VIP %q", host, vip)
	}
}

// As long as one of the VIPs is missing nothing is built.
func TestPublishGatesInfrastructure(t *testing.T) {
	w := newWorld(t)
	k := w.exampleClass()
	cp := w.pool(serving(controlPlane, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), reason(ingress, "NoPool"))
	w.barrier()
	c.is(unbuilt())
	in := w.pool(serving(ingress, k))
	c.becomes(has(ingress, in.address(0)), built())
}

// A claim says whose it is and for what, in a way that clusterctl, the IPAM provider
// and the garbage collector understand.
func TestPublishedClaim(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	pools := map[role]*pool{controlPlane: w.pool(serving(controlPlane, k)), ingress: w.pool(serving(ingress, k))}
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"))
	for r, p := range pools {
		claim := c.claim(r)
		for key, want := range map[string]string{clusterNameLabel: c.name, poolRole: string(r), watchFilterLabel: w.filter} {
			if err := same("label", key, claim.Labels, want); err != nil {
				t.Errorf("claim %s: %v", claim.Name, err)
			}
		}
		if claim.Spec.PoolRef != p.ref() {
			t.Errorf("claim %s is on %v", claim.Name, claim.Spec.PoolRef)
		}
		want := metav1.OwnerReference{APIVersion: w.management.ClusterAPIVersion(), Kind: "Cluster", Name: c.name, UID: c.uid}
		if len(claim.OwnerReferences) != 1 || claim.OwnerReferences[0] != want {
			t.Errorf("claim %s has owners %+v", claim.Name, claim.OwnerReferences)
		}
	}
}

// Nothing that others wrote is touched: other variables keep their place and their
// exact text, other metadata stays.
func TestPublishKeepsForeignFields(t *testing.T) {
	w := newWorld(t)
	anything := clusterv1.JSONSchemaProps{XPreserveUnknownFields: new(bool)}
	*anything.XPreserveUnknownFields = true
	number := clusterv1.JSONSchemaProps{Type: "integer"}
	k := w.vipClass(declares("first", anything), declares("last", number))
	w.pool(serving(controlPlane, k))
	w.pool(serving(ingress, k))
	first := json.RawMessage(`{"z":1,"a":[3,2,1],"text":"<&>","big":9007199254740993}`)
	c := w.cluster(k, set("first", first), set("last", 7),
		annotated("example.com/kept", "a/b~c"), labelled("example.com/kept", "yes"))
	before := c.now()
	after := c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"))

	var names []string
	for _, v := range after.Spec.Topology.Variables {
		names = append(names, v.Name)
	}
	if len(names) != 4 || !slices.Equal(names[:2], []string{"first", "last"}) {
		t.Errorf("the variables are %q", names)
	}
	for i, v := range before.Spec.Topology.Variables {
		if got := after.Spec.Topology.Variables[i].Value.Raw; !bytes.Equal(got, v.Value.Raw) {
			t.Errorf("variable %s became %s", v.Name, got)
		}
	}
	if after.Annotations["example.com/kept"] != "a/b~c" || after.Labels["example.com/kept"] != "yes" {
		t.Error("foreign metadata is gone")
	}
	if after.Spec.Topology.Version != before.Spec.Topology.Version || *after.Spec.Topology.ControlPlane.Replicas != 1 {
		t.Error("foreign fields of the spec changed")
	}
}

// A Cluster that has no annotations at all gets them; one with a port keeps it.
func TestPublishKeepsThePort(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k, at("", 8443))
	c.becomes(endpoint(p.address(0), 8443), reason(controlPlane, "Allocated"))
}

// A class without the variable gets the endpoint and the stamp, and "none" on record.
func TestPublishWithoutVariable(t *testing.T) {
	w := newWorld(t)
	k := w.class()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(
		endpoint(cp.address(0), 6443), stamped(controlPlane, cp.address(0)), written(controlPlane, writtenNone), reason(controlPlane, "Allocated"),
		stamped(ingress, in.address(0)), written(ingress, writtenNone), reason(ingress, "Allocated"),
		noVariable("clusterVip"), noVariable("ingressVip"))
}

// Whoever describes a Cluster reads where its VIPs come from, once.
func TestPublishTellsPeople(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	object := c.becomes(reason(controlPlane, "Allocated", cp.address(0), cp.name), reason(ingress, "Allocated", in.address(0), in.name))
	for _, condition := range object.Status.Conditions {
		if strings.HasSuffix(condition.Type, "VIPReady") && (condition.ObservedGeneration == 0 || condition.LastTransitionTime.IsZero()) {
			t.Errorf("condition %+v is not complete", condition)
		}
	}
	w.eventually("there are events", func() error {
		return c.told("Normal Allocated", cp.address(0), in.address(0))
	})
	w.barrier()
	if events := c.events(); len(events) != 2 {
		t.Errorf("there are %d events: %q", len(events), events)
	}
}

// Infrastructure that lost the race, and waits for an endpoint, still gets the
// variable in the patch that first writes the endpoint, and no later.
func TestPublishAfterInfrastructure(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass(open())
	waiting, done := w.cluster(k), w.cluster(k)
	for _, c := range []*cluster{waiting, done} {
		c.becomes(built(), reason(controlPlane, "NoPool"), reason(ingress, "NoPool"))
	}
	done.provision("")
	w.pool(serving(controlPlane, k))
	waiting.becomes(reason(controlPlane, "Allocated"))
	waiting.becomes(has(controlPlane, waiting.address(controlPlane)))
	done.becomes(reason(controlPlane, "VariableNotBackfilled"), written(controlPlane, writtenNone), noVariable("clusterVip"))
	done.becomes(endpoint(done.address(controlPlane), 6443), stamped(controlPlane, done.address(controlPlane)))
	w.pool(serving(ingress, k))
	for _, c := range []*cluster{waiting, done} {
		c.becomes(reason(ingress, "VariableNotBackfilled"), noVariable("ingressVip"))
		c.is(stamped(ingress, c.address(ingress)), written(ingress, writtenNone))
	}
}
