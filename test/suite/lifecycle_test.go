package suite

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A Cluster that is deleted gives its addresses back.
func TestLifecycleDelete(t *testing.T) {
	w := newWorld(t)
	k := w.exampleClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)), built())
	c.remove()
	w.gone(observe.Clusters, w.namespace, c.name)
	for _, r := range bothRoles {
		w.gone(observe.Claims, w.namespace, r.claim(c.name))
		w.gone(observe.Addresses, w.namespace, r.claim(c.name))
	}
	cp.uses(0)
	in.uses(0)
}

// A namespace that is deleted takes everything along.
func TestLifecycleDeleteNamespace(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	elsewhere := w.newNamespace()
	c := w.cluster(k, inNamespace(elsewhere))
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	w.remove(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "", elsewhere, metav1.DeleteOptions{})
	w.gone(observe.Clusters, elsewhere, c.name)
	cp.uses(0)
	in.uses(0)
}

// A Cluster made anew under the name of one that was deleted has claims of its own.
func TestLifecycleRecreate(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	w.pool(serving(controlPlane, k))
	w.pool(serving(ingress, k))
	first := w.cluster(k, named("same"))
	first.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"))
	first.remove()
	w.gone(observe.Clusters, w.namespace, first.name)
	second := w.cluster(k, named("same"))
	second.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"))
	for _, r := range bothRoles {
		second.becomes(has(r, second.address(r)))
		if owners := second.claim(r).OwnerReferences; len(owners) != 1 || owners[0].UID != second.uid {
			t.Errorf("the claim's owners are %+v", owners)
		}
	}
}

// As long as the pool keeps the old claim back the new Cluster waits for its name,
// and reads until when.
func TestLifecycleRecreateWaitsForTheOldClaim(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), grace(600))
	first := w.cluster(k, named("same"))
	first.becomes(has(controlPlane, p.address(0)))
	uid := first.claim(controlPlane).UID
	first.remove()
	w.gone(observe.Clusters, w.namespace, first.name)
	second := w.cluster(k, named("same"))
	second.becomes(reason(controlPlane, "ClaimTerminating", controlPlane.claim("same"), "until 20"), noEndpoint())
	// Its provider looks at the claim again when that changes.
	p.change(grace(0))
	change(w, observe.Claims, w.namespace, controlPlane.claim("same"), func(claim *ipamv1.IPAddressClaim) { labelled("example.com/seen", "yes")(claim) })
	second.becomes(reason(controlPlane, "Allocated"))
	if claim := second.claim(controlPlane); claim.UID == uid || claim.OwnerReferences[0].UID != second.uid {
		t.Error("the old claim was taken over")
	}
}

// A claim of our name that is somebody else's is never used, nor touched.
func TestLifecycleForeignClaim(t *testing.T) {
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "owner"}
	for name, owners := range map[string]func(w *world) []metav1.OwnerReference{
		"nobody's": func(*world) []metav1.OwnerReference { return nil },
		"another object's": func(w *world) []metav1.OwnerReference {
			w.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: owner, namespace: " + w.namespace + "}}")
			of := owner
			of.UID = fetch[metav1.PartialObjectMetadata](w, schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, w.namespace, "owner").UID
			return []metav1.OwnerReference{of}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(declares("clusterVip", text))
			p := w.pool(serving(controlPlane, k))
			c := w.cluster(k, paused(true))
			foreign := c.ownClaim(controlPlane, p, func(claim *ipamv1.IPAddressClaim) {
				claim.Labels, claim.OwnerReferences = nil, owners(w)
			})
			p.uses(1)
			since := w.mark()
			c.change(paused(false))
			c.becomes(reason(controlPlane, "ClaimForeign", foreign.Name))
			w.barrier()
			c.is(noEndpoint(), noVariable("clusterVip"), unstamped(controlPlane))
			for _, e := range w.writes(since, about(c)) {
				if e.Object.Resource == "ipaddressclaims" {
					t.Errorf("unexpected write: %s", describe(e))
				}
			}
			now := c.claim(controlPlane)
			if now.UID != foreign.UID || len(now.Labels) > 0 || len(now.OwnerReferences) != len(foreign.OwnerReferences) {
				t.Errorf("the foreign claim became %+v", now.ObjectMeta)
			}
			c.rests()
			p.giveBack(foreign.Name)
			c.becomes(reason(controlPlane, "Allocated"))
		})
	}
}

// Names are unique per namespace only.
func TestLifecycleSameNameInTwoNamespaces(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	here := w.cluster(k, named("twin"))
	here.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	there := w.cluster(k, named("twin"), inNamespace(w.newNamespace()))
	there.becomes(has(controlPlane, cp.address(1)), has(ingress, in.address(1)))
	here.remove()
	w.gone(observe.Clusters, w.namespace, here.name)
	cp.uses(1)
	there.is(has(controlPlane, cp.address(1)), has(ingress, in.address(1)))
}

// A paused Cluster is not touched at all, whoever paused it and however.
func TestLifecyclePaused(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	since := w.mark()
	bySpec := w.cluster(k, paused(true))
	byAnnotation := w.cluster(k, annotated(pausedAnnotation, ""))
	for _, c := range []*cluster{bySpec, byAnnotation} {
		c.change(annotated("example.com/edited", "yes"))
		c.untouched(since)
		if claims := c.claims(); len(claims) > 0 {
			t.Errorf("there are claims: %q", claims)
		}
	}
	bySpec.change(paused(false))
	bySpec.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	byAnnotation.change(without(pausedAnnotation))
	byAnnotation.becomes(has(controlPlane, cp.address(1)), has(ingress, in.address(1)))

	// Nor is one that has its VIPs and is stripped during a pause.
	bySpec.change(paused(true))
	since = w.mark()
	bySpec.change(at("", 0), unset("clusterVip"), without(ingress.stamp()))
	bySpec.untouched(since)
	bySpec.change(paused(false))
	bySpec.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
}

// Clusters that are none of our business: made by Rancher, without a topology, or
// meant for another controller.
func TestLifecycleNotOurs(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	since := w.mark()
	rancher := w.cluster(k, clusterFunc(func(c *clusterv1.Cluster) {
		c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "provisioning.cattle.io/v1", Kind: "Cluster", Name: "r", UID: types.UID(w.unique("uid"))}}
	}))
	plain := w.cluster(nil, clusterFunc(func(c *clusterv1.Cluster) {
		c.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DemoCluster", Name: "none"}
	}))
	other := w.cluster(k, labelled(watchFilterLabel, "another"))
	unlabelled := w.cluster(k, without(watchFilterLabel))
	for _, c := range []*cluster{rancher, plain, other, unlabelled} {
		c.untouched(since)
		c.is(noEndpoint(), noCondition(controlPlane), noCondition(ingress))
		c.usesNoPool(cp, in)
	}
}

// Foreground deletion frees the claim at once, while the machines still answer on
// the VIP. Until the Cluster is gone nobody else gets that address.
func TestLifecycleForegroundDelete(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	dying := w.cluster(k)
	dying.becomes(has(controlPlane, p.address(0)))
	dying.build()
	machine := dying.infrastructure()
	hold := func(finalizers string) {
		t.Helper()
		data := fmt.Appendf(nil, `{"metadata":{"finalizers":%s}}`, finalizers)
		if _, err := w.in(observe.DemoClusters, w.namespace).Patch(t.Context(), machine.GetName(), types.MergePatchType, data, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	hold(`["example.com/machines"]`)
	foreground := metav1.DeletePropagationForeground
	w.remove(observe.Clusters, w.namespace, dying.name, metav1.DeleteOptions{PropagationPolicy: &foreground})
	w.gone(observe.Claims, w.namespace, controlPlane.claim(dying.name))
	since := w.mark()

	heir := w.cluster(k)
	heir.becomes(reason(controlPlane, "AddressInUse", p.address(0), dying.name), noEndpoint())
	dying.untouched(since)
	if claims := dying.claims(); len(claims) > 0 {
		t.Errorf("the deleted Cluster has claims: %q", claims)
	}
	heir.rests()
	hold("null")
	w.gone(observe.Clusters, w.namespace, dying.name)
	heir.becomes(has(controlPlane, p.address(0)))
}
