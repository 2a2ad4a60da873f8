package controllers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	clustercontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// newTestHandler has no Writer: a patch that is sent would panic.
func newTestHandler(t *testing.T) (*handler, *prometheus.Registry) {
	t.Helper()
	o, registry := observerOf(), prometheus.NewPedanticRegistry()
	return &handler{ctx: t.Context(), observer: o, expectations: newExpectations(), allocator: o.Allocator, metrics: metrics.New(registry), queue: noQueue{}}, registry
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

// Where nothing can be made sure of, each role says so.
func TestEachRoleThatIsLeftOutSaysSo(t *testing.T) {
	for name, unsure := range map[string]func(h *handler, o *vip.Outcome){
		"no Lease": func(h *handler, o *vip.Outcome) {
			client := fake.NewClientset()
			client.PrependReactor("create", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("no")
			})
			h.leases, o.Lease = kube.NewLeases(client, client, "ours"), true
		},
		"no list": func(h *handler, o *vip.Outcome) {
			h.fresh = &freshAddresses{list: func(context.Context) (kube.AddressList, error) { return nil, errors.New("no") }}
			o.Verify = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newTestHandler(t)
			p := changing()
			p.decision.Roles[vip.ControlPlane] = &vip.Outcome{Role: vip.ControlPlane, Reason: vip.Allocated, Changes: true}
			for i, role := range vip.Roles() {
				p.decision.Roles[role].Address = fmt.Sprintf("10.0.0.%d", i+1)
				unsure(h, p.decision.Roles[role])
			}
			if err := h.patchCluster(p); err == nil {
				t.Error("there is no error")
			}
			for _, role := range vip.Roles() {
				outcome, condition := p.decision.Roles[role], p.decision.Conditions[role.ConditionType()]
				if outcome == nil || outcome.Reason != vip.PatchRefused || condition.Reason != vip.PatchRefused {
					t.Errorf("role %s is %+v, its condition %+v", role, outcome, condition)
				}
			}
		})
	}
}

// A patch that was refused a moment ago is neither sent nor counted again.
func TestAPatchIsCountedWhenItIsSent(t *testing.T) {
	h, registry := newTestHandler(t)
	p := changing()
	h.expectations.refuse(p.key, h.attempt(p), "no")
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

// publishing is a pass with a patch that publishes the control-plane VIP, beside that
// outcome of the ingress role.
func publishing(ingress *vip.Outcome) *pass {
	p := changing()
	ingress.Role = vip.Ingress
	p.decision.Roles = map[vip.Role]*vip.Outcome{
		vip.ControlPlane: {Role: vip.ControlPlane, Reason: vip.Allocated, Changes: true, Published: true, Pool: somePool},
		vip.Ingress:      ingress,
	}
	p.decision.Conditions = map[string]vip.Condition{
		vip.ControlPlane.ConditionType(): {Reason: vip.Allocated}, vip.Ingress.ConditionType(): {Reason: ingress.Reason},
	}
	return p
}

// Claims that the API server does not answer hold no workers for long.
func TestClaimsThatHangHoldNoWorker(t *testing.T) {
	h, _ := newTestHandler(t)
	h.making = &turns{left: 1}
	h.making.take("a/hangs")
	p := changing()
	p.decision.Roles[vip.Ingress] = &vip.Outcome{Role: vip.Ingress, Ensure: true, Pool: somePool}
	for range 2 {
		if errs := h.makeClaims(p); errors.Join(errs...) != nil { // no claim is made: there is no writer
			t.Error(errs)
		}
	}
	h.making.take("a/next")
	if woken := h.making.free(); len(woken) > 0 {
		t.Errorf("woken before it is their turn: %v", woken)
	}
	if woken := h.making.give(); !slices.Equal(woken, []string{p.key}) {
		t.Errorf("woken: %v", woken)
	}
	// It does not come, so it is the next one's turn.
	if woken := h.making.free(); !slices.Equal(woken, []string{"a/next"}) {
		t.Errorf("then woken: %v", woken)
	}
}

func TestAVIPWaitsForAClaimThatIsMade(t *testing.T) {
	for name, test := range map[string]struct {
		ingress vip.Outcome
		waits   bool
	}{
		"its provider has it": {vip.Outcome{Reason: vip.ClaimPending, Pool: somePool}, true},
		"there is no pool":    {vip.Outcome{Reason: vip.NoPool}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := newTestHandler(t)
			if got := h.publishes(publishing(&test.ingress)); got == test.waits {
				t.Errorf("it is published: %v", got)
			}
		})
	}
}

func TestWhatIsMissingIsToldWhileAVIPIsDeferred(t *testing.T) {
	h, _ := newTestHandler(t)
	h.reporter = &reporter{recorder: record.NewFakeRecorder(10)}
	var sent string
	h.writer = writerFor(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent += r.Method + " " + r.URL.Path + " " + string(body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"cluster.x-k8s.io/v1beta2","kind":"Cluster","metadata":{"namespace":"a","name":"b","resourceVersion":"2"}}`))
	})
	h.allocator.SetPool(somePool, &allocator.Pool{})
	for i := range 20 {
		h.allocator.SetClaim("a", vip.Ingress.ClaimName(fmt.Sprint(i)), nil, &allocator.Claim{Pool: somePool, Ours: true}, true)
	}
	p := publishing(&vip.Outcome{Reason: vip.NoPool})
	p.cluster.Status.Conditions = []metav1.Condition{{Type: "Somebody's"}}
	if err := h.act(p); err != nil {
		t.Fatal(err)
	}
	kept := p.decision.Roles[vip.ControlPlane].Published
	if !kept || !strings.Contains(sent, "/status") || !strings.Contains(sent, vip.Ingress.ConditionType()) {
		t.Errorf("it is kept back: %v; sent: %s", kept, sent)
	}
	if strings.Contains(sent, vip.ControlPlane.ConditionType()) || strings.Contains(sent, "/b ") {
		t.Errorf("what is kept back is sent: %s", sent)
	}
	sent = ""
	p = publishing(&vip.Outcome{Reason: vip.Manual})
	p.cluster.Status.Conditions = []metav1.Condition{{Type: "Somebody's"}}
	if err := h.act(p); err != nil || sent != "" {
		t.Errorf("a role that lacks nothing is told of: %v; sent: %s", err, sent)
	}
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
