package security

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

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
