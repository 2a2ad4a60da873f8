package suite

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// in returns the client for a resource; namespace is "" for a cluster-scoped one.
func (w *world) in(resource schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return w.client.Resource(resource)
	}
	return w.client.Resource(resource).Namespace(namespace)
}

// fetch returns an object as T, nil if there is none.
func fetch[T any](w *world, resource schema.GroupVersionResource, namespace, name string) *T {
	w.t.Helper()
	object, err := w.in(resource, namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatalf("get %s %s/%s: %v", resource.Resource, namespace, name, err)
	}
	return convert[T](w, object)
}

// list returns the objects of a namespace that have the labels of the selector.
func list[T any](w *world, resource schema.GroupVersionResource, namespace, selector string) []*T {
	w.t.Helper()
	found, err := w.in(resource, namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		w.t.Fatalf("list %s of %s: %v", resource.Resource, namespace, err)
	}
	result := make([]*T, 0, len(found.Items))
	for i := range found.Items {
		result = append(result, convert[T](w, &found.Items[i]))
	}
	return result
}

// create creates an object of any Go type and returns what the API server made of it.
func create[T any](w *world, resource schema.GroupVersionResource, object *T) *T {
	w.t.Helper()
	wanted := plain(w, object)
	made, err := w.in(resource, wanted.GetNamespace()).Create(w.t.Context(), wanted, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatalf("create %s %s/%s: %v", resource.Resource, wanted.GetNamespace(), wanted.GetName(), err)
	}
	return convert[T](w, made)
}

// change edits an object the way a user with an editor does: on a conflict the
// edit is made again.
func change[T any](w *world, resource schema.GroupVersionResource, namespace, name string, edit func(*T)) {
	w.t.Helper()
	if err := tryChange(w, resource, namespace, name, edit); err != nil {
		w.t.Fatalf("change %s %s/%s: %v", resource.Resource, namespace, name, err)
	}
}

func tryChange[T any](w *world, resource schema.GroupVersionResource, namespace, name string, edit func(*T)) error {
	w.t.Helper()
	client := w.in(resource, namespace)
	// Cluster API writes a new Cluster several times a second.
	return retry.RetryOnConflict(wait.Backoff{Steps: 50, Duration: 20 * time.Millisecond, Jitter: 1}, func() error {
		object, err := client.Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		typed := convert[T](w, object)
		edit(typed)
		_, err = client.Update(w.t.Context(), plain(w, typed), metav1.UpdateOptions{})
		return err
	})
}

// merge merges a JSON document into an object, or into a subresource of it.
func (w *world) merge(resource schema.GroupVersionResource, namespace, name, document string, subresources ...string) {
	w.t.Helper()
	_, err := w.in(resource, namespace).Patch(w.t.Context(), name, types.MergePatchType, []byte(document), metav1.PatchOptions{}, subresources...)
	if err != nil {
		w.t.Fatalf("patch %s %s/%s with %s: %v", resource.Resource, namespace, name, document, err)
	}
}

// remove deletes an object, which need not exist.
func (w *world) remove(resource schema.GroupVersionResource, namespace, name string, options metav1.DeleteOptions) {
	w.t.Helper()
	err := w.in(resource, namespace).Delete(w.t.Context(), name, options)
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatalf("delete %s %s/%s: %v", resource.Resource, namespace, name, err)
	}
}

// gone waits until an object does not exist.
func (w *world) gone(resource schema.GroupVersionResource, namespace, name string) {
	w.t.Helper()
	scene.Gone(w.t, patience, w.in(resource, namespace), name)
}

// nothingLeaks waits until the world has no claim, no address and no Lease of an
// address any more.
func (w *world) nothingLeaks() {
	w.t.Helper()
	for _, resource := range []schema.GroupVersionResource{observe.Claims, observe.Addresses} {
		w.eventually("there are no "+resource.Resource, func() error {
			if left := list[metav1.PartialObjectMetadata](w, resource, w.namespace, ""); len(left) > 0 {
				return fmt.Errorf("%d are left, %s is one", len(left), left[0].Name)
			}
			return nil
		})
	}
	w.eventually("no Lease is left", func() error {
		if left := w.leases(); len(left) > 0 {
			return fmt.Errorf("%q are left", left)
		}
		return nil
	})
}

var addressLease = regexp.MustCompile(`^vip-[0-9a-f]{32}$`)

// leases lists the Leases of addresses that Clusters of the world hold or held.
func (w *world) leases() []string {
	w.t.Helper()
	var names []string
	for _, lease := range list[metav1.PartialObjectMetadata](w, leases, allocator.Namespace, "") {
		if addressLease.MatchString(lease.Name) && strings.HasPrefix(lease.Annotations[prefix+"cluster"], w.namespace+"/") {
			names = append(names, lease.Name)
		}
	}
	return names
}

// convert goes through JSON, which respects omitzero. Unlike the converter of
// apimachinery it also takes a plain map.
func convert[T any](w *world, object *unstructured.Unstructured) *T {
	w.t.Helper()
	data, err := object.MarshalJSON()
	result := new(T)
	if err == nil {
		err = json.Unmarshal(data, result)
	}
	if err != nil {
		w.t.Fatalf("read %s %s: %v", object.GetKind(), object.GetName(), err)
	}
	return result
}

func plain[T any](w *world, object *T) *unstructured.Unstructured {
	w.t.Helper()
	data, err := json.Marshal(object)
	result := &unstructured.Unstructured{}
	if err == nil {
		err = result.UnmarshalJSON(data)
	}
	if err != nil {
		w.t.Fatalf("write %T: %v", object, err)
	}
	return result
}
