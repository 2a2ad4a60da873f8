package kube_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rancher/lasso/pkg/client"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Whether a cache is late when we patch is chance on a real API server, so this one
// refuses as many patches as the case says.
func TestConditionsFromAnOldVersion(t *testing.T) {
	for _, test := range []struct {
		name       string
		refusals   int
		generation int64 // of the Cluster on the server; the cache knows 1
		want       string
	}{
		{"the cache is current", 0, 1, "PATCH"},
		{"the cache is late", 1, 1, "PATCH GET PATCH"},
		{"somebody writes all the time", 2, 1, "PATCH GET PATCH refused"},
		{"the spec changed", 1, 2, "PATCH GET refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			live := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{
				Namespace: "ns", Name: "c", UID: "u", Generation: test.generation, ResourceVersion: "9",
			}}
			live.Status.Conditions = []metav1.Condition{{Type: "Available", Status: metav1.ConditionUnknown}}
			live.APIVersion, live.Kind = clusterv1.GroupVersion.String(), "Cluster"
			got, refusals := "", test.refusals
			writer := newWriter(t, func(w http.ResponseWriter, r *http.Request) {
				got = join(got, r.Method)
				if r.Method == http.MethodPatch && refusals > 0 {
					refusals--
					answer(t, w, http.StatusUnprocessableEntity, metav1.Status{
						TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
						Status:   metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity,
					})
					return
				}
				answer(t, w, http.StatusOK, live)
			})
			cached := live.DeepCopy()
			cached.Generation, cached.ResourceVersion = 1, "5"
			want := map[string]vip.Condition{vip.Ingress.ConditionType(): {Reason: vip.Allocated}}
			if _, err := writer.PatchConditions(t.Context(), cached, want, metav1.Now()); err != nil {
				got = join(got, "refused")
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func join(before, next string) string {
	if before == "" {
		return next
	}
	return before + " " + next
}

// newWriter returns a Writer for a server that answers requests for Clusters so.
func newWriter(t *testing.T, clusters http.HandlerFunc) *kube.Writer {
	t.Helper()
	server := httptest.NewServer(clusters)
	t.Cleanup(server.Close)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(clusterv1.GroupVersion.WithKind("Cluster"), meta.RESTScopeNamespace)
	scheme := runtime.NewScheme()
	if err := clusterv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	factory, err := client.NewSharedClientFactory(&rest.Config{Host: server.URL}, &client.SharedClientFactoryOptions{Scheme: scheme, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	writer, err := kube.NewWriter(factory)
	if err != nil {
		t.Fatal(err)
	}
	return writer
}

func answer(t *testing.T, w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		t.Error(fmt.Errorf("answer: %w", err))
	}
}
