package security

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

const reader = "capi-vip-allocator-metrics-reader"

// The secure metrics are for tokens that the API server knows and lets read them.
func TestSecureMetrics(t *testing.T) {
	w := newWorld(t)
	namespace := w.Namespace(t, "")
	may, mayNot := w.Token(t, namespace, "prometheus", reader), w.Token(t, namespace, "stranger")
	url := "https://" + w.secure
	w.until("the reader may read", func() error {
		code, text, err := allocator.ScrapeSecure(t.Context(), http.MethodGet, url+"/metrics", may)
		if err != nil || code != http.StatusOK || !strings.Contains(text, "capi_vip_allocator_build_info") {
			return fmt.Errorf("it answers %d %.200s: %w", code, text, err)
		}
		return nil
	})
	for _, test := range []struct {
		name, method, path, token string
		want                      int
	}{
		{"no token", http.MethodGet, "/metrics", "", http.StatusUnauthorized},
		{"a made-up token", http.MethodGet, "/metrics", "abc", http.StatusUnauthorized},
		{"a token that was changed", http.MethodGet, "/metrics", may[:len(may)-8] + "AAAAAAAA", http.StatusUnauthorized},
		{"no right", http.MethodGet, "/metrics", mayNot, http.StatusForbidden},
		{"another path", http.MethodGet, "/debug/pprof/", may, http.StatusNotFound},
		{"another method", http.MethodPost, "/metrics", may, http.StatusMethodNotAllowed},
	} {
		code, text, err := allocator.ScrapeSecure(t.Context(), test.method, url+test.path, test.token)
		if err != nil || code != test.want || strings.Contains(text, "capi_vip_allocator") {
			t.Errorf("%s: %d %.200s: %v", test.name, code, text, err)
		}
	}
	if code, _, err := allocator.ScrapeSecure(t.Context(), http.MethodGet, "http://"+w.secure+"/metrics", may); err == nil && code != http.StatusBadRequest {
		t.Errorf("without TLS it answers %d", code)
	}
}

// A manager without the right to ask lets nobody in, and says why once.
func TestSecureMetricsWithoutTheRightToAsk(t *testing.T) {
	w := newWorld(t)
	namespace := w.Namespace(t, "")
	may := w.Token(t, namespace, "prometheus", reader)
	powerless, err := w.Management.User("powerless-"+namespace, "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	p, address := w.another(powerless)
	for range 3 {
		if code, _, err := allocator.ScrapeSecure(t.Context(), http.MethodGet, "https://"+address+"/metrics", may); err != nil || code != http.StatusInternalServerError {
			t.Errorf("it answers %d: %v", code, err)
		}
	}
	if said := strings.Count(p.Log(), "Nobody is let in to the secure metrics"); said != 1 {
		t.Errorf("it says so %d times:\n%s", said, p.LogTail())
	}
}

// --insecure-diagnostics is for everybody, and by HTTP.
func TestInsecureDiagnostics(t *testing.T) {
	w := newWorld(t)
	_, address := w.another(w.Kubeconfig, "--insecure-diagnostics")
	code, text, err := allocator.ScrapeSecure(t.Context(), http.MethodGet, "http://"+address+"/metrics", "")
	if err != nil || code != http.StatusOK || !strings.Contains(text, "capi_vip_allocator_build_info") {
		t.Errorf("it answers %d %.200s: %v", code, text, err)
	}
}

// another starts an allocator that allocates nothing.
func (w *world) another(kubeconfig string, args ...string) (p *allocator.Process, diagnostics string) {
	w.t.Helper()
	ports, err := loopback.FreePorts(1)
	if err != nil {
		w.t.Fatal(err)
	}
	diagnostics = loopback.Address(ports[0])
	p, err = allocator.Start(w.t.Context(), allocator.Options{
		Kubeconfig: kubeconfig, Args: append(args, "--enable-reconciler=false", "--diagnostics-address="+diagnostics),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Kill)
	// Ready says that the probes are served; the metrics come a moment later.
	w.until("the metrics are served", func() error {
		client := http.Client{Timeout: time.Second}
		response, err := client.Get("http://" + diagnostics + "/")
		if err == nil {
			response.Body.Close()
		}
		return err
	})
	return p, diagnostics
}
