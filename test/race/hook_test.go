package race

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

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

const hookSecret = "capi-vip-allocator-runtime-extension-tls"

// Who waits for the hook is told by Cluster API what is missing, in words that do
// not change: the Cluster is not written again and again.
func TestHookSaysWhatIsMissing(t *testing.T) {
	w := newWorld(t, gates.UnderHook)
	w.class(gates.Open)
	p := w.start()
	w.create(1)
	for _, role := range []string{"control-plane", "ingress"} {
		text := "waiting for the " + role + " VIP: no pool serves this ClusterClass"
		w.is(clusterName(0), "names role "+role, saysOfTopology(text))
	}
	w.rests(clusterName(0))
	if w.witness.exists(w.namespace, clusterName(0)) {
		t.Error("something was built")
	}
	w.counts(p, "BeforeClusterCreate", "wait")
	w.pools()
	w.built(1)
	w.counts(p, "BeforeClusterCreate", "proceed")
	w.noLoss()
}

// counts asserts that calls of the hook with that result were counted and timed.
func (w *world) counts(p *allocator.Process, hook, result string) {
	w.t.Helper()
	series, err := p.Series(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	const prefix = "capi_vip_allocator_hook_call"
	calls := series[fmt.Sprintf("%ss_total{hook=%q,result=%q}", prefix, hook, result)]
	if timed := series[fmt.Sprintf("%s_duration_seconds_count{hook=%q}", prefix, hook)]; calls < 1 || timed < calls {
		w.t.Errorf("%v calls of %s with result %s were counted, %v timed", calls, hook, result, timed)
	}
}

// rests waits until nobody has written the Cluster for so long that the hook was
// asked several times.
func (w *world) rests(name string) {
	w.t.Helper()
	const quiet = 5 * time.Second
	version, since := "", time.Now()
	w.is(name, "rests", func(cluster *unstructured.Unstructured) error {
		if now := cluster.GetResourceVersion(); now != version {
			version, since = now, time.Now()
		}
		if time.Since(since) < quiet {
			return fmt.Errorf("it was written %s ago", time.Since(since))
		}
		return nil
	})
}

// The hook's authority is replaced while a crowd is created. Cluster API takes its
// time to learn of that; until then everybody waits.
func TestCertificateIsReplaced(t *testing.T) {
	w := newWorld(t, gates.UnderHook)
	w.class(gates.Open)
	w.pools()
	p := w.start()
	const n = 12
	w.create(n)
	w.some(n / 4)
	before := w.authority()
	if err := w.Client.Resource(secrets).Namespace(allocator.Namespace).Delete(t.Context(), hookSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.built(n)
	w.noLoss()
	if bytes.Equal(before, w.authority()) {
		t.Error("the authority is the old one")
	}
}

// authority is what Cluster API is told to trust.
func (w *world) authority() []byte {
	w.t.Helper()
	secret, err := w.Client.Resource(secrets).Namespace(allocator.Namespace).Get(w.t.Context(), hookSecret, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	text, _, _ := unstructured.NestedString(secret.Object, "data", "ca.crt")
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

// A standby answers as well as the leader.
func TestStandbyAnswers(t *testing.T) {
	w := newWorld(t, gates.UnderHook)
	w.class(gates.Open)
	w.pools()
	w.start()
	w.create(1)
	w.built(1)
	ports, err := loopback.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	w.start(fmt.Sprintf("--runtime-extension-port=%d", ports[0]))
	ask := w.asker(ports[0])
	if answer := ask("discovery", map[string]any{}); answer["status"] != "Success" {
		t.Errorf("a standby answers Discovery with %v", answer)
	}
	cluster, err := w.get(clusterName(0))
	if err != nil {
		t.Fatal(err)
	}
	expect := func(retryAfter float64) {
		t.Helper()
		answer := ask("beforeclustercreate/"+gates.ExtensionName, map[string]any{"cluster": cluster.Object})
		if answer["status"] != "Success" || answer["retryAfterSeconds"] != retryAfter {
			t.Errorf("a standby answers %v, want to be asked again after %v s", answer, retryAfter)
		}
	}
	expect(0)
	variables, _, _ := unstructured.NestedSlice(cluster.Object, "spec", "topology", "variables")
	for _, variable := range variables {
		variable.(map[string]any)["value"] = ""
	}
	if err := unstructured.SetNestedSlice(cluster.Object, variables, "spec", "topology", "variables"); err != nil {
		t.Fatal(err)
	}
	expect(1)
}

// Connections that ask nothing, and bodies that are sent slowly, keep nobody out.
func TestHookIsHeldUp(t *testing.T) {
	w := newWorld(t, gates.UnderHook)
	w.class(gates.Open)
	w.pools()
	w.start()
	w.create(1)
	w.built(1)
	cluster, err := w.get(clusterName(0))
	if err != nil {
		t.Fatal(err)
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it only holds the port
	hold := func(n int, say string) {
		group := new(errgroup.Group)
		for range n {
			group.Go(func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				conn, err := dialer.DialContext(ctx, "tcp", loopback.Address(w.hookPort))
				if err != nil {
					return nil //nolint:nilerr // then there is no room for more of these
				}
				t.Cleanup(func() { _ = conn.Close() })
				_, err = conn.Write([]byte(say))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Log(err)
		}
	}
	hold(100, "")
	// They say that they will send much, and send a little.
	hold(40, "POST /hooks.runtime.cluster.x-k8s.io/v1alpha1/beforeclustercreate/"+gates.ExtensionName+" HTTP/1.1\r\nHost: hook\r\nContent-Length: 1000000\r\n\r\n{")
	for range 10 {
		// On a connection of its own each time, as long as Cluster API waits.
		ask := w.asker(w.hookPort)
		began := time.Now()
		if answer := ask("beforeclustercreate/"+gates.ExtensionName, map[string]any{"cluster": cluster.Object}); answer["status"] != "Success" {
			t.Errorf("it answers %v", answer)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it answers after %s", took)
		}
	}
}

// asker asks the replica at a port as Cluster API would: by the name of the Service,
// with the authority of the Secret that all replicas share.
func (w *world) asker(port int) func(path string, request any) map[string]any {
	w.t.Helper()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(w.authority())
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, loopback.Address(port))
		},
	}
	w.t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return func(path string, request any) map[string]any {
		w.t.Helper()
		body, err := json.Marshal(request)
		if err != nil {
			w.t.Fatal(err)
		}
		response, err := client.Post("https://capi-vip-allocator-runtime-extension."+allocator.Namespace+".svc/hooks.runtime.cluster.x-k8s.io/v1alpha1/"+path,
			"application/json", bytes.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		defer response.Body.Close()
		answer := map[string]any{}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			w.t.Fatal(err)
		}
		return answer
	}
}
