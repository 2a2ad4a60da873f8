package suite

import "fmt"

// user returns the kubeconfig of a user with one RBAC rule for all namespaces.
func (w *world) user(name, rule string) (kubeconfig string) {
	w.t.Helper()
	name = w.namespace + "-" + name
	w.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %[1]s}
rules: [%[2]s]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: %[1]s}]
`, name, rule))
	return w.kubeconfigOf(name)
}

// tenant returns the kubeconfig of a user with one RBAC rule for the world's namespace.
func (w *world) tenant(name, rule string) (kubeconfig string) {
	w.t.Helper()
	name = w.namespace + "-" + name
	w.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: %[1]s, namespace: %[3]s}
rules: [%[2]s]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s, namespace: %[3]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: %[1]s}]
`, name, rule, w.namespace))
	return w.kubeconfigOf(name)
}

func (w *world) kubeconfigOf(user string) string {
	w.t.Helper()
	path, err := w.management.User(user, "system:authenticated")
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}
