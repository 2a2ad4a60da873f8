package kube

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Pool is what the pool caches keep of an IPAM pool of any kind. It is small, so
// that no provider's module is needed and large pools cost no memory.
type Pool struct {
	metav1.ObjectMeta
	// Ref names the pool as claims refer to it.
	Ref vip.PoolRef
	// Serves is what its labels and annotations say.
	Serves vip.Serves
	// Ours says that the pool carries our keys.
	Ours bool
	// Usable is free + outOfRange as the provider reports them: it counts addresses
	// outside of the pool's ranges as used. It means nothing unless Known.
	Usable int64
	Known  bool
	// Total, Free and Used are the provider's own numbers; zero unless Known.
	Total, Free, Used int64
}

// NewPool views a pool. The object is dropped afterwards.
func NewPool(u *unstructured.Unstructured, namespaced bool) *Pool {
	gvk := u.GroupVersionKind()
	p := &Pool{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion(),
			Labels: u.GetLabels(), Annotations: u.GetAnnotations(), DeletionTimestamp: u.GetDeletionTimestamp(),
		},
		Ref: vip.PoolRef{Group: gvk.Group, Kind: gvk.Kind, Name: u.GetName()},
	}
	delete(p.Annotations, lastApplied)
	if namespaced {
		p.Ref.Namespace = u.GetNamespace()
	}
	if p.Ours = vip.HasPoolKeys(p.Labels, p.Annotations); p.Ours {
		p.Serves = vip.ParseServes(p.Labels, p.Annotations)
	}
	p.readCapacity(u.Object)
	return p
}

// readCapacity reads the status of the in-cluster provider. Numbers that cannot
// be true are as good as none.
func (p *Pool) readCapacity(object map[string]any) {
	field := func(name string) (int64, bool) {
		n, found, err := unstructured.NestedInt64(object, "status", "ipAddresses", name)
		return n, found && err == nil
	}
	free, known := field("free")
	total, totalKnown := field("total")
	if !known || !totalKnown || free > total || total < 0 {
		return
	}
	outOfRange, _ := field("outOfRange")
	used, _ := field("used")
	p.Known, p.Usable = true, free+max(outOfRange, 0)
	p.Total, p.Free, p.Used = total, free, used
}

// View is the planner's part of the pool; unbound counts our claims that wait on it.
func (p *Pool) View(unbound int) vip.Pool {
	_, paused := p.Annotations[vip.PausedAnnotation]
	return vip.Pool{
		Ref: p.Ref, Serves: p.Serves, Deleting: !p.DeletionTimestamp.IsZero(), Paused: paused,
		Free: p.Usable - int64(unbound), FreeKnown: p.Known,
	}
}

// PoolTransform turns what a pool informer receives into a *Pool.
func PoolTransform(namespaced bool) func(any) (any, error) {
	return func(object any) (any, error) {
		switch o := object.(type) {
		case *unstructured.Unstructured:
			return NewPool(o, namespaced), nil
		case *Pool:
			return o, nil
		}
		return nil, fmt.Errorf("unexpected pool object %T", object)
	}
}

// PoolScope knows which kinds of pool are namespaced.
type PoolScope map[schema.GroupKind]bool

// ref completes a claim's reference, which never says where a namespaced pool is:
// in the claim's own namespace.
func (s PoolScope) ref(ref ipamv1.IPPoolReference, namespace string) vip.PoolRef {
	pool := vip.PoolRef{Group: ref.APIGroup, Kind: ref.Kind, Name: ref.Name}
	if s[schema.GroupKind{Group: ref.APIGroup, Kind: ref.Kind}] {
		pool.Namespace = namespace
	}
	return pool
}

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
