package security

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// The policy of the examples keeps tenants from typing VIPs, and nobody from having one.
func TestTenantPolicy(t *testing.T) {
	w := newWorld(t)
	policy, err := example(t.Context(), "tenant-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.Apply(t, string(policy))
	u := w.tenant(`cluster-tenant: "true"`)
	class, net := "ruled", subnet()
	w.classes(class, u.namespace)
	w.pool("", u.namespace, class, "", net+".10-"+net+".19")
	typed := map[string]func(object){
		"endpoint":             host(net + ".50"),
		"control plane stamp":  annotation(cpStamp, net+".50"),
		"ingress stamp":        annotation(inStamp, net+".50"),
		"control plane record": annotation(cpWrote, "none"),
		"ingress record":       annotation(inWrote, "none"),
		"backfill":             annotation(prefix+"backfill", "true"),
		"variable":             variable("anything", object{"a": "b"}, "clusterVip", net+".50"),
		"ingress variable":     variable("ingressVip", net+".50"),
	}
	dry := func(edit func(object)) error {
		_, err := u.client.Resource(observe.Clusters).Namespace(u.namespace).Create(t.Context(), cluster(u.namespace, "typed", class, edit), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	w.until("the policy works", func() error {
		if err := dry(typed["endpoint"]); !apierrors.IsInvalid(err) {
			return fmt.Errorf("it answers %w", err)
		}
		return nil
	})
	for name, edit := range typed {
		if err := dry(edit); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "tenants-type-no-vips") {
			t.Errorf("%s: %v", name, err)
		}
	}
	u.make("plain", class, variable("anything", object{"a": "b"}), annotation(cpPool, u.namespace))
	has := w.served(u.namespace, "plain")
	u.maySend(has)
}

// maySend tries what a tenant and their GitOps tools do with a Cluster that is served.
func (u *user) maySend(has vips) {
	t := u.w.t
	t.Helper()
	clusters := u.client.Resource(observe.Clusters).Namespace(u.namespace)
	change := func(edit func(*unstructured.Unstructured)) error {
		for deadline := time.Now().Add(patience); ; {
			c, err := clusters.Get(t.Context(), "plain", metav1.GetOptions{})
			if err != nil {
				return err
			}
			edit(c)
			_, err = clusters.Update(t.Context(), c, metav1.UpdateOptions{})
			if !apierrors.IsConflict(err) || time.Now().After(deadline) {
				return err
			}
		}
	}
	if err := change(func(c *unstructured.Unstructured) { c.SetLabels(map[string]string{"a": "b"}) }); err != nil {
		t.Errorf("sends back what it read: %v", err)
	}
	if err := change(func(c *unstructured.Unstructured) {
		unstructured.RemoveNestedField(c.Object, "spec", "topology", "variables")
		unstructured.RemoveNestedField(c.Object, "metadata", "annotations", inStamp)
	}); err != nil {
		t.Errorf("strips what it never wrote: %v", err)
	}
	if got := u.w.served(u.namespace, "plain"); got != has {
		t.Errorf("afterwards it has %+v, and had %+v", got, has)
	}
	patch := []byte(`{"metadata":{"annotations":{"` + inStamp + `":"10.99.0.1"}}}`)
	if _, err := clusters.Patch(t.Context(), "plain", types.MergePatchType, patch, metav1.PatchOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("changes a stamp: %v", err)
	}
}
