package rancher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// Keys of others.
const (
	importedName      = "cluster-api.cattle.io/capi-cluster-owner"
	importedNamespace = "cluster-api.cattle.io/capi-cluster-owner-ns"
	externallyManaged = "provisioning.cattle.io/externally-managed"
	derived           = "management.cattle.io/cluster-name"
	addonManager      = "addon-provider-fleet"
)

// Keys of ours.
const (
	recordKey      = "vip.capi.gorizond.io/propagated"
	fleetName      = "vip.capi.gorizond.io/cluster-name"
	fleetNamespace = "vip.capi.gorizond.io/cluster-namespace"
)

// object is a Kubernetes object of the world.
type object struct {
	w               *world
	resource        schema.GroupVersionResource
	namespace, name string
}

func (w *world) create(resource schema.GroupVersionResource, o *unstructured.Unstructured) *object {
	w.t.Helper()
	if _, err := w.in(resource, o.GetNamespace()).Create(w.t.Context(), o, metav1.CreateOptions{}); err != nil {
		w.t.Fatalf("create %s %s: %v", o.GetKind(), o.GetName(), err)
	}
	return &object{w: w, resource: resource, namespace: o.GetNamespace(), name: o.GetName()}
}

func newObject(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// cluster creates a Cluster of the plain class with the given annotations: a VIP that
// stands there was stamped by hand.
func (w *world) cluster(name string, annotations map[string]string) *object {
	w.t.Helper()
	return w.clusterOf("plain", name, annotations)
}

// allocated creates a Cluster and waits until it has its VIPs, from a pool.
func (w *world) allocated(name string) (cluster *object, ingress, controlPlane string) {
	w.t.Helper()
	w.apply(fmt.Sprintf(poolManifest, w.namespace, 100+w.number))
	cluster = w.clusterOf("vip", name, nil)
	ingress, controlPlane = cluster.vip(observe.Ingress), cluster.vip(observe.ControlPlane)
	return cluster, ingress, controlPlane
}

func (w *world) clusterOf(class, name string, annotations map[string]string) *object {
	w.t.Helper()
	o := newObject("cluster.x-k8s.io/v1beta2", "Cluster", w.namespace, name)
	o.SetAnnotations(annotations)
	o.SetLabels(map[string]string{"cluster.x-k8s.io/watch-filter": w.filter})
	o.Object["spec"] = map[string]any{"topology": map[string]any{
		"classRef": map[string]any{"name": class}, "version": "v1.36.3", "controlPlane": map[string]any{"replicas": int64(1)},
	}}
	return w.create(observe.Clusters, o)
}

// known is allocated, and waits until the allocator's own cache shows both VIPs: they
// may have come one after the other.
func (w *world) known(name string) (cluster *object, ingress, controlPlane string) {
	w.t.Helper()
	cluster, ingress, controlPlane = w.allocated(name)
	w.barrier()
	return cluster, ingress, controlPlane
}

// ingressAt stamps a Cluster by hand.
func ingressAt(address string) map[string]string {
	return map[string]string{observe.IngressVIP: address}
}

// rancher creates the Rancher Cluster that Turtles would import the Cluster as.
func (w *world) rancher(cluster *object, annotations map[string]string) *object {
	w.t.Helper()
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	name := "c-"
	for range 5 {
		name += string(letters[rand.IntN(len(letters))])
	}
	o := newObject("management.cattle.io/v3", "Cluster", "", name)
	o.SetLabels(map[string]string{importedName: cluster.name, importedNamespace: cluster.namespace, "cluster-api.cattle.io/owned": "", "env": "test"})
	o.SetAnnotations(annotations)
	o.SetFinalizers([]string{"capicluster.turtles.cattle.io"})
	o.Object["spec"] = map[string]any{"displayName": cluster.name, "fleetWorkspaceName": w.workspace, "imported": true}
	made := w.create(rancherClusters, o)
	w.t.Cleanup(func() { made.free() })
	return made
}

// fleet creates a Fleet Cluster.
func (w *world) fleet(namespace, name string, labels map[string]string) *object {
	w.t.Helper()
	o := newObject("fleet.cattle.io/v1alpha1", "Cluster", namespace, name)
	o.SetLabels(labels)
	o.Object["spec"] = map[string]any{"kubeConfigSecret": name + "-kubeconfig", "templateValues": map[string]any{"mine": "untouched"}}
	return w.create(fleetClusters, o)
}

// asking are the labels by which a Fleet Cluster asks for the VIPs of a Cluster.
func asking(cluster *object) map[string]string {
	return map[string]string{fleetName: cluster.name, fleetNamespace: cluster.namespace}
}

func (o *object) get() *unstructured.Unstructured {
	o.w.t.Helper()
	found, err := o.w.in(o.resource, o.namespace).Get(o.w.t.Context(), o.name, metav1.GetOptions{})
	if err != nil {
		o.w.t.Fatal(err)
	}
	return found
}

// merge is a user's change.
func (o *object) merge(patch string) {
	o.w.t.Helper()
	_, err := o.w.in(o.resource, o.namespace).Patch(o.w.t.Context(), o.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "user"})
	if err != nil {
		o.w.t.Fatal(err)
	}
}

// annotate sets an annotation; "null" takes it away.
func (o *object) annotate(key, value string) {
	o.w.t.Helper()
	if value != "null" {
		value = fmt.Sprintf("%q", value)
	}
	o.merge(fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, key, value))
}

func (o *object) delete() {
	o.w.t.Helper()
	if err := o.w.in(o.resource, o.namespace).Delete(o.w.t.Context(), o.name, metav1.DeleteOptions{}); err != nil {
		o.w.t.Fatal(err)
	}
}

// free takes away the finalizer, so that the kind can be removed. It works after the test.
func (o *object) free() {
	_, _ = o.w.in(o.resource, o.namespace).Patch(context.Background(), o.name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
}

// becomes waits until the object is as expected.
func (o *object) becomes(expectations ...func(*unstructured.Unstructured) error) {
	o.w.t.Helper()
	o.w.eventually(fmt.Sprintf("%s/%s %s is as expected", o.resource.Group, o.namespace, o.name), func() error { return o.check(expectations) })
}

// is reports what is not as expected now.
func (o *object) is(expectations ...func(*unstructured.Unstructured) error) {
	o.w.t.Helper()
	if err := o.check(expectations); err != nil {
		o.w.t.Errorf("%s %s: %v", o.resource.Group, o.name, err)
	}
}

func (o *object) check(expectations []func(*unstructured.Unstructured) error) error {
	found, err := o.w.in(o.resource, o.namespace).Get(o.w.t.Context(), o.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for _, expectation := range expectations {
		errs = append(errs, expectation(found))
	}
	return errors.Join(errs...)
}

// stamped expects the VIP of a role: observe.Ingress or observe.ControlPlane.
func stamped(role, address string) func(*unstructured.Unstructured) error {
	label := address
	if strings.Contains(address, ":") {
		label = ""
	}
	return func(o *unstructured.Unstructured) error {
		return errors.Join(
			same("annotation", "vip.capi.gorizond.io/"+role+"-vip", o.GetAnnotations(), address),
			same("label", "vip.capi.gorizond.io/"+role+"-vip", o.GetLabels(), label),
			same("label", "vip.capi.gorizond.io/has-"+role+"-vip", o.GetLabels(), "true"))
	}
}

// managed expects that somebody of that name has written the object.
func managed(manager string) func(*unstructured.Unstructured) error {
	return func(o *unstructured.Unstructured) error {
		for _, entry := range o.GetManagedFields() {
			if entry.Manager == manager {
				return nil
			}
		}
		return fmt.Errorf("%s has not written it", manager)
	}
}

// bare expects no key of ours but those by which a Fleet Cluster asks.
func bare(o *unstructured.Unstructured) error {
	var errs []error
	for _, values := range []map[string]string{o.GetLabels(), o.GetAnnotations()} {
		for key := range values {
			if strings.HasPrefix(key, "vip.capi.gorizond.io/") && key != fleetName && key != fleetNamespace {
				errs = append(errs, fmt.Errorf("there is %s: %s", key, values[key]))
			}
		}
	}
	return errors.Join(errs...)
}

func same(what, key string, values map[string]string, want string) error {
	if got := values[key]; got != want {
		return fmt.Errorf("%s %s is %q, want %q", what, key, got, want)
	}
	return nil
}

// writes are the allocators' accepted and refused writes of the object since the mark.
// One that met another write is tried again, and is no write.
func (o *object) writes(since int64) []audit.Event {
	o.w.t.Helper()
	return o.w.requests(since, audit.Event.IsWrite, func(e audit.Event) bool {
		return e.Object.Group == o.resource.Group && e.Object.Resource == o.resource.Resource && e.Object.Namespace == o.namespace && e.Object.Name == o.name && e.Response.Code != http.StatusConflict
	})
}

// written expects so many writes of ours since the world began. A change is seen
// before the API server has logged the write.
func (o *object) written(want int) {
	o.w.t.Helper()
	var got []audit.Event
	o.w.eventually(fmt.Sprintf("%s was written %d times", o.name, want), func() error {
		if got = o.writes(o.w.begin); len(got) < want {
			return fmt.Errorf("written %d times: %+v", len(got), got)
		}
		return nil
	})
	if len(got) != want {
		o.w.t.Errorf("%s %s was written %d times, want %d: %+v", o.resource.Group, o.name, len(got), want, got)
	}
}

// text is the object as it is stored, without the bookkeeping of who wrote it.
func (o *object) text() string {
	o.w.t.Helper()
	data, err := json.Marshal(o.get().Object)
	if err != nil {
		o.w.t.Fatal(err)
	}
	return string(data)
}

// rest is the object without the keys of ours, and without what changes with any write.
func (o *object) rest() string {
	o.w.t.Helper()
	found := o.get()
	foreign := func(key, _ string) bool { return strings.HasPrefix(key, "vip.capi.gorizond.io/") }
	labels, annotations := found.GetLabels(), found.GetAnnotations()
	maps.DeleteFunc(labels, foreign)
	maps.DeleteFunc(annotations, foreign)
	// An empty map is as good as none.
	if found.SetLabels(nil); len(labels) > 0 {
		found.SetLabels(labels)
	}
	if found.SetAnnotations(nil); len(annotations) > 0 {
		found.SetAnnotations(annotations)
	}
	found.SetManagedFields(nil)
	found.SetResourceVersion("")
	data, err := json.Marshal(found.Object)
	if err != nil {
		o.w.t.Fatal(err)
	}
	return string(data)
}

// gone waits until the object does not exist.
func (o *object) gone() {
	o.w.t.Helper()
	scene.Gone(o.w.t, patience, o.w.in(o.resource, o.namespace), o.name)
}

// vip waits for the Cluster's stamp of a role and returns it.
func (o *object) vip(role string) string {
	o.w.t.Helper()
	address := ""
	o.becomes(func(found *unstructured.Unstructured) error {
		if address = found.GetAnnotations()["vip.capi.gorizond.io/"+role+"-vip"]; address == "" {
			return errors.New("there is no VIP")
		}
		return nil
	})
	return address
}
