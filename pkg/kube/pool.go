package kube

import (
	"fmt"
	"math"
	"time"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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
	// StatusErr says that the provider's numbers cannot be true.
	StatusErr error
	// Ranges is what the pool hands out; nil if that cannot be read. Declared are its
	// spec.addresses, of which it hands out all but a few.
	Ranges, Declared *netipx.IPSet
	// Network is how the in-cluster provider describes the pool's addresses.
	Network Network
	// Grace is how long the provider keeps an address after its release.
	Grace time.Duration

	apiVersion string
}

// Network is what an IPAddress of the pool says beside the address.
type Network struct {
	Prefix  int32
	Gateway string
}

// NewPool views a pool. The object is dropped afterwards.
func NewPool(u *unstructured.Unstructured, namespaced bool) *Pool {
	gvk := u.GroupVersionKind()
	p := &Pool{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion(), Generation: u.GetGeneration(),
			Labels: u.GetLabels(), Annotations: u.GetAnnotations(), DeletionTimestamp: u.GetDeletionTimestamp(),
		},
		Ref:        vip.PoolRef{Group: gvk.Group, Kind: gvk.Kind, Name: u.GetName()},
		apiVersion: gvk.GroupVersion().String(),
	}
	delete(p.Annotations, lastApplied)
	if namespaced {
		p.Ref.Namespace = u.GetNamespace()
	}
	if p.Ours = vip.HasPoolKeys(p.Labels, p.Annotations); p.Ours {
		p.Serves = vip.ParseServes(p.Labels, p.Annotations)
	}
	p.readCapacity(u.Object)
	if IsInCluster(p.Ref) {
		p.readRanges(u.Object)
	}
	return p
}

// readCapacity reads the status of the in-cluster provider. Numbers that cannot
// be true are as good as none.
func (p *Pool) readCapacity(object map[string]any) {
	status, found, err := unstructured.NestedMap(object, "status", "ipAddresses")
	if err != nil || !found {
		return
	}
	number := func(name string) int64 {
		n, isNumber := status[name].(int64)
		if !isNumber && status[name] != nil {
			p.StatusErr = fmt.Errorf("status.ipAddresses.%s is no integer", name)
		}
		return n
	}
	p.Total, p.Free, p.Used = number("total"), number("free"), number("used")
	if p.StatusErr != nil {
		p.Total, p.Free, p.Used = 0, 0, 0
		return
	}
	if p.Free > p.Total || p.Total < 0 || p.Used < 0 {
		p.StatusErr = fmt.Errorf("status.ipAddresses: free %d, used %d of total %d cannot be", p.Free, p.Used, p.Total)
		p.Total, p.Free, p.Used = 0, 0, 0
		return
	}
	p.Known, p.Usable = true, p.Free
	if outOfRange := max(number("outOfRange"), 0); p.Usable <= math.MaxInt64-outOfRange {
		p.Usable += outOfRange
	}
}

// Reference names the pool to the events API.
func (p *Pool) Reference() *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: p.apiVersion, Kind: p.Ref.Kind, Namespace: p.Ref.Namespace, Name: p.Ref.Name,
		UID: p.UID, ResourceVersion: p.ResourceVersion,
	}
}

// View is the planner's part of the pool.
func (p *Pool) View() vip.Pool {
	_, paused := p.Annotations[vip.PausedAnnotation]
	view := vip.Pool{
		Ref: p.Ref, Serves: p.Serves, Deleting: !p.DeletionTimestamp.IsZero(), Paused: paused, Grace: p.Grace,
	}
	if p.Ranges != nil {
		view.Holds = p.Contains
		if ranges := p.Ranges.Ranges(); len(ranges) > 0 {
			view.Lowest = ranges[0].From()
		}
	}
	return view
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
