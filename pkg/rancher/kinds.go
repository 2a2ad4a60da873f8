package rancher

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

// resourceOf is where a kind of targets is served.
func resourceOf(kind Kind) schema.GroupVersionResource {
	if kind == RancherCluster {
		return schema.GroupVersionResource{Group: "management.cattle.io", Version: "v3", Resource: "clusters"}
	}
	return schema.GroupVersionResource{Group: "fleet.cattle.io", Version: "v1alpha1", Resource: "clusters"}
}

// crdResource is where CRDs are served. They are named after resource and group.
func crdResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
}

// listable tells whether the kind can be listed; it waits a moment, since a CRD that
// was just written may take one, and so may a right.
func (f *follower) listable(ctx context.Context) error {
	patient := wait.Backoff{Duration: time.Second, Factor: 2, Steps: 4}
	const timeout = 10 * time.Second
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, patient, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		_, last = f.client.Resource(resourceOf(f.kind)).List(ctx, metav1.ListOptions{Limit: 1})
		// Anything else is for the informer to try again.
		return !denied(last), nil
	})
	if err != nil {
		return last
	}
	return nil
}

// denied tells whether asking again is of no use until something changes: the right
// is missing, or the kind.
func denied(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err)
}
