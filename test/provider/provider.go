// Package provider is a small IPAM provider of another make than the in-cluster
// one: pools in an API group of its own, without a word on their capacity, and
// addresses that are named after the IP rather than after the claim, as Metal3's
// are. It reports to the claim's Ready condition and releases by finalizer.
package provider

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// CRD is the manifest of the pool's kind. It must be served before Start.
//
//go:embed crd.yaml
var CRD []byte

// Names of the pool's kind.
const (
	Group = "ipam.example.test"
	Kind  = "ExamplePool"
)

const finalizer = Group + "/release"

// Pools is the resource of the pools.
var Pools = schema.GroupVersionResource{Group: Group, Version: "v1", Resource: "examplepools"}

var (
	claims    = schema.GroupVersionResource{Group: "ipam.cluster.x-k8s.io", Version: "v1beta2", Resource: "ipaddressclaims"}
	addresses = schema.GroupVersionResource{Group: "ipam.cluster.x-k8s.io", Version: "v1beta2", Resource: "ipaddresses"}
)

// Start serves the pools until ctx ends. Like its models it works on one claim at a time.
func Start(ctx context.Context, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	p := &provider{
		client: client,
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
	p.claims = p.informer(claims, p.enqueue)
	p.informer(addresses, func(any) { p.enqueueAll() })
	p.informer(Pools, func(any) { p.enqueueAll() })
	for _, informer := range p.informers {
		go informer.RunWithContext(ctx)
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return ctx.Err()
		}
	}
	context.AfterFunc(ctx, p.queue.ShutDown)
	go p.run(ctx)
	return nil
}

// informer makes an informer of a resource, which does not run yet.
func (p *provider) informer(resource schema.GroupVersionResource, handle func(any)) cache.Store {
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ObjectType: &unstructured.Unstructured{},
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return p.client.Resource(resource).List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return p.client.Resource(resource).Watch(ctx, options)
			},
		},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: handle, UpdateFunc: func(_, current any) { handle(current) }, DeleteFunc: handle,
		},
	})
	p.informers = append(p.informers, informer)
	return store
}

type provider struct {
	client dynamic.Interface
	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]
	claims cache.Store

	informers []cache.Controller
}

func (p *provider) enqueue(object any) {
	if claim, ok := object.(*unstructured.Unstructured); ok && text(claim, "spec", "poolRef", "apiGroup") == Group {
		p.queue.Add(cache.MetaObjectToName(claim))
	}
}

// enqueueAll looks at every claim anew: an address that was released, or a pool
// that changed, may help any of them.
func (p *provider) enqueueAll() {
	for _, claim := range p.claims.List() {
		p.enqueue(claim)
	}
}

func (p *provider) run(ctx context.Context) {
	for {
		name, stop := p.queue.Get()
		if stop {
			return
		}
		if err := p.reconcile(ctx, name); err != nil && !apierrors.IsNotFound(err) {
			p.queue.AddRateLimited(name)
		} else {
			p.queue.Forget(name)
		}
		p.queue.Done(name)
	}
}

// reconcile reads everything live, so that it never gives an address twice.
func (p *provider) reconcile(ctx context.Context, name cache.ObjectName) error {
	claim, err := p.client.Resource(claims).Namespace(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	taken, own, err := p.taken(ctx, claim)
	if err != nil {
		return err
	}
	if claim.GetDeletionTimestamp() != nil {
		return p.release(ctx, claim, own)
	}
	if own != "" {
		return p.report(ctx, claim, own, metav1.ConditionTrue, "Available", "")
	}
	pool, err := p.client.Resource(Pools).Namespace(name.Namespace).Get(ctx, text(claim, "spec", "poolRef", "name"), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return p.report(ctx, claim, "", metav1.ConditionFalse, "PoolNotReady", "the pool does not exist")
	}
	if err != nil {
		return err
	}
	return p.allocate(ctx, claim, pool, taken)
}

var errNone = errors.New("no address is free")

func (p *provider) allocate(ctx context.Context, claim, pool *unstructured.Unstructured, taken map[string]bool) error {
	if len(claim.GetFinalizers()) == 0 {
		patch := fmt.Appendf(nil, `{"metadata":{"resourceVersion":%q,"finalizers":[%q]}}`, claim.GetResourceVersion(), finalizer)
		_, err := p.client.Resource(claims).Namespace(claim.GetNamespace()).
			Patch(ctx, claim.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
		return err // the event of this patch comes back here
	}
	value, err := firstFree(pool, taken)
	if errors.Is(err, errNone) {
		return p.report(ctx, claim, "", metav1.ConditionFalse, "PoolExhausted", "all addresses of the pool are in use")
	}
	address := addressOf(claim, pool, value)
	if _, err := p.client.Resource(addresses).Namespace(claim.GetNamespace()).Create(ctx, address, metav1.CreateOptions{}); err != nil {
		return errors.Join(err, p.report(ctx, claim, "", metav1.ConditionFalse, "AllocationFailed", err.Error()))
	}
	return p.report(ctx, claim, address.GetName(), metav1.ConditionTrue, "Available", "")
}

func firstFree(pool *unstructured.Unstructured, taken map[string]bool) (string, error) {
	all, _, _ := unstructured.NestedStringSlice(pool.Object, "spec", "addresses")
	for _, address := range all {
		if !taken[address] {
			return address, nil
		}
	}
	return "", errNone
}

func addressOf(claim, pool *unstructured.Unstructured, value string) *unstructured.Unstructured {
	prefix := int64(24)
	if strings.Contains(value, ":") {
		prefix = 64
	}
	address := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "ipam.cluster.x-k8s.io/v1beta2", "kind": "IPAddress",
		"spec": map[string]any{
			"claimRef": map[string]any{"name": claim.GetName()},
			"poolRef":  map[string]any{"apiGroup": Group, "kind": Kind, "name": pool.GetName()},
			"address":  value, "prefix": prefix,
		},
	}}
	address.SetNamespace(claim.GetNamespace())
	address.SetName("example-" + strings.NewReplacer(".", "-", ":", "-").Replace(value))
	address.SetLabels(claim.GetLabels())
	address.SetOwnerReferences([]metav1.OwnerReference{
		*metav1.NewControllerRef(claim, claim.GroupVersionKind()),
		{APIVersion: pool.GetAPIVersion(), Kind: Kind, Name: pool.GetName(), UID: pool.GetUID()},
	})
	return address
}

// taken lists the addresses in use in the claim's pool, and names the claim's own.
func (p *provider) taken(ctx context.Context, claim *unstructured.Unstructured) (taken map[string]bool, own string, err error) {
	list, err := p.client.Resource(addresses).Namespace(claim.GetNamespace()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", err
	}
	taken = map[string]bool{}
	for i := range list.Items {
		address := &list.Items[i]
		if text(address, "spec", "poolRef", "apiGroup") != Group || text(address, "spec", "poolRef", "name") != text(claim, "spec", "poolRef", "name") {
			continue
		}
		taken[text(address, "spec", "address")] = true
		if text(address, "spec", "claimRef", "name") == claim.GetName() && address.GetDeletionTimestamp() == nil {
			own = address.GetName()
		}
	}
	return taken, own, nil
}

func (p *provider) release(ctx context.Context, claim *unstructured.Unstructured, own string) error {
	if own != "" {
		err := p.client.Resource(addresses).Namespace(claim.GetNamespace()).Delete(ctx, own, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	_, err := p.client.Resource(claims).Namespace(claim.GetNamespace()).
		Patch(ctx, claim.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	return err
}

// report writes the status unless it says so already.
func (p *provider) report(ctx context.Context, claim *unstructured.Unstructured, own string, status metav1.ConditionStatus, reason, message string) error {
	conditions, _, _ := unstructured.NestedSlice(claim.Object, "status", "conditions")
	for _, entry := range conditions {
		if old, _ := entry.(map[string]any); old["reason"] == reason && text(claim, "status", "addressRef", "name") == own {
			return nil
		}
	}
	wanted := map[string]any{"conditions": []metav1.Condition{{
		Type: "Ready", Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(time.Now()),
	}}}
	if own != "" {
		wanted["addressRef"] = map[string]any{"name": own}
	}
	patch, err := json.Marshal(map[string]any{"status": wanted})
	if err != nil {
		return err
	}
	_, err = p.client.Resource(claims).Namespace(claim.GetNamespace()).
		Patch(ctx, claim.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func text(o *unstructured.Unstructured, fields ...string) string {
	value, _, _ := unstructured.NestedString(o.Object, fields...)
	return value
}
