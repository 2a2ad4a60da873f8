package kube_test

import (
	"math"
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func pool(status map[string]any) *unstructured.Unstructured {
	object := map[string]any{
		"apiVersion": ipam + "/v1alpha2", "kind": "InClusterIPPool",
		"metadata": map[string]any{
			"name": "p", "namespace": "team-a", "uid": "u", "resourceVersion": "5",
			"annotations": map[string]any{vip.PoolClassKey: "rke2", vip.PoolRoleKey: "ingress", "kubectl.kubernetes.io/last-applied-configuration": "big"},
		},
		// An enumeration of this range would not end.
		"spec": map[string]any{"addresses": []any{"::/0"}, "prefix": int64(0)},
	}
	if status != nil {
		object["status"] = map[string]any{"ipAddresses": status}
	}
	return &unstructured.Unstructured{Object: object}
}

func TestTheCapacityOfAPool(t *testing.T) {
	type numbers = map[string]any
	for _, test := range []struct {
		name   string
		status numbers
		free   int64
		known  bool
	}{
		{"is unknown without status", nil, 0, false},
		{"is what the provider says", numbers{"free": int64(3), "total": int64(9), "used": int64(6)}, 3, true},
		{"adds addresses out of range, which count as used", numbers{"free": int64(0), "total": int64(9), "outOfRange": int64(2)}, 2, true},
		{"takes a negative free for what out-of-range addresses make of it", numbers{"free": int64(-1), "total": int64(1), "outOfRange": int64(2)}, 1, true},
		{"does not subtract a negative out-of-range", numbers{"free": int64(1), "total": int64(9), "outOfRange": int64(-5)}, 1, true},
		{"is unknown where more is free than there is", numbers{"free": int64(10), "total": int64(9)}, 0, false},
		{"is unknown where the total is negative", numbers{"free": int64(-3), "total": int64(-1)}, 0, false},
		{"is unknown without total", numbers{"free": int64(3)}, 0, false},
		{"may be the largest number", numbers{"free": int64(math.MaxInt64), "total": int64(math.MaxInt64)}, math.MaxInt64, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			object := pool(test.status)
			// The ranges of a kind of our own providers would tell the capacity of a new pool.
			object.SetKind("IPPool")
			got := kube.NewPool(object, true).Room()
			if got.Reported != test.known || (test.known && got.Usable != test.free) {
				t.Errorf("known %v, free %d", got.Reported, got.Usable)
			}
		})
	}
}

func TestAnAbsurdNumberOfAddressesOutOfRangeDoesNotExhaustAPool(t *testing.T) {
	most := int64(math.MaxInt64)
	got := kube.NewPool(pool(map[string]any{"free": most, "total": most, "outOfRange": most}), true).Room()
	if got.Reported && got.Usable <= 0 {
		t.Errorf("free is %d", got.Usable)
	}
}

func TestThePoolView(t *testing.T) {
	p := kube.NewPool(pool(nil), true)
	wantRef := vip.PoolRef{Group: ipam, Kind: "InClusterIPPool", Namespace: "team-a", Name: "p"}
	if p.Ref != wantRef || !p.Ours || p.Serves.Err != nil || !p.Serves.HasRole(vip.Ingress) || p.UID != "u" || p.ResourceVersion != "5" {
		t.Errorf("%+v", p)
	}
	if _, kept := p.Annotations["kubectl.kubernetes.io/last-applied-configuration"]; kept {
		t.Error("the cache keeps what kubectl applied")
	}
	if v := p.View(); v.Paused || v.Deleting || v.Ref != wantRef {
		t.Errorf("%+v", v)
	}
	object := pool(nil)
	object.SetAnnotations(map[string]string{vip.PausedAnnotation: ""})
	object.SetDeletionTimestamp(&metav1.Time{})
	now := metav1.Now()
	object.SetDeletionTimestamp(&now)
	p = kube.NewPool(object, false)
	if v := p.View(); !v.Paused || !v.Deleting || v.Ref.Namespace != "" {
		t.Errorf("%+v", v)
	}
	if p.Ours || p.Serves.Err != nil {
		t.Errorf("a pool without our keys: %+v", p)
	}
}

func TestTheAddressesOfAPool(t *testing.T) {
	object := pool(nil)
	object.SetAPIVersion(ipam + "/v1alpha2")
	object.Object["spec"] = map[string]any{"addresses": []any{"10.0.0.254-10.0.1.1", "10.0.0.9"}, "prefix": int64(16), "gateway": "10.0.0.255"}
	v := kube.NewPool(object, true).View()
	if v.Lowest.String() != "10.0.0.9" {
		t.Errorf("the lowest is %s", v.Lowest)
	}
	if !v.Holds(netip.MustParseAddr("10.0.0.254")) || v.Holds(netip.MustParseAddr("10.0.0.255")) {
		t.Error("it holds others")
	}
}

func TestAMalformedPoolIsKept(t *testing.T) {
	object := pool(nil)
	object.SetAnnotations(map[string]string{vip.PoolClassKey: "rke2", vip.PoolRoleKey: "nobody"})
	if p := kube.NewPool(object, true); !p.Ours || p.Serves.Err == nil || !p.Serves.Class(vip.ClassKey{Namespace: "x", Name: "rke2"}) {
		t.Errorf("%+v", p)
	}
}

func TestPoolTransform(t *testing.T) {
	transform := kube.PoolTransform(true)
	first, err := transform(pool(nil))
	p, ok := first.(*kube.Pool)
	if err != nil || !ok || p.Name != "p" {
		t.Fatalf("%v, %v", first, err)
	}
	// An informer may hand over what went through already.
	if again, err := transform(p); err != nil || again != first {
		t.Errorf("%v, %v", again, err)
	}
	if other, err := transform("text"); err == nil {
		t.Errorf("takes %v", other)
	}
}
