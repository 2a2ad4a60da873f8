package hook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
)

// A class without any gate of its own: nothing is ever built without both VIPs,
// whether the allocator is up, down, waiting for a pool, or has a new certificate.
func TestHookGate(t *testing.T) {
	s := newScene(t)

	// Without the hook the race is lost, and this test sees it.
	s.create("lost")
	s.built("lost")
	s.eventually("the watch has seen it", func() error {
		if len(s.births.without("lost")) == 0 {
			return fmt.Errorf("it saw %q", s.births.of("lost"))
		}
		return nil
	})

	s.install()
	first := s.start()
	s.discovered()

	// No pool: Cluster API says what is missing, in words that do not change.
	s.create("waits")
	s.says("waits", "waiting for the control-plane VIP: no pool serves this ClusterClass")
	s.says("waits", "waiting for the ingress VIP: no pool serves this ClusterClass")
	s.quiet("waits")
	s.unbuilt("waits")
	s.counts(first, "Discovery", "proceed")
	s.counts(first, "BeforeClusterCreate", "wait")
	s.pools()
	t.Logf("built %s after there is a pool", s.built("waits"))
	s.counts(first, "BeforeClusterCreate", "proceed")

	// Nobody answers: it waits. Later on it goes on by itself.
	s.stop(first)
	s.create("down")
	s.says("down", "extension")
	time.Sleep(3 * time.Second)
	s.unbuilt("down")
	second := s.start()
	t.Logf("built %s after the allocator is ready", s.built("down"))

	// Other certificates, of another authority.
	s.stop(second)
	before := s.authority()
	if err := s.client.Resource(secrets).Namespace(allocator.Namespace).Delete(t.Context(), secretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.create("rotated")
	third := s.start()
	t.Logf("built %s with a new authority", s.built("rotated"))
	if bytes.Equal(before, s.authority()) {
		t.Error("the authority is the old one")
	}

	// A standby answers as well as the leader.
	port := freePort(t)
	s.start(fmt.Sprintf("--runtime-extension-port=%d", port))
	s.standby(port)

	s.crowd(50)
	s.stop(third)
	for _, name := range []string{"waits", "down", "rotated"} {
		s.bornComplete(name)
	}
}

// bornComplete asserts that no version of what was built for the Cluster lacked a VIP,
// and that none was made to get one later.
func (s *scene) bornComplete(name string) {
	s.t.Helper()
	if lost := s.births.without(name); len(lost) > 0 {
		s.t.Errorf("Cluster %s was built without VIPs: %q", name, lost)
	}
	if len(s.births.of(name)) < 2 {
		s.t.Errorf("the watch saw nothing of Cluster %s", name)
	}
}

// counts asserts that calls of the hook with that result were counted and timed.
func (s *scene) counts(p *allocator.Process, hook, result string) {
	s.t.Helper()
	series, err := p.Series(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	const prefix = "capi_vip_allocator_hook_call"
	calls := series[fmt.Sprintf("%ss_total{hook=%q,result=%q}", prefix, hook, result)]
	if timed := series[fmt.Sprintf("%s_duration_seconds_count{hook=%q}", prefix, hook)]; calls < 1 || timed < calls {
		s.t.Errorf("%v calls of %s with result %s were counted, %v timed", calls, hook, result, timed)
	}
}

// quiet asserts that a waiting Cluster is not written again and again.
func (s *scene) quiet(name string) {
	s.t.Helper()
	time.Sleep(2 * time.Second)
	before := s.cluster(name).ResourceVersion
	time.Sleep(5 * time.Second)
	if after := s.cluster(name).ResourceVersion; after != before {
		s.t.Errorf("Cluster %s was written while nothing happened: %s, %s", name, before, after)
	}
}

// crowd makes many Clusters at once.
func (s *scene) crowd(size int) {
	s.t.Helper()
	begin := time.Now()
	for i := range size {
		s.create(fmt.Sprintf("crowd-%d", i))
	}
	for i := range size {
		s.built(fmt.Sprintf("crowd-%d", i))
	}
	s.t.Logf("%d Clusters were built after %s", size, time.Since(begin))
	for i := range size {
		s.bornComplete(fmt.Sprintf("crowd-%d", i))
	}
}

// authority is what Cluster API is told to trust.
func (s *scene) authority() []byte {
	s.t.Helper()
	secret, err := s.client.Resource(secrets).Namespace(allocator.Namespace).Get(s.t.Context(), secretName, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	text, _, _ := unstructured.NestedString(secret.Object, "data", "ca.crt")
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// standby asks a replica that does not lead, by the name of the Service and with the
// authority of the Secret that all replicas share.
func (s *scene) standby(port int) {
	s.t.Helper()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(s.authority())
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	ask := func(path string, request any) map[string]any {
		s.t.Helper()
		body, err := json.Marshal(request)
		if err != nil {
			s.t.Fatal(err)
		}
		response, err := client.Post("https://capi-vip-allocator-runtime-extension."+allocator.Namespace+".svc/hooks.runtime.cluster.x-k8s.io/v1alpha1/"+path,
			"application/json", bytes.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		defer response.Body.Close()
		answer := map[string]any{}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			s.t.Fatal(err)
		}
		return answer
	}
	if answer := ask("discovery", map[string]any{}); answer["status"] != "Success" {
		s.t.Errorf("a standby answers Discovery with %v", answer)
	}
	complete := s.cluster("waits")
	if answer := ask("beforeclustercreate/"+extensionName, map[string]any{"cluster": complete}); answer["status"] != "Success" || answer["retryAfterSeconds"] != 0.0 {
		s.t.Errorf("a standby answers about a Cluster with its VIPs %v", answer)
	}
	for i := range complete.Spec.Topology.Variables {
		complete.Spec.Topology.Variables[i].Value.Raw = []byte(`""`)
	}
	if answer := ask("beforeclustercreate/"+extensionName, map[string]any{"cluster": complete}); answer["status"] != "Success" || answer["retryAfterSeconds"] != 1.0 {
		s.t.Errorf("a standby answers about a Cluster without VIPs %v", answer)
	}
}
