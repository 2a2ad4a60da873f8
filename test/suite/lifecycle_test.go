package suite

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// As long as the pool keeps the old claim back the new Cluster waits for its name,
// and reads until when.
func TestLifecycleRecreateWaitsForTheOldClaim(t *testing.T) {
	w := newWorld(t)
	w.needsGrace()
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), grace(600))
	first := w.cluster(k, named("same"))
	first.becomes(has(controlPlane, p.address(0)))
	uid := first.claim(controlPlane).UID
	first.remove()
	w.gone(observe.Clusters, w.namespace, first.name)
	second := w.cluster(k, named("same"))
	second.becomes(reason(controlPlane, "ClaimTerminating", controlPlane.claim("same"), "next try at 20"), noEndpoint())
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
	t.Parallel()
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
	}
	w.untouched(since, bySpec, byAnnotation)
	if claims := append(bySpec.claims(), byAnnotation.claims()...); len(claims) > 0 {
		t.Errorf("there are claims: %q", claims)
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
	crowd := []*cluster{rancher, plain, other, unlabelled}
	w.untouched(since, crowd...)
	for _, c := range crowd {
		c.is(noEndpoint(), noCondition(controlPlane), noCondition(ingress))
	}
	w.useNoPool(crowd, cp, in)
}
