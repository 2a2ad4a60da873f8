package scale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// sample is a new Cluster among the converged ones.
type sample struct {
	tenant   *tenant
	name     string
	number   int   // of its addresses in their pools
	position int64 // of the audit log when it was made
}

// newSample is the next new Cluster. Each is of another class.
func (w *world) newSample() *sample {
	w.samples++
	return &sample{
		tenant: w.tenants[w.samples%tenants], name: fmt.Sprintf("new-%d", w.samples),
		number: perPool + 1 + w.samples%(lastAddress-perPool),
	}
}

func (w *world) in(resource schema.GroupVersionResource, s *sample) dynamic.ResourceInterface {
	return w.client.Resource(resource).Namespace(s.tenant.namespace)
}

// order creates the Cluster, as its user does.
func (w *world) order(ctx context.Context, s *sample) error {
	object, err := manifest("cluster.yaml")
	if err != nil {
		return err
	}
	cluster := &unstructured.Unstructured{Object: object}
	cluster.SetNamespace(s.tenant.namespace)
	cluster.SetName(s.name)
	if err := unstructured.SetNestedField(cluster.Object, s.tenant.class, "spec", "topology", "classRef", "name"); err != nil {
		return err
	}
	if s.position, err = w.audit.Position(); err != nil {
		return err
	}
	_, err = w.in(observe.Clusters, s).Create(ctx, cluster, metav1.CreateOptions{})
	return err
}

// provide binds both claims of the Cluster as soon as they are there, and waits until it
// carries both VIPs.
func (w *world) provide(ctx context.Context, s *sample) error {
	var claims []unstructured.Unstructured
	selector := metav1.ListOptions{LabelSelector: clusterv1.ClusterNameLabel + "=" + s.name}
	err := w.until(ctx, w.in(observe.Claims, s), selector, func(claim *unstructured.Unstructured) bool {
		claims = append(slices.DeleteFunc(claims, func(c unstructured.Unstructured) bool { return c.GetName() == claim.GetName() }), *claim)
		return len(claims) == len(roles)
	})
	if err != nil {
		return fmt.Errorf("cluster %s has %d claims: %w", s.name, len(claims), err)
	}
	for i := range claims {
		if err := w.bind(ctx, &claims[i], s.number); err != nil {
			return err
		}
	}
	return w.untilCluster(ctx, s, "carries its VIPs", func(cluster *clusterv1.Cluster) bool {
		return observe.CarriesControlPlaneVIP(cluster) && observe.CarriesIngressVIP(cluster)
	})
}

// served is when a new Cluster came how far, by the API server's answers.
type served struct{ ordered, claimed, bound, published time.Time }

// complete tells whether all of it is known.
func (s served) complete() bool {
	return !s.ordered.IsZero() && !s.claimed.IsZero() && !s.bound.IsZero() && !s.published.IsZero()
}

// times waits for the audit log, which may be a moment later than a watch, to tell when a
// new Cluster was served.
func (w *world) times(ctx context.Context, s *sample) (served, error) {
	const interval, limit = 10 * time.Millisecond, 10 * time.Second
	var at served
	err := wait.PollUntilContextTimeout(ctx, interval, limit, true, func(context.Context) (bool, error) {
		var err error
		at, err = w.timesSoFar(s)
		return at.complete(), err
	})
	if err != nil {
		return at, fmt.Errorf("when cluster %s was served: %w", s.name, err)
	}
	return at, nil
}

// timesSoFar reads from the audit log when the Cluster was created, when the last of its
// claims was made and when bound, and when it had been given its VIPs.
func (w *world) timesSoFar(s *sample) (served, error) {
	var at served
	requests, err := w.audit.Since(s.position)
	if err != nil {
		return at, err
	}
	for _, e := range audit.Keep(requests, audit.Event.IsWrite, audit.Event.Accepted, s.owns) {
		allocators := e.Agent() == observe.UserAgent
		switch {
		case e.Resource() == "clusters" && e.Verb == "create":
			at.ordered = e.Answered
		case e.Resource() == "ipaddressclaims" && e.Verb == "create":
			at.claimed = e.Answered
		case e.Resource() == "ipaddressclaims/status":
			at.bound = e.Answered
		case e.Resource() == "clusters" && allocators:
			at.published = e.Answered
		}
	}
	return at, nil
}

// owns tells whether the request was about the Cluster, its claims or its addresses.
func (s *sample) owns(e audit.Event) bool {
	return e.Object.Namespace == s.tenant.namespace && (e.Object.Name == s.name || strings.HasSuffix(e.Object.Name, "-"+s.name))
}

// withdraw deletes the Cluster and does the work of the garbage collector and the provider.
func (w *world) withdraw(ctx context.Context, s *sample) error {
	claims, err := w.claimsOf(ctx, s)
	if err != nil {
		return err
	}
	if err := w.in(observe.Clusters, s).Delete(ctx, s.name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	for i := range claims {
		name := claims[i].GetName()
		pool, _, err := unstructured.NestedString(claims[i].Object, "spec", "poolRef", "name")
		if err != nil {
			return err
		}
		for _, resource := range []schema.GroupVersionResource{observe.Claims, observe.Addresses} {
			if err := w.in(resource, s).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
				return err
			}
		}
		released := []byte(`{"metadata":{"finalizers":null}}`)
		if _, err := w.in(observe.Claims, s).Patch(ctx, name, types.MergePatchType, released, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("release claim %s: %w", name, err)
		}
		if err := w.count(ctx, w.pools[pool], -1); err != nil {
			return err
		}
	}
	left, err := w.claimsOf(ctx, s)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("cluster %s is deleted, and %d of its claims are left", s.name, len(left))
	}
	return err
}

// claimsOf lists the claims of the Cluster, sorted by name.
func (w *world) claimsOf(ctx context.Context, s *sample) ([]unstructured.Unstructured, error) {
	list, err := w.in(observe.Claims, s).List(ctx, metav1.ListOptions{LabelSelector: clusterv1.ClusterNameLabel + "=" + s.name})
	if err != nil {
		return nil, fmt.Errorf("claims of cluster %s: %w", s.name, err)
	}
	return list.Items, nil
}

func (w *world) untilCluster(ctx context.Context, s *sample, what string, done func(*clusterv1.Cluster) bool) error {
	var unreadable error
	err := w.until(ctx, w.in(observe.Clusters, s), metav1.ListOptions{FieldSelector: "metadata.name=" + s.name},
		func(object *unstructured.Unstructured) bool {
			cluster := &clusterv1.Cluster{}
			unreadable = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, cluster)
			return unreadable != nil || done(cluster)
		})
	if err := errors.Join(err, unreadable); err != nil {
		return fmt.Errorf("cluster %s %s: %w", s.name, what, err)
	}
	return nil
}

// until waits until done says true of an object that exists or of a change of one. An API
// server that has just started refuses watches for a while.
func (w *world) until(ctx context.Context, client dynamic.ResourceInterface, selector metav1.ListOptions, done func(*unstructured.Unstructured) bool) error {
	const again = 20 * time.Millisecond
	var refused error
	err := wait.PollUntilContextTimeout(ctx, again, patience, true, func(ctx context.Context) (bool, error) {
		watcher, err := client.Watch(ctx, selector) // begins with all that exist
		if refused = err; err != nil {
			return false, nil //nolint:nilerr // told below, if it lasts
		}
		defer watcher.Stop()
		for event := range watcher.ResultChan() {
			if object, ok := event.Object.(*unstructured.Unstructured); ok && done(object) {
				return true, nil
			}
		}
		return false, nil
	})
	return errors.Join(err, refused)
}

// Latency is what the allocator took for one new Cluster.
type Latency struct {
	Claims  time.Duration // from its creation to the last of its claims made
	Publish time.Duration // from its last claim bound to its VIPs published
}

// latencies serves new Clusters one after another.
func (w *world) latencies(ctx context.Context, count int) ([]Latency, error) {
	var result []Latency
	for range count {
		s := w.newSample()
		if err := w.order(ctx, s); err != nil {
			return nil, err
		}
		if err := w.provide(ctx, s); err != nil {
			return nil, err
		}
		at, err := w.times(ctx, s)
		if err != nil {
			return nil, err
		}
		result = append(result, Latency{Claims: at.claimed.Sub(at.ordered), Publish: at.published.Sub(at.bound)})
		if err := w.withdraw(ctx, s); err != nil {
			return nil, err
		}
	}
	return result, nil
}
