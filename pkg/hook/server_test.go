package hook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	hooksv1 "sigs.k8s.io/cluster-api/api/runtime/hooks/v1alpha1"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	discoveryPath = "/hooks.runtime.cluster.x-k8s.io/v1alpha1/discovery"
	createPath    = "/hooks.runtime.cluster.x-k8s.io/v1alpha1/beforeclustercreate/vip-allocator"
)

func newServer(t testing.TB) *Server {
	t.Helper()
	s, err := New(Options{Name: "vip-allocator", Namespace: "ours", Service: "hook", Secret: "tls", Client: fake.NewClientset(), Meter: &fakeMeter{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start serves over TLS until the test ends and returns the port.
func start(t *testing.T, s *Server) string {
	t.Helper()
	if err := s.keeper.first(t.Context()); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// client trusts what Cluster API would find in the Secret, and calls the server by
// the name that its Service has.
func client(t *testing.T, s *Server, address string) *http.Client {
	t.Helper()
	secret, err := s.options.Client.CoreV1().Secrets("ours").Get(t.Context(), "tls", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(secret.Data["ca.crt"]) {
		t.Fatal("ca.crt holds no certificate")
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12, Time: s.keeper.share.now},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

const host = "https://hook.ours.svc"

func post[T any](t *testing.T, c *http.Client, path string, body []byte) *T {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, host+path+"?timeout=5s", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", response.Status, data, err)
	}
	answer := new(T)
	if err := json.Unmarshal(data, answer); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return answer
}

// Discovery needs no caches, and holds what Cluster API insists on.
func TestDiscoveryOverTLS(t *testing.T) {
	s := newServer(t)
	c := client(t, s, start(t, s))
	got := post[hooksv1.DiscoveryResponse](t, c, discoveryPath, []byte(`{"apiVersion":"hooks.runtime.cluster.x-k8s.io/v1alpha1","kind":"DiscoveryRequest"}`))
	if got.Status != hooksv1.ResponseStatusSuccess || got.Kind != "DiscoveryResponse" || len(got.Handlers) != 1 {
		t.Fatalf("%+v", got)
	}
	h := got.Handlers[0]
	if h.Name != "vip-allocator" || h.RequestHook != (hooksv1.GroupVersionHook{APIVersion: "hooks.runtime.cluster.x-k8s.io/v1alpha1", Hook: "BeforeClusterCreate"}) ||
		*h.TimeoutSeconds != callTimeout || *h.FailurePolicy != hooksv1.FailurePolicyFail {
		t.Errorf("%+v", h)
	}
}

func request(t testing.TB, cluster any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{
		"apiVersion": hooksv1.GroupVersion.String(), "kind": "BeforeClusterCreateRequest", "settings": map[string]string{}, "cluster": cluster,
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBeforeClusterCreateOverTLS(t *testing.T) {
	s := newServer(t)
	c := client(t, s, start(t, s))
	ask := func(cluster any) *hooksv1.BeforeClusterCreateResponse {
		t.Helper()
		got := post[hooksv1.BeforeClusterCreateResponse](t, c, createPath, request(t, cluster))
		if got.Status != hooksv1.ResponseStatusSuccess || got.Kind != "BeforeClusterCreateResponse" {
			t.Fatalf("%+v", got)
		}
		return got
	}
	ready := newCluster("k", withEndpoint("10.0.0.1"), withVariable("clusterVip", "10.0.0.1"))
	if got := ask(ready); got.RetryAfterSeconds != 1 || got.Message != waitSync {
		t.Errorf("before the caches have synced: %+v", got)
	}
	s.Use(&fakeObserver{err: errors.New("behind")})
	if got := ask(ready); got.RetryAfterSeconds != 1 || got.Message != waitBehind {
		t.Errorf("while the caches lag: %+v", got)
	}
	observer := &fakeObserver{classes: map[string]*clusterv1.ClusterClass{"k": newClass(t, "k", "clusterVip")}, pools: []vip.Pool{newPool(t, "k", vip.ControlPlane)}}
	s.Use(observer)
	if got := ask(ready); got.RetryAfterSeconds != 0 || got.Message != "" {
		t.Errorf("with its VIP: %+v", got)
	}
	if got := ask(newCluster("k")); got.RetryAfterSeconds != 1 || !strings.Contains(got.Message, "control-plane VIP") {
		t.Errorf("without: %+v", got)
	}
	s.options.Settings.Namespace = "elsewhere"
	s.Use(&fakeObserver{err: errors.New("behind")})
	if got := ask(newCluster("k")); got.RetryAfterSeconds != 0 {
		t.Errorf("a Cluster of another --namespace waits for our caches: %+v", got)
	}
	s.options.Settings.Namespace = ""
	s.Use(observer)
	untyped := newCluster("k")
	untyped.TypeMeta = metav1.TypeMeta{}
	if got := ask(untyped); got.RetryAfterSeconds != 1 || !strings.Contains(got.Message, "control-plane VIP") {
		t.Errorf("without apiVersion: %+v", got)
	}
}

// Cluster API before 1.13 sends v1beta1, with or without saying so.
func TestPayloadsOfV1Beta1(t *testing.T) {
	s := newServer(t)
	s.Use(&fakeObserver{classes: map[string]*clusterv1.ClusterClass{"k": newClass(t, "k", "clusterVip", "ingressVip")}, pools: []vip.Pool{newPool(t, "k", vip.ControlPlane)}})
	for _, typeMeta := range []string{"apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\n", ""} {
		var waits, carries map[string]any
		decode(t, typeMeta+`
metadata: {namespace: default, name: one, uid: u-1}
spec:
  controlPlaneEndpoint: {host: "", port: 0}
  topology: {class: k, version: v1.31.0, controlPlane: {replicas: 1, nodeDrainTimeout: 10s}}
`, &waits)
		decode(t, typeMeta+`
metadata: {namespace: default, name: one, uid: u-1, annotations: {vip.capi.gorizond.io/ingress-enabled: "false"}}
spec:
  controlPlaneEndpoint: {host: 10.0.0.1, port: 6443}
  topology:
    class: k
    version: v1.31.0
    variables: [{name: clusterVip, definitionFrom: "", value: 10.0.0.1}]
`, &carries)
		if got := handle(t, s, request(t, waits)); got.Status != hooksv1.ResponseStatusSuccess || got.RetryAfterSeconds != 1 || !strings.Contains(got.Message, "control-plane VIP") {
			t.Errorf("%q without VIP: %+v", typeMeta, got)
		}
		if got := handle(t, s, request(t, carries)); got.Status != hooksv1.ResponseStatusSuccess || got.RetryAfterSeconds != 0 {
			t.Errorf("%q with VIP: %+v", typeMeta, got)
		}
	}
}

// handle asks without TLS and without a network.
func handle(t testing.TB, s *Server, body []byte) *hooksv1.BeforeClusterCreateResponse {
	t.Helper()
	recorder := httptest.NewRecorder()
	s.mux.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, createPath, bytes.NewReader(body)))
	answer := &hooksv1.BeforeClusterCreateResponse{}
	if err := json.Unmarshal(recorder.Body.Bytes(), answer); err != nil || recorder.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", recorder.Code, recorder.Body, err)
	}
	return answer
}

// Whatever is not understood is refused in the one way that no failure policy
// turns into a yes.
func TestMalformedRequests(t *testing.T) {
	s := newServer(t)
	s.Use(&fakeObserver{})
	cluster := func(text string) string { return `{"cluster":` + text + `}` }
	for name, body := range map[string]string{
		"empty":            "",
		"no JSON":          "<html>",
		"a list":           "[]",
		"no Cluster":       `{"kind":"BeforeClusterCreateRequest"}`,
		"null":             cluster("null"),
		"a text":           cluster(`"x"`),
		"another kind":     cluster(`{"kind":"Machine","metadata":{"namespace":"a","name":"b"}}`),
		"another group":    cluster(`{"apiVersion":"provisioning.cattle.io/v1","kind":"Cluster","metadata":{"namespace":"a","name":"b"}}`),
		"another version":  cluster(`{"apiVersion":"cluster.x-k8s.io/v1alpha4","kind":"Cluster","metadata":{"namespace":"a","name":"b"}}`),
		"no name":          cluster(`{"metadata":{"namespace":"a"}}`),
		"wrong type":       cluster(`{"metadata":{"namespace":"a","name":"b"},"spec":{"topology":{"version":7}}}`),
		"trailing garbage": cluster(`{"metadata":{"namespace":"a","name":"b"}}`) + "{}",
		"huge":             cluster(`"` + strings.Repeat("x", maxBody) + `"`),
		"deep":             cluster(strings.Repeat("[", 100000)),
	} {
		t.Run(name, func(t *testing.T) {
			got := handle(t, s, []byte(body))
			if got.Status != hooksv1.ResponseStatusFailure || got.Message == "" {
				t.Errorf("%+v", got)
			}
			if len(got.Message) > 2000 {
				t.Errorf("the message has %d bytes", len(got.Message))
			}
		})
	}
}

func TestAPanicIsARefusal(t *testing.T) {
	s := newServer(t)
	s.Use(&fakeObserver{panics: true})
	for range 2 * maxRequests { // it must give back its slot, too
		if got := handle(t, s, request(t, newCluster("k"))); got.Status != hooksv1.ResponseStatusFailure {
			t.Fatalf("%+v", got)
		}
	}
	if panics := s.options.Meter.(*fakeMeter).panics; panics != 2*maxRequests {
		t.Errorf("%d were counted", panics)
	}
}

// Every call is counted once, by what Cluster API makes of the answer.
func TestCallsAreCounted(t *testing.T) {
	s := newServer(t)
	discover := httptest.NewRequest(http.MethodPost, discoveryPath, strings.NewReader("{}"))
	s.mux.ServeHTTP(httptest.NewRecorder(), discover)
	handle(t, s, request(t, newCluster("k"))) // the caches are not known yet
	withoutTopology := func(c *clusterv1.Cluster) { c.Spec.Topology = clusterv1.Topology{} }
	handle(t, s, request(t, newCluster("k", withoutTopology)))
	handle(t, s, []byte("{"))
	s.Use(&fakeObserver{panics: true})
	handle(t, s, request(t, newCluster("k")))
	for range maxRequests {
		s.slots <- struct{}{}
	}
	gone, giveUp := context.WithCancel(t.Context())
	giveUp()
	s.mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, http.MethodPost, createPath, http.NoBody))
	want := map[string]int{"Discovery proceed": 1, "BeforeClusterCreate wait": 1, "BeforeClusterCreate proceed": 1, "BeforeClusterCreate error": 3}
	if got := s.options.Meter.(*fakeMeter).calls; !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// The more Clusters wait, the later each of them is asked about again, within limits.
func TestManyThatWaitAreAskedAboutLessOften(t *testing.T) {
	for _, test := range []struct {
		clusters, calls int // calls are those of a minute
	}{
		{1, 60},
		{perSecond, 60 * perSecond},
		{3 * perSecond, 60 * perSecond},
		{10 * perSecond, 60 * 10 * perSecond / latest},
	} {
		s, began := newServer(t), time.Now()
		asks := make([]int, 60+latest) // by second
		asks[0] = test.clusters
		calls := 0
		for second := range 60 {
			for range asks[second] {
				calls++
				again := s.retryAfter(began.Add(time.Duration(second) * time.Second))
				if again < soonest || again > latest {
					t.Fatalf("of %d Clusters one is to be asked about after %d s", test.clusters, again)
				}
				asks[second+int(again)]++
			}
		}
		if most := test.calls * 11 / 10; calls > most || calls < test.calls*9/10 {
			t.Errorf("%d Clusters are asked about %d times in a minute, want about %d", test.clusters, calls, test.calls)
		}
	}
}

func TestOnlyPostsToTheKnownPaths(t *testing.T) {
	s := newServer(t)
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, discoveryPath, http.StatusMethodNotAllowed},
		{http.MethodGet, createPath, http.StatusMethodNotAllowed},
		{http.MethodPost, createPath + "x", http.StatusNotFound},
		{http.MethodPost, "/", http.StatusNotFound},
	} {
		recorder := httptest.NewRecorder()
		s.mux.ServeHTTP(recorder, httptest.NewRequest(test.method, test.path, http.NoBody))
		if recorder.Code != test.want {
			t.Errorf("%s %s: %d", test.method, test.path, recorder.Code)
		}
	}
}

// The port opens with the certificate, and one that is taken ends the process.
func TestRun(t *testing.T) {
	taken, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newServer(t)
	s.options.Port = taken.Addr().(*net.TCPAddr).Port
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprint(s.options.Port)) {
		t.Errorf("the error is %v", err)
	}
	taken.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for !s.Serving() {
		time.Sleep(time.Millisecond)
	}
	post[hooksv1.DiscoveryResponse](t, client(t, s, taken.Addr().String()), discoveryPath, []byte("{}"))
	stop()
	if err := <-ended; err != nil || s.Serving() {
		t.Errorf("serving %v, %v", s.Serving(), err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	s := newServer(t)
	address := start(t, s)
	//nolint:gosec // on purpose
	connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		connection.Close()
		t.Error("TLS 1.1 is accepted")
	}
}

// One of a thousand Clusters at a time, as the topology controller asks, from the
// bytes of the request to those of the answer. The bound is 50 ms.
func BenchmarkBeforeClusterCreate(b *testing.B) {
	const count = 1000
	s := newServer(b)
	observer := &fakeObserver{classes: map[string]*clusterv1.ClusterClass{}}
	var bodies [][]byte
	for i := range count {
		class := fmt.Sprintf("k%d", i%50)
		if observer.classes[class] == nil {
			observer.classes[class] = newClass(b, class, "clusterVip", "ingressVip")
			// Real classes have guards, which are templates to be rendered.
			for j := range observer.classes[class].Spec.Patches {
				observer.classes[class].Spec.Patches[j].EnabledIf = `{{ if eq (dig "cluster" "metadata" "annotations" "x" "" .builtin) "y" }}false{{ else }}true{{ end }}`
			}
			observer.pools = append(observer.pools, newPool(b, class, vip.ControlPlane), newPool(b, class, vip.Ingress))
		}
		cluster := newCluster(class, withAnnotation("padding", strings.Repeat("x", 4<<10)))
		cluster.Name = fmt.Sprintf("c%d", i)
		if i%2 == 0 {
			withEndpoint("10.0.0.1")(cluster)
			withVariable("clusterVip", "10.0.0.1")(cluster)
			withVariable("ingressVip", "10.0.0.2")(cluster)
		}
		bodies = append(bodies, request(b, cluster))
	}
	s.Use(observer)
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		handle(b, s, bodies[i%count])
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
