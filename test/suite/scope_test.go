package suite

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// A paused Cluster is not touched at all, whoever paused it and however.
func TestScopePaused(t *testing.T) {
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

// Paused may also say explicitly that it is not.
func TestScopeExplicitlyUnpaused(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k, clusterFunc(func(c *clusterv1.Cluster) { c.Spec.Paused = new(bool) }))
	if object := c.becomes(has(controlPlane, p.address(0))); object.Spec.Paused == nil {
		t.Error("spec.paused is gone")
	}
}

// A name may be as long as Cluster API allows.
func TestScopeLongName(t *testing.T) {
	w := newWorld(t)
	k := w.exampleClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k, named(strings.Repeat("long-", 12)+"end"))
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)), built())
}

// Clusters that are none of our business: made by Rancher, without a topology, or
// meant for another controller.
func TestScopeNotOurs(t *testing.T) {
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
