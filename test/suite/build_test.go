package suite

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// The options of the builders: what concerns metadata fits all of them.
type (
	classOption   interface{ onClass(*clusterv1.ClusterClass) }
	clusterOption interface{ onCluster(*clusterv1.Cluster) }
	poolOption    interface{ onPool(*poolObject) }

	metadata    func(metav1.Object)
	classFunc   func(*clusterv1.ClusterClass)
	clusterFunc func(*clusterv1.Cluster)
	poolFunc    func(*poolObject)
)

func (f metadata) onClass(o *clusterv1.ClusterClass)  { f(o) }
func (f metadata) onCluster(o *clusterv1.Cluster)     { f(o) }
func (f metadata) onPool(o *poolObject)               { f(o) }
func (f classFunc) onClass(o *clusterv1.ClusterClass) { f(o) }
func (f clusterFunc) onCluster(o *clusterv1.Cluster)  { f(o) }
func (f poolFunc) onPool(o *poolObject)               { f(o) }

func named(name string) metadata {
	return func(o metav1.Object) { o.SetName(name) }
}

func inNamespace(namespace string) metadata {
	return func(o metav1.Object) { o.SetNamespace(namespace) }
}

func annotated(key, value string) metadata {
	return func(o metav1.Object) { o.SetAnnotations(with(o.GetAnnotations(), key, value)) }
}

func labelled(key, value string) metadata {
	return func(o metav1.Object) { o.SetLabels(with(o.GetLabels(), key, value)) }
}

// without takes an annotation and a label of that name away.
func without(key string) metadata {
	return func(o metav1.Object) {
		annotations, labels := o.GetAnnotations(), o.GetLabels()
		delete(annotations, key)
		delete(labels, key)
		o.SetAnnotations(annotations)
		o.SetLabels(labels)
	}
}

func with(values map[string]string, key, value string) map[string]string {
	if values == nil {
		values = map[string]string{}
	}
	values[key] = value
	return values
}
