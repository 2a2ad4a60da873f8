package cli

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

// reading gets and lists objects, and keeps note of what was not visible.
type reading struct {
	client    dynamic.Interface
	discovery discovery.DiscoveryInterface
	served    kube.Served
	// missing is what of Cluster API is not served; empty if all is.
	missing string
	unseen  []Unseen
	// followed holds objects that somebody keeps current; nil if all are asked for.
	followed map[schema.GroupVersionResource]cache.Store
}

// of returns the client of a resource at the version that is served.
func (r *reading) of(what resource) dynamic.NamespaceableResourceInterface {
	return r.client.Resource(r.served.Resource(what.GroupVersionResource))
}

// Unseen is something that could not be read.
type Unseen struct {
	// Kind is the kind of the objects.
	Kind string `json:"kind"`
	// Scope says which of them; empty means all.
	Scope string `json:"scope,omitempty"`
	// Why is "forbidden" or "not installed".
	Why string `json:"why"`
	// Unknown is what cannot be told for want of them.
	Unknown string `json:"unknown"`

	pool bool
}

// Values of Unseen.Why.
const (
	forbidden    = "forbidden"
	notInstalled = "not installed"
)

// resource is a kind of objects to read.
type resource struct {
	schema.GroupVersionResource
	kind          string
	clusterScoped bool
	pool          bool   // of any kind
	selector      string // of labels
	field         string // selector of fields
	// unknown is what cannot be told without these objects.
	unknown string
}

// list returns the objects of all namespaces or, if that is forbidden, of one.
func (r *reading) list(ctx context.Context, what resource, namespace string) ([]unstructured.Unstructured, error) {
	var found []unstructured.Unstructured
	_, _, err := r.visible(what, namespace, func(in string) error {
		list, err := r.of(what).Namespace(in).List(ctx, metav1.ListOptions{LabelSelector: what.selector})
		if err == nil {
			found = list.Items
		}
		return err
	})
	return found, err
}

// visible tries to read the objects of all namespaces or, if that is forbidden, of one, and
// notes what is not visible. It returns the namespace, empty for all.
func (r *reading) visible(what resource, namespace string, try func(in string) error) (in string, seen bool, err error) {
	err = try("")
	switch {
	case err == nil:
		return "", true, nil
	case apierrors.IsNotFound(err):
		r.note(what, "", notInstalled)
		return "", false, nil
	case !apierrors.IsForbidden(err):
		return "", false, fmt.Errorf("list %s: %w", what.GroupResource(), err)
	}
	if !what.clusterScoped && namespace != "" {
		err = try(namespace)
		if err == nil {
			r.note(what, "outside of namespace "+namespace, forbidden)
			return namespace, true, nil
		}
		if !apierrors.IsForbidden(err) {
			return "", false, fmt.Errorf("list %s in namespace %s: %w", what.GroupResource(), namespace, err)
		}
	}
	r.note(what, "", forbidden)
	return "", false, nil
}

// listIn returns the objects of one namespace.
func (r *reading) listIn(ctx context.Context, what resource, namespace string) ([]unstructured.Unstructured, error) {
	found, err := r.of(what).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: what.selector, FieldSelector: what.field})
	switch {
	case apierrors.IsForbidden(err):
		r.note(what, "in namespace "+namespace, forbidden)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("list %s in namespace %s: %w", what.GroupResource(), namespace, err)
	}
	return found.Items, nil
}

// get returns the object, or nil if it does not exist or is not visible.
func (r *reading) get(ctx context.Context, what resource, namespace, name string) (*unstructured.Unstructured, error) {
	object, err := r.of(what).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case apierrors.IsForbidden(err):
		r.note(what, namespace+"/"+name, forbidden)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get %s %s/%s: %w", what.kind, namespace, name, err)
	}
	return object, nil
}

func (r *reading) note(what resource, scope, why string) {
	if scope != "" && slices.ContainsFunc(r.unseen, func(u Unseen) bool { return u.Kind == what.kind && u.Why == why && u.Scope == "" }) {
		return // that is said already
	}
	r.unseen = append(r.unseen, Unseen{Kind: what.kind, Scope: scope, Why: why, Unknown: what.unknown, pool: what.pool})
}

// hides tells whether objects of the kind were kept from the user.
func hides(unseen []Unseen, kind string) bool {
	return slices.ContainsFunc(unseen, func(u Unseen) bool {
		return u.Why == forbidden && (u.Kind == kind || (u.pool && kind == anyPool))
	})
}

// misses tells whether objects of the kind were kept from us.
func (r *reading) misses(kind string) bool { return hides(r.unseen, kind) }

// decode turns what was read into objects of a Go type.
func decode[T any](objects []unstructured.Unstructured) ([]*T, error) {
	result := make([]*T, 0, len(objects))
	for i := range objects {
		into := new(T)
		if err := kube.Decode(&objects[i], into); err != nil {
			return nil, fmt.Errorf("read %s %s/%s: %w", objects[i].GetKind(), objects[i].GetNamespace(), objects[i].GetName(), err)
		}
		result = append(result, into)
	}
	return result, nil
}

// listOf lists objects of a Go type.
func listOf[T any](ctx context.Context, r *reading, what resource, namespace string) ([]*T, error) {
	objects, err := r.list(ctx, what, namespace)
	if err != nil {
		return nil, err
	}
	return decode[T](objects)
}

func decodeOne[T any](object *unstructured.Unstructured) (*T, error) {
	result, err := decode[T]([]unstructured.Unstructured{*object})
	if err != nil {
		return nil, err
	}
	return result[0], nil
}
