package management

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

const (
	fieldManager = "management"
	// servedTimeout is how long a new kind may take to be served.
	servedTimeout = 30 * time.Second
	crdKind       = "CustomResourceDefinition"
)

// Apply creates or updates every object of a YAML or JSON stream by server-side
// apply, in order, taking over conflicting fields. An object without a namespace
// goes to "default". CRDs are served when Apply returns, and usable by later
// objects of the stream. The error names the object that failed; those before it
// are applied.
func (c *Cluster) Apply(ctx context.Context, content []byte) error {
	objects, err := decode(content)
	if err != nil {
		return err
	}
	return c.applier.apply(ctx, objects)
}

// decode splits a stream into objects and drops empty documents.
func decode(content []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decode object %d: %w", len(objects)+1, err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetKind() == "" || object.GetName() == "" {
			return nil, fmt.Errorf("object %d has no kind or name", len(objects)+1)
		}
		objects = append(objects, object)
	}
}

// applier writes objects of any kind.
type applier struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
	// served returns the object at a version that is served.
	served func(*unstructured.Unstructured) (*unstructured.Unstructured, error)
}

func newApplier(config *rest.Config, served func(*unstructured.Unstructured) (*unstructured.Unstructured, error)) (*applier, error) {
	config = rest.CopyConfig(config)
	config.WarningHandler = rest.NoWarnings{} // of served, but deprecated versions
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &applier{
		served: served,
		client: client,
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds)),
	}, nil
}

func (a *applier) apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	for len(objects) > 0 {
		crds := 0
		for crds < len(objects) && objects[crds].GetKind() == crdKind {
			crds++
		}
		if crds > 0 {
			if err := a.applyCRDs(ctx, objects[:crds]); err != nil {
				return err
			}
			objects = objects[crds:]
			continue
		}
		if err := a.applyOne(ctx, objects[0]); err != nil {
			return err
		}
		objects = objects[1:]
	}
	return nil
}

// applyCRDs applies kinds side by side, they do not depend on each other, and
// waits until all are served.
func (a *applier) applyCRDs(ctx context.Context, crds []*unstructured.Unstructured) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, crd := range crds {
		group.Go(func() error {
			if err := a.applyOne(ctx, crd); err != nil {
				return err
			}
			return a.awaitEstablished(ctx, crd.GetName())
		})
	}
	return group.Wait()
}

// applyOne finds the object's resource and applies it.
func (a *applier) applyOne(ctx context.Context, object *unstructured.Unstructured) error {
	object, err := a.served(object)
	if err != nil {
		return err
	}
	mapping, err := a.mapping(ctx, object.GroupVersionKind())
	if err == nil {
		_, err = a.resource(mapping, object).Apply(ctx, object.GetName(), object,
			metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	}
	if err != nil {
		return fmt.Errorf("apply %s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
	}
	return nil
}

func (a *applier) resource(mapping *meta.RESTMapping, object *unstructured.Unstructured) dynamic.ResourceInterface {
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return a.client.Resource(mapping.Resource)
	}
	if object.GetNamespace() == "" {
		object.SetNamespace(metav1.NamespaceDefault)
	}
	return a.client.Resource(mapping.Resource).Namespace(object.GetNamespace())
}

// mapping asks discovery which resource serves a kind. A kind just installed may
// be missing there for a moment.
func (a *applier) mapping(ctx context.Context, kind schema.GroupVersionKind) (*meta.RESTMapping, error) {
	var mapping *meta.RESTMapping
	var err error
	waitErr := poll(ctx, 5*time.Second, func() (bool, error) {
		mapping, err = a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			a.mapper.Reset()
			return false, nil
		}
		return true, err
	})
	return mapping, errors.Join(waitErr, err)
}

var crdResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

func (a *applier) awaitEstablished(ctx context.Context, crd string) error {
	err := poll(ctx, servedTimeout, func() (bool, error) {
		object, err := a.client.Resource(crdResource).Get(ctx, crd, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return observe.Condition(object, "Established")["status"] == "True", nil
	})
	if err != nil {
		return fmt.Errorf("wait until %s is served: %w", crd, err)
	}
	return nil
}

// awaitNamespace waits for a namespace that the API server makes by itself.
func (a *applier) awaitNamespace(ctx context.Context, name string) error {
	namespaces := a.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	err := poll(ctx, servedTimeout, func() (bool, error) {
		_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("wait for namespace %s: %w", name, err)
	}
	return nil
}

// poll repeats check until it says true, fails, or timeout passes.
func poll(ctx context.Context, timeout time.Duration, check func() (bool, error)) error {
	return wait.PollUntilContextTimeout(ctx, pollInterval, timeout, true,
		func(context.Context) (bool, error) { return check() })
}
