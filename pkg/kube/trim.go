package kube

import "k8s.io/apimachinery/pkg/api/meta"

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Trim drops from a cached object what nobody here reads and what weighs most.
// Bookkeeping of apply sets stays: they compare it.
func Trim(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		// A tombstone of the informer passes as it is.
		return object, nil //nolint:nilerr // see above
	}
	accessor.SetManagedFields(nil)
	if annotations := accessor.GetAnnotations(); annotations[lastApplied] != "" {
		// The key stays: a patch must know whether the object has annotations at all.
		annotations[lastApplied] = ""
	}
	return object, nil
}
