package rancher

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// listable tells why the kind cannot be listed.
func (f *follower) listable(ctx context.Context) error {
	const timeout = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := f.client.Resource(resourceOf(f.kind)).List(ctx, metav1.ListOptions{Limit: 1}); denied(err) {
		return err
	}
	return nil // anything else is for the informer to try again
}

// denied tells whether the right is missing, or the kind.
func denied(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err)
}
