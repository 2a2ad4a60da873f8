package hook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	hooksv1 "sigs.k8s.io/cluster-api/api/runtime/hooks/v1alpha1"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

// Whatever is sent, the answer is one that Cluster API understands. A Cluster that may
// be ours is never let pass while nothing is known of it.
func FuzzCall(f *testing.F) {
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `{"cluster":null}`, `{"cluster":{}}`, `{"cluster":[]}`, `{"cluster":"x"}`,
		`{"cluster":{"metadata":{"namespace":"a","name":"b"}}}`,
		`{"cluster":{"metadata":{"namespace":"a","name":"b"},"spec":{"topology":{"classRef":{"name":"c"}}}}}`,
		`{"cluster":{"apiVersion":"cluster.x-k8s.io/v1beta1","metadata":{"namespace":"a","name":"b"},"spec":{"topology":{"class":"c"}}}}`,
		`{"cluster":{"metadata":{"namespace":"a","name":"b","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"topology":{"classRef":{"name":"c"}},"paused":true}}}`,
	} {
		f.Add([]byte(text))
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, createPath, bytes.NewReader(body)))
		var answer hooksv1.BeforeClusterCreateResponse
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %q: %v", w.Code, w.Body, err)
		}
		switch answer.Status {
		case hooksv1.ResponseStatusFailure:
			if answer.Message == "" {
				t.Error("it fails without a word")
			}
		case hooksv1.ResponseStatusSuccess:
			if answer.RetryAfterSeconds == 0 && !strange(body) {
				t.Error("a Cluster of unknown class passes")
			}
		default:
			t.Errorf("status %q", answer.Status)
		}
	})
}

// strange tells whether the Cluster in the request alone shows that it is none of ours.
func strange(body []byte) bool {
	var request struct{ Cluster json.RawMessage }
	if json.Unmarshal(body, &request) != nil {
		return false
	}
	cluster, err := kube.DecodeCluster(request.Cluster)
	if err != nil {
		return false
	}
	return !cluster.Spec.Topology.IsDefined() || !cluster.DeletionTimestamp.IsZero() || len(cluster.OwnerReferences) > 0
}

// Whatever the Secret holds, what follows is a certificate that clients can verify.
func FuzzCertificates(f *testing.F) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	names := []string{"hook.ours.svc", "127.0.0.1"}
	good, _, _, err := renew(nil, names, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[authoritiesKey], good[authorityKeyKey], good["tls.crt"], good["tls.key"], int64(0))
	f.Add(good[authoritiesKey], good[authorityKeyKey], good["tls.key"], good["tls.crt"], int64(100))
	f.Add(append(good["tls.crt"], good[authoritiesKey]...), good["tls.key"], good["tls.crt"], good["tls.key"], int64(80))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte("x"), []byte(nil), []byte(nil), int64(-1))
	f.Fuzz(func(t *testing.T, authorities, authorityKey, serving, servingKey []byte, days int64) {
		later := now.Add(time.Duration(days%10_000) * 24 * time.Hour)
		next, changed, _, err := renew(map[string][]byte{
			authoritiesKey: authorities, authorityKeyKey: authorityKey, "tls.crt": serving, "tls.key": servingKey,
		}, names, later)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse(next)
		if err != nil {
			t.Fatalf("changed %t: %v", changed, err)
		}
		if err := c.usable(names, later); err != nil {
			t.Errorf("changed %t: %v", changed, err)
		}
	})
}
