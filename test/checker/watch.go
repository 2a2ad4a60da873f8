package checker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

var (
	clusters  = schema.GroupVersionResource{Group: "cluster.x-k8s.io", Version: "v1beta2", Resource: "clusters"}
	claims    = schema.GroupVersionResource{Group: "ipam.cluster.x-k8s.io", Version: "v1beta2", Resource: "ipaddressclaims"}
	addresses = schema.GroupVersionResource{Group: "ipam.cluster.x-k8s.io", Version: "v1beta2", Resource: "ipaddresses"}
)

// Checker watches until the context of Start ends. Its methods may be called
// concurrently.
type Checker struct {
	client dynamic.Interface

	mutex      sync.Mutex
	histories  map[types.UID]*history
	vips       map[string]map[types.UID]string // address -> Cluster -> role
	violations []Violation
}

// Start begins to watch and returns once every later version will be seen.
func Start(ctx context.Context, client dynamic.Interface) (*Checker, error) {
	c := newChecker(client)
	for _, resource := range []schema.GroupVersionResource{clusters, claims, addresses} {
		if err := c.watch(ctx, resource); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func newChecker(client dynamic.Interface) *Checker {
	return &Checker{client: client, histories: map[types.UID]*history{}, vips: map[string]map[types.UID]string{}}
}

func (c *Checker) watch(ctx context.Context, resource schema.GroupVersionResource) error {
	list, err := c.client.Resource(resource).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return c.client.Resource(resource).Watch(ctx, options)
		},
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", resource.Resource, err)
	}
	for i := range list.Items {
		c.see(&list.Items[i], false)
	}
	go func() {
		for event := range watcher.ResultChan() {
			if object, ok := event.Object.(*unstructured.Unstructured); ok && event.Type != watch.Error {
				c.see(object, event.Type == watch.Deleted)
			}
		}
		if ctx.Err() == nil {
			// A checker that sees nothing must not look content.
			c.mutex.Lock()
			defer c.mutex.Unlock()
			c.violations = append(c.violations, Violation{Rule: "the checker itself", Text: "its watch of " + resource.Resource + " ended"})
		}
	}()
	return nil
}

// see takes up one version of an object.
func (c *Checker) see(object *unstructured.Unstructured, deleted bool) {
	object.SetManagedFields(nil)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	h := c.histories[object.GetUID()]
	if h == nil {
		h = &history{kind: object.GetKind(), namespace: object.GetNamespace(), name: object.GetName(), uid: object.GetUID()}
		c.histories[h.uid] = h
	}
	h.versions = append(h.versions, version{at: time.Now(), revision: revisionOf(object), deleted: deleted, object: object})
	switch h.kind {
	case "Cluster":
		c.judgeCluster(h)
	case "IPAddressClaim":
		c.judgeClaim(h)
	}
}

const (
	patience = 30 * time.Second
	interval = 20 * time.Millisecond
)

// catchUp waits until the checker has seen everything that there is now.
func (c *Checker) catchUp(ctx context.Context) error {
	for _, resource := range []schema.GroupVersionResource{clusters, claims, addresses} {
		list, err := c.client.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list %s: %w", resource.Resource, err)
		}
		err = wait.PollUntilContextTimeout(ctx, interval, patience, true, func(context.Context) (bool, error) {
			return c.hasSeen(list), nil
		})
		if err != nil {
			return fmt.Errorf("the checker has not seen all %s: %w", resource.Resource, err)
		}
	}
	return nil
}

func (c *Checker) hasSeen(list *unstructured.UnstructuredList) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	present := map[types.UID]bool{}
	for i := range list.Items {
		object := &list.Items[i]
		present[object.GetUID()] = true
		h := c.histories[object.GetUID()]
		if h == nil || (h.last().revision < revisionOf(object) && !h.last().deleted) {
			return false
		}
	}
	kind := list.GetKind()
	for uid, h := range c.histories {
		if h.kind+"List" == kind && h.live() && !present[uid] && h.last().revision <= revisionOfList(list) {
			return false // it is gone, and the checker does not know yet
		}
	}
	return true
}

func revisionOfList(list *unstructured.UnstructuredList) uint64 {
	o := &unstructured.Unstructured{}
	o.SetResourceVersion(list.GetResourceVersion())
	return revisionOf(o)
}

// sorted returns the histories of a kind, ordered by name, then by age.
func (c *Checker) sorted(kind string) []*history {
	var found []*history
	for _, h := range slices.Collect(maps.Values(c.histories)) {
		if h.kind == kind {
			found = append(found, h)
		}
	}
	slices.SortFunc(found, func(a, b *history) int {
		if a.String() != b.String() {
			if a.String() < b.String() {
				return -1
			}
			return 1
		}
		return int(a.versions[0].revision) - int(b.versions[0].revision)
	})
	return found
}
