// Package observe follows objects by watch and notes when each version was seen.
// It reads the allocator's public names itself and shares no code with it.
package observe

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// Event is one version of an object of type T.
type Event[T any] struct {
	At      time.Time // when this process saw it
	Deleted bool      // the object is gone; Object is its last version
	Object  *T
}

// Watch calls handle for every object of a resource, in all namespaces, first
// for those that exist and then for each change, in order and one at a time. It
// returns once the watch begins: no object created after that is missed, nor is
// any version that the API server sends. Errors later on, and a handler's panic
// aside, the watch lasts until ctx is cancelled.
func Watch[T any](
	ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource, handle func(Event[T]),
) error {
	list, err := client.Resource(resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Resource(resource).Watch(ctx, options)
		},
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", resource.Resource, err)
	}
	now := time.Now()
	for i := range list.Items {
		if err := deliver(&list.Items[i], now, false, handle); err != nil {
			watcher.Stop()
			return err
		}
	}
	go func() {
		for event := range watcher.ResultChan() {
			object, ok := event.Object.(*unstructured.Unstructured)
			if !ok || event.Type == watch.Error {
				continue // the watcher starts again by itself
			}
			// An object that T cannot hold was refused by the API server's schema already.
			_ = deliver(object, time.Now(), event.Type == watch.Deleted, handle)
		}
	}()
	return nil
}

func deliver[T any](object *unstructured.Unstructured, at time.Time, deleted bool, handle func(Event[T])) error {
	typed := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		return fmt.Errorf("read %s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
	}
	handle(Event[T]{At: at, Deleted: deleted, Object: typed})
	return nil
}
