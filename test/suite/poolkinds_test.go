package suite

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/provider"
)

// vipPools is a kind of pool of another IPAM provider, which these tests play
// themselves. It tells nothing about capacity.
var vipPools = schema.GroupVersionResource{Group: "pools.example.com", Version: "v1", Resource: "vippools"}

const vipPoolKind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: vippools.pools.example.com}
spec:
  group: pools.example.com
  scope: Namespaced
  names: {kind: VIPPool, listKind: VIPPoolList, plural: vippools, singular: vippool}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// grantPoolKinds gives allocators the rights that the chart gives for the pools of
// other providers: for all of them, whichever test asks. The Deployment stays as it is,
// since explain reads the settings of the shared allocator there.
func (w *world) grantPoolKinds() {
	w.t.Helper()
	kinds := []any{vipPools.GroupResource().String(), movingPools.GroupResource().String(), provider.Pools.GroupResource().String(), acmePools.GroupResource().String()}
	rendered, err := chart.Render(w.t.Context(), map[string]any{"poolKinds": kinds, "watchFilter": sharedFilter})
	if err != nil {
		w.t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(rendered.Manifests), "\n---\n") {
		if strings.Contains(part, "kind: ClusterRole\n") && !strings.Contains(part, "kind: ClusterRoleBinding\n") {
			w.apply(part)
		}
	}
}

// withVIPPools installs that kind and starts an allocator which serves it.
func (w *world) withVIPPools() {
	w.t.Helper()
	w.apply(vipPoolKind)
	w.grantPoolKinds()
	w.startAllocator("--pool-kinds=" + vipPools.GroupResource().String())
}

// vipPool makes a pool of the other kind.
func (w *world) vipPool(r role, k *class) (name string) {
	w.t.Helper()
	name = w.unique("vippool")
	w.apply(fmt.Sprintf("{apiVersion: pools.example.com/v1, kind: VIPPool, metadata: {name: %s, namespace: %s, labels: {%q: %s, %q: %s}}}",
		name, w.namespace, poolRole, r, poolClass, k.name))
	return name
}

// odd makes a Cluster with a name that no other namespace has. When a Cluster is
// created, the in-cluster provider looks at the claims of all Clusters of that name,
// whatever kind of pool they are on, and leaves a finalizer there that nobody removes.
func (w *world) odd(k *class) *cluster {
	w.t.Helper()
	return w.cluster(k, named(w.unique("odd")))
}

// claimed waits for the role's claim, not until the Cluster says that it is pending.
func (c *cluster) claimed(r role) {
	c.w.t.Helper()
	c.w.eventually("there is a claim", func() error {
		if c.claim(r) == nil {
			return fmt.Errorf("there is none")
		}
		return nil
	})
}

// refuse plays the provider that cannot bind a claim.
func (c *cluster) refuse(r role, why string) {
	c.w.t.Helper()
	c.setClaimStatus(r, map[string]any{"conditions": []any{map[string]any{
		"type": "Ready", "status": "False", "reason": why, "message": "the provider says " + why,
		"lastTransitionTime": metav1.Now().UTC().Format("2006-01-02T15:04:05Z"),
	}}})
}

// bind plays the provider that gives an address.
func (c *cluster) bind(r role, address string) {
	c.w.t.Helper()
	claim := c.claim(r)
	c.makeAddress(r, claim.Spec.PoolRef, address)
	c.setClaimStatus(r, map[string]any{"addressRef": map[string]any{"name": claim.Name}})
}

// makeAddress makes the IPAddress of the role's claim.
func (c *cluster) makeAddress(r role, pool ipamv1.IPPoolReference, address string, owners ...metav1.OwnerReference) {
	c.w.t.Helper()
	name := r.claim(c.name)
	create(c.w, observe.Addresses, &ipamv1.IPAddress{
		TypeMeta:   metav1.TypeMeta{APIVersion: ipamv1.GroupVersion.String(), Kind: "IPAddress"},
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name, OwnerReferences: owners},
		Spec: ipamv1.IPAddressSpec{
			Address: address, Prefix: ptr.To[int32](24), ClaimRef: ipamv1.IPAddressClaimReference{Name: name}, PoolRef: pool,
		},
	})
}

func (c *cluster) setClaimStatus(r role, status map[string]any) {
	c.w.t.Helper()
	c.w.eventually("the provider has written", func() error {
		object := plain(c.w, c.claim(r))
		if err := unstructured.SetNestedMap(object.Object, status, "status"); err != nil {
			return err
		}
		_, err := c.w.in(observe.Claims, c.namespace).UpdateStatus(c.w.t.Context(), object, metav1.UpdateOptions{})
		return err
	})
}

var movingPools = schema.GroupVersionResource{Group: "moving.example.com", Version: "v1", Resource: "movingpools"}

const movingPoolKind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: movingpools.moving.example.com}
spec:
  group: moving.example.com
  scope: Namespaced
  names: {kind: MovingPool, listKind: MovingPoolList, plural: movingpools, singular: movingpool}
  versions:
  - {name: v1, served: %[1]v, storage: %[1]v, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - {name: v2, served: true, storage: %[2]v, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// The version of a pool kind that was served goes, as an upgrade of its provider brings it
// about. The allocator ends, as for an upgrade of Cluster API, and finds the other one.
func TestPoolKindIsServedInAnotherVersion(t *testing.T) {
	w := newWorld(t)
	w.grantPoolKinds()
	only := strings.Replace(movingPoolKind, "served: true, storage: %[2]v", "served: false, storage: %[2]v", 1)
	w.apply(fmt.Sprintf(only, true, false))
	flag := "--pool-kinds=" + movingPools.GroupResource().String()
	p := w.startAllocator(flag)
	k := w.class(declares("clusterVip", text))
	pool := func(version, name string) {
		t.Helper()
		w.apply(fmt.Sprintf("{apiVersion: moving.example.com/%s, kind: MovingPool, metadata: {name: %s, namespace: %s, labels: {%q: %s, %q: %s}}}",
			version, name, w.namespace, poolRole, controlPlane, poolClass, k.name))
	}
	pool("v1", "before")
	w.odd(k).becomes(reason(controlPlane, "ClaimPending", "before"))
	// A version beside it changes nothing; that its own one goes does.
	w.apply(fmt.Sprintf(movingPoolKind, true, false))
	w.apply(fmt.Sprintf(movingPoolKind, false, true))
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatalf("it goes on with a cache that stands still:\n%s", p.LogTail())
	}
	if log := p.Log(); !strings.Contains(log, "pools of kind MovingPool as moving.example.com/v2 instead of moving.example.com/v1") {
		t.Errorf("the log does not say so:\n%s", p.LogTail())
	}
	w.startAllocator(flag)
	w.apply(fmt.Sprintf("{apiVersion: moving.example.com/v2, kind: MovingPool, metadata: {name: before, namespace: %s, labels: {%q: %s, %q: another}}}",
		w.namespace, poolRole, controlPlane, poolClass))
	pool("v2", "after")
	w.odd(k).becomes(reason(controlPlane, "ClaimPending", "after"))
}

// A pool kind of another provider serves like any other; what its provider says on
// the claim is told to the Cluster's owner.
func TestPoolKindOfAnotherProvider(t *testing.T) {
	w := newWorld(t)
	w.withVIPPools()
	k := w.class(declares("clusterVip", text))
	name := w.vipPool(controlPlane, k)
	c, refused := w.odd(k), w.odd(k)
	refused.claimed(controlPlane)
	refused.refuse(controlPlane, "PoolExhausted")
	c.becomes(reason(controlPlane, "ClaimPending", name))
	if ref := c.claim(controlPlane).Spec.PoolRef; ref != (ipamv1.IPPoolReference{APIGroup: vipPools.Group, Kind: "VIPPool", Name: name}) {
		t.Errorf("the claim is on %v", ref)
	}
	refused.becomes(reason(controlPlane, "PoolExhausted", name, "the provider says"))
	c.refuse(controlPlane, "PoolNotReady")
	c.becomes(reason(controlPlane, "PoolNotReady", name, "the provider says"))
	ip := newIP()
	c.bind(controlPlane, ip)
	c.becomes(has(controlPlane, ip))
}

// Of two pools alike the one that is known to have room comes first; once the
// provider of the other says that it is exhausted, a pending claim moves on.
func TestPoolKindRanksAfterKnownRoom(t *testing.T) {
	w := newWorld(t)
	w.withVIPPools()
	k := w.class(declares("clusterVip", text))
	w.vipPool(controlPlane, k)
	first := w.odd(k)
	first.claimed(controlPlane)
	known := w.pool(namespaced(), serving(controlPlane, k))
	second := w.cluster(k)
	second.becomes(has(controlPlane, known.address(0)))
	first.refuse(controlPlane, "PoolExhausted")
	first.becomes(has(controlPlane, known.address(1)))
}

// The webhook of Cluster API lets addresses pass that are of no use as a VIP.
func TestPoolKindBadAddress(t *testing.T) {
	w := newWorld(t)
	w.withVIPPools()
	k := w.class(declares("clusterVip", text))
	w.vipPool(controlPlane, k)
	for _, address := range []string{"fe80::1%eth0", "2001:db8::1%eth0", "0.0.0.0", "::", "255.255.255.255", "ff02::1"} {
		c := w.odd(k)
		c.claimed(controlPlane)
		c.bind(controlPlane, address)
		c.becomes(reason(controlPlane, "AddressInvalid", controlPlane.claim(c.name), address), noEndpoint())
	}
}
