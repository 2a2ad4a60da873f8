package pools

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// world is what one test works in: a namespace and a range of addresses of its own.
type world struct {
	*environment
	t         *testing.T
	namespace string
	number    int64 // 10.<number>.0.0/16 and fd00:<number>::/32 are the world's own
	// filter is the watch-filter value of the Clusters, so that only the world's own
	// allocators serve them.
	filter string
	made   int
	logs   []string // of the allocators
	// clash says that users of this test break the promises themselves.
	clash bool
}

var (
	worlds  atomic.Int64
	foreign = regexp.MustCompile(`[^a-z0-9]+`)
)

// newWorld makes a world for a test that runs beside others.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newSerialWorld(t)
}

// newSerialWorld makes a world for a test that runs before those beside it: a crowd
// keeps the IPAM provider, which handles one claim at a time, from everybody else.
func newSerialWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	e, err := boot()
	if err != nil {
		t.Fatalf("start the environment: %v", err)
	}
	w := &world{environment: e, t: t, number: worlds.Add(1)}
	const limit = 40
	name := strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	name = strings.Trim(foreign.ReplaceAllString(name[:min(len(name), limit)], "-"), "-")
	w.namespace = fmt.Sprintf("%s-%d", name, w.number)
	w.filter = w.namespace
	w.apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + w.namespace + "}}")
	t.Cleanup(w.check)
	return w
}

// check reports broken promises, and what is known about a failed test.
func (w *world) check() {
	ctx, cancel := context.WithTimeout(context.Background(), patience) // the test's own has ended
	defer cancel()
	violations, err := w.checker.Violations(ctx, w.namespace)
	if err != nil {
		w.t.Error(err)
	}
	for i, v := range violations {
		if w.clash {
			break
		}
		w.t.Errorf("%s: %s", v.Rule, v.Text)
		if i == 4 {
			w.t.Errorf("and %d more", len(violations)-i-1)
			break
		}
	}
	if w.t.Failed() {
		w.dump(ctx)
	}
}

// apply applies a YAML stream as the administrator.
func (w *world) apply(content string) {
	w.t.Helper()
	if err := w.management.Apply(w.t.Context(), []byte(content)); err != nil {
		w.t.Fatal(err)
	}
}

// unique returns a name that no other world uses.
func (w *world) unique(stem string) string {
	w.made++
	return fmt.Sprintf("%s-%s%d", w.namespace, stem, w.made)
}

// ip is an address of the world's own.
func (w *world) ip(third, fourth int) string {
	return fmt.Sprintf("10.%d.%d.%d", w.number, third, fourth)
}

// start starts an allocator for the world's Clusters. It is killed at the end.
func (w *world) start(args ...string) *allocator.Process {
	w.t.Helper()
	return w.startAt(w.management.Kubeconfig(), args...)
}

func (w *world) startAt(kubeconfig string, args ...string) *allocator.Process {
	w.t.Helper()
	w.logs = append(w.logs, filepath.Join(w.environment.logs, fmt.Sprintf("allocator-%s-%d.log", w.namespace, len(w.logs))))
	p, err := allocator.Start(w.t.Context(), allocator.Options{
		Kubeconfig: kubeconfig, LogFile: w.logs[len(w.logs)-1],
		Args: append([]string{"--log-level=debug", "--watch-filter=" + w.filter}, args...),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Kill)
	return p
}

// eventually waits until check returns nil; what completes "wait until".
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	w.within(patience, what, check)
}

func (w *world) within(limit time.Duration, what string, check func() error) {
	w.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("wait until %s: not within %s: %v", what, limit, err)
		}
		time.Sleep(interval)
	}
}

// in returns the client for a resource; namespace is "" for a cluster-scoped one.
func (w *world) in(resource schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return w.client.Resource(resource)
	}
	return w.client.Resource(resource).Namespace(namespace)
}

// get returns an object, nil if there is none.
func (w *world) get(resource schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	w.t.Helper()
	object, err := w.in(resource, namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatalf("get %s %s/%s: %v", resource.Resource, namespace, name, err)
	}
	return object
}

func (w *world) list(resource schema.GroupVersionResource, namespace string) []unstructured.Unstructured {
	w.t.Helper()
	list, err := w.in(resource, namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatalf("list %s: %v", resource.Resource, err)
	}
	return list.Items
}

// create creates an object that is given as YAML.
func (w *world) create(resource schema.GroupVersionResource, namespace, content string) *unstructured.Unstructured {
	w.t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(content), &object.Object); err != nil {
		w.t.Fatalf("%v in\n%s", err, content)
	}
	return w.createObject(resource, namespace, object)
}

func (w *world) createObject(resource schema.GroupVersionResource, namespace string, object *unstructured.Unstructured) *unstructured.Unstructured {
	w.t.Helper()
	made, err := w.in(resource, namespace).Create(w.t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatalf("create %s %s: %v", resource.Resource, object.GetName(), err)
	}
	return made
}

// patch merges a JSON document into an object.
func (w *world) patch(resource schema.GroupVersionResource, namespace, name, document string) {
	w.t.Helper()
	_, err := w.in(resource, namespace).Patch(w.t.Context(), name, types.MergePatchType, []byte(document), metav1.PatchOptions{})
	if err != nil {
		w.t.Fatalf("patch %s %s with %s: %v", resource.Resource, name, document, err)
	}
}

// remove deletes an object, which need not exist.
func (w *world) remove(resource schema.GroupVersionResource, namespace, name string, policy ...metav1.DeletionPropagation) {
	w.t.Helper()
	options := metav1.DeleteOptions{}
	if len(policy) > 0 {
		options.PropagationPolicy = &policy[0]
	}
	err := w.in(resource, namespace).Delete(w.t.Context(), name, options)
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatalf("delete %s %s: %v", resource.Resource, name, err)
	}
}

func (w *world) gone(resource schema.GroupVersionResource, namespace, name string) {
	w.t.Helper()
	w.eventually(resource.Resource+" "+name+" is gone", func() error {
		if w.get(resource, namespace, name) != nil {
			return fmt.Errorf("it exists")
		}
		return nil
	})
}

// empty waits until the namespace holds none of the resource.
func (w *world) empty(resource schema.GroupVersionResource) {
	w.t.Helper()
	w.eventually("there are no "+resource.Resource, func() error {
		if left := w.list(resource, w.namespace); len(left) > 0 {
			return fmt.Errorf("%d are left, %s is one", len(left), left[0].GetName())
		}
		return nil
	})
}

// nothingLeaks waits until no claim, address or Lease of the world is left.
func (w *world) nothingLeaks() {
	w.t.Helper()
	w.empty(observe.Claims)
	w.empty(observe.Addresses)
	w.eventually("no Lease is left", func() error {
		if left := w.leases(); len(left) > 0 {
			return fmt.Errorf("%q are left", left)
		}
		return nil
	})
}
