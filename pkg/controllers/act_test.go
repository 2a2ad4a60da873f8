package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	clustercontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// newTestHandler has no Writer: a patch that is sent would panic.
func newTestHandler(t *testing.T) (*handler, *prometheus.Registry) {
	t.Helper()
	o, registry := observerOf(), prometheus.NewPedanticRegistry()
	return &handler{ctx: t.Context(), observer: o, memory: o.memory, metrics: metrics.New(registry), queue: noQueue{}}, registry
}

// changing is a pass with a patch for the ingress role.
func changing() *pass {
	s := &vip.Snapshot{Cluster: vip.Cluster{Namespace: "a", Name: "b", HasTopology: true, Class: vip.ClassKey{Namespace: "a", Name: "rke2"}}}
	d := ingressIs(vip.Allocated, true)
	d.Patch, d.Conditions = []vip.PatchOp{{Op: "add"}}, map[string]vip.Condition{}
	return &pass{key: "a/b", cluster: clusterOf("a", "b", "u"), snapshot: s, decision: *d}
}

// A Lease that cannot be made is no patch that failed: none was sent.
func TestALeaseThatFailsIsCountedAsThat(t *testing.T) {
	h, registry := newTestHandler(t)
	client := fake.NewClientset()
	client.PrependReactor("create", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no")
	})
	h.leases = kube.NewLeases(client, client, "ours")
	p := changing()
	p.decision.Roles[vip.Ingress].Lease, p.decision.Roles[vip.Ingress].Address = true, "10.0.0.1"
	if err := h.patchCluster(p); err == nil {
		t.Error("there is no error")
	}
	if got := p.decision.Roles[vip.Ingress].Reason; got != vip.PatchRefused {
		t.Errorf("the outcome is %s", got)
	}
	expectErrors(t, registry, "lease_failed")
}

// A patch that was refused a moment ago is neither sent nor counted again.
func TestAPatchIsCountedWhenItIsSent(t *testing.T) {
	h, registry := newTestHandler(t)
	p := changing()
	h.memory.refuses(p.key, h.attempt(p), "no")
	if err := h.patchCluster(p); err != nil {
		t.Error(err)
	}
	if got := p.decision.Roles[vip.Ingress].Reason; got != vip.PatchRefused {
		t.Errorf("the outcome is %s", got)
	}
	expectErrors(t, registry)
	again := changing()
	if err := h.failed(again, errors.New("lost")); err == nil {
		t.Error("there is no error")
	}
	expectErrors(t, registry, "cluster_patch_failed")
}

// expectErrors expects each reason to be counted once, and no other.
func expectErrors(t *testing.T, registry *prometheus.Registry, reasons ...string) {
	t.Helper()
	const name = "capi_vip_allocator_allocation_errors_total"
	want := ""
	for _, reason := range reasons {
		want += "# HELP " + name + " Failed or refused steps of allocations.\n# TYPE " + name + " counter\n" +
			name + `{cluster_class="rke2",reason="` + reason + `",role="ingress"} 1` + "\n"
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
}

// noQueue wakes nobody.
type noQueue struct {
	clustercontrollers.ClusterController
}

func (noQueue) EnqueueAfter(string, string, time.Duration) {}
