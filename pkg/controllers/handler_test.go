package controllers

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rancher/lasso/pkg/client"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A watch that is late for just so long cannot be had from a real API server.
func TestAClusterIsReadLiveIfTheCacheStaysBehind(t *testing.T) {
	reads := 0
	expectations, goOn := clock()
	h := &handler{ctx: t.Context(), expectations: expectations}
	late := func() { goOn(lateAfter) }
	h.writer = writerFor(t, func(w http.ResponseWriter, _ *http.Request) {
		reads++
		w.Header().Set("Content-Type", "application/json")
		live := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b", ResourceVersion: "9"}}
		live.APIVersion, live.Kind = clusterv1.GroupVersion.String(), "Cluster"
		if err := json.NewEncoder(w).Encode(live); err != nil {
			t.Error(err)
		}
	})
	cached := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b", ResourceVersion: "5"}}
	for _, step := range []struct {
		what  string
		do    func()
		want  string // the version to work with; empty: none
		reads int
	}{
		{"nothing was written", func() {}, "5", 0},
		{"our write is not seen yet", func() { h.expectations.wrote("a/b", "7") }, "", 0},
		{"it is not seen for too long", late, "9", 1},
		{"the live version is not seen yet", func() {}, "", 1},
		{"that is not seen for too long", late, "9", 2},
	} {
		step.do()
		got, err := h.current("a/b", cached)
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		version := ""
		if got != nil {
			version = got.ResourceVersion
		}
		if version != step.want || reads != step.reads {
			t.Errorf("%s: version %q after %d live reads, want %q after %d", step.what, version, reads, step.want, step.reads)
		}
	}
}

// A panic over one Cluster is an error of that pass, which the queue repeats. It is
// counted, and does not keep the process from stopping.
func TestAPanicCostsOnePass(t *testing.T) {
	h, registry := newTestHandler(t) // without classes, which every pass reads
	h.observer = nil
	h.underWay, h.stopping = &sync.RWMutex{}, make(chan struct{})
	_, err := h.onChange("a/b", clusterOf("a", "b", "u"))
	if err == nil || !strings.Contains(err.Error(), "panic while handling Cluster a/b") {
		t.Errorf("the error is %v", err)
	}
	expectPanic(t, registry)
	if !h.underWay.TryLock() {
		t.Error("the pass seems to be under way for ever")
	}
}

func expectPanic(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	const series = "capi_vip_allocator_panics_total"
	if err := testutil.GatherAndCompare(registry, strings.NewReader("# HELP "+series+" Panics that were recovered while handling a Cluster.\n# TYPE "+series+" counter\n"+series+" 1\n"), series); err != nil {
		t.Error(err)
	}
}

// So is a panic in a goroutine of the pass, of which no caller could recover.
func TestAPanicOverAClaimCostsOnePass(t *testing.T) {
	h, registry := newTestHandler(t) // without Claims, which would make it
	h.making = &turns{left: claimsAtOnce}
	p := changing()
	p.decision.Roles[vip.Ingress] = &vip.Outcome{Role: vip.Ingress, Reason: vip.ClaimPending, Ensure: true, ClaimName: "vip-ingress-b"}
	errs := h.makeClaims(p)
	if err := errors.Join(errs...); err == nil || !strings.Contains(err.Error(), "panic while handling Cluster a/b") {
		t.Errorf("the error is %v", err)
	}
	expectPanic(t, registry)
	if h.making.left != claimsAtOnce {
		t.Error("it keeps its slot")
	}
}

// writerFor returns a Writer for a server that answers all requests so.
func writerFor(t *testing.T, answer http.HandlerFunc) *kube.Writer {
	t.Helper()
	_, clients := clientsFor(t, answer)
	writer, err := kube.NewWriter(clients)
	if err != nil {
		t.Fatal(err)
	}
	return writer
}

// clientsFor returns clients of a server that answers all requests so.
func clientsFor(t *testing.T, answer http.HandlerFunc) (*rest.Config, client.SharedClientFactory) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range kube.Kinds() {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clusterv1.AddToScheme(scheme), ipamv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: server.URL}
	clients, err := client.NewSharedClientFactory(config, &client.SharedClientFactoryOptions{Scheme: scheme, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	return config, clients
}
