package security

import (
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// reserver is somebody with the chart's roles for who reserves, in a namespace.
func (w *world) reserver() *user {
	w.t.Helper()
	namespace := w.Namespace(w.t, "")
	u := &user{w: w, name: "reserver-of-" + namespace, namespace: namespace}
	w.Apply(w.t, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reserver, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: capi-vip-allocator-reserver}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[2]s}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: capi-vip-allocator-viewer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[2]s}]
`, namespace, u.name))
	u.client = w.clientOf(u.name)
	w.until("the rights count", func() error {
		if _, err := u.client.Resource(observe.Clusters).List(w.t.Context(), metav1.ListOptions{}); err != nil {
			return err
		}
		_, err := u.client.Resource(observe.Claims).Namespace(namespace).Patch(w.t.Context(), "x", types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
		return client404(err)
	})
	return u
}

// Who may reserve writes claims in one namespace. That is more than the command does: any
// pool serves them, and no claim there is safe from them.
func TestReserversWriteClaimsOnly(t *testing.T) {
	w := newWorld(t)
	u, other := w.reserver(), w.Namespace(t, "")
	net := subnet()
	w.Apply(t, fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata: {name: %[1]s, annotations: {vip.capi.gorizond.io/role: control-plane, vip.capi.gorizond.io/cluster-class: %[1]s, vip.capi.gorizond.io/namespaces: %[1]s}}
spec: {addresses: [%[2]s.10-%[2]s.20], prefix: 24}
`, other, net))
	for resource, kind := range map[schema.GroupVersionResource]string{
		observe.Claims: "IPAddressClaim", observe.Addresses: "IPAddress", observe.GlobalPools: "GlobalInClusterIPPool",
		namespacedPools: "InClusterIPPool", observe.ClusterClasses: "ClusterClass", observe.Clusters: "Cluster",
	} {
		for _, namespace := range []string{u.namespace, other} {
			o := &unstructured.Unstructured{Object: object{
				"apiVersion": resource.GroupVersion().String(), "kind": kind, "metadata": object{"name": "x"},
				"spec": object{"poolRef": object{"apiGroup": "ipam.cluster.x-k8s.io", "kind": "GlobalInClusterIPPool", "name": other}},
			}}
			if resource != observe.GlobalPools {
				o.SetNamespace(namespace)
			}
			allowed := resource == observe.Claims && namespace == u.namespace
			if err := u.create(resource, o); apierrors.IsForbidden(err) == allowed {
				t.Errorf("%s in %s is created: %v", kind, namespace, err)
			}
			in := u.client.Resource(resource).Namespace(o.GetNamespace())
			if allowed {
				continue
			}
			for _, sub := range [][]string{nil, {"status"}} {
				if _, err := in.Patch(t.Context(), "x", types.MergePatchType, []byte("{}"), metav1.PatchOptions{}, sub...); !apierrors.IsForbidden(err) {
					t.Errorf("%s %v in %s is patched: %v", kind, sub, namespace, err)
				}
			}
			if err := in.Delete(t.Context(), "x", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("%s in %s is deleted: %v", kind, namespace, err)
			}
		}
	}
	claims := u.client.Resource(observe.Claims).Namespace(u.namespace)
	w.until("the claim on a pool for others is bound", func() error {
		claim, err := claims.Get(t.Context(), "x", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if name, _, _ := unstructured.NestedString(claim.Object, "status", "addressRef", "name"); name == "" {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	if _, err := claims.Patch(t.Context(), "x", types.MergePatchType, []byte(`{"status":{}}`), metav1.PatchOptions{}, "status"); !apierrors.IsForbidden(err) {
		t.Errorf("its status is patched: %v", err)
	}
	if err := claims.Delete(t.Context(), "x", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
