package fault

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// deadline bounds what should be there at once.
const deadline = 10 * time.Second

// backend is an API server that counts its requests and sends the test's events to watches.
type backend struct {
	*httptest.Server
	requests chan string
	events   chan string
}

func start(t *testing.T) (*backend, *Proxy, *http.Client) {
	t.Helper()
	b := &backend{requests: make(chan string, 100), events: make(chan string, 100)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests <- r.Method + " " + r.URL.Path
		if r.URL.Query().Get("watch") == "" {
			fmt.Fprint(w, "done")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.(http.Flusher).Flush()
		for {
			select {
			case event := <-b.events:
				fmt.Fprintln(w, event)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	p, err := Start(&rest.Config{Host: b.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); b.Close() })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.ca)
	return b, p, &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
	}}
}

const claims = "/apis/ipam.cluster.x-k8s.io/v1beta2/namespaces/one/ipaddressclaims"

// answer is what a client got; code is 0 where the connection broke.
type answer struct {
	code int
	wait string // Retry-After
	body io.Reader
}

func send(t *testing.T, client *http.Client, p *Proxy, method, path string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.Address()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}
	}
	t.Cleanup(func() { response.Body.Close() })
	return answer{response.StatusCode, response.Header.Get("Retry-After"), response.Body}
}

func TestParse(t *testing.T) {
	for path, want := range map[string]string{
		"GET /apis/a.b/v1/namespaces/n/things":          "list things n",
		"GET /apis/a.b/v1/namespaces/n/things?watch=1":  "watch things n",
		"GET /apis/a.b/v1/things?watch=true":            "watch things",
		"PATCH /apis/a.b/v1/namespaces/n/things/x":      "patch things n/x",
		"PUT /apis/a.b/v1/namespaces/n/things/x/status": "update things/status n/x",
		"POST /api/v1/namespaces":                       "create namespaces",
		"GET /api/v1/namespaces/n":                      "get namespaces /n",
		"PUT /api/v1/namespaces/n/finalize":             "update namespaces/finalize /n",
		"DELETE /api/v1/namespaces/n/events/e":          "delete events n/e",
		"DELETE /apis/a.b/v1/namespaces/n/things":       "deletecollection things n",
		"GET /version": "list /version",
		"GET /apis/apiextensions.k8s.io/v1/crds/x.y.com": "get crds /x.y.com",
	} {
		method, target, _ := strings.Cut(path, " ")
		if got := parse(httptest.NewRequest(method, target, nil)).String(); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}

func TestDropReply(t *testing.T) {
	b, p, client := start(t)
	rule := p.Add(Rule{Match: Of("create", "ipaddressclaims"), Nth: 2, DropReply: true})
	for i, broken := range []bool{false, true, false} {
		if got := send(t, client, p, http.MethodPost, claims); (got.code == 0) != broken {
			t.Errorf("answer %d is %v", i+1, got)
		}
		<-b.requests // the API server has seen it all the same
	}
	if seen := rule.Seen(); seen != 3 {
		t.Errorf("the rule has seen %d requests", seen)
	}
	if writes := p.Writes(In("one", Writes)); len(writes) != 3 || writes[1].Code != http.StatusOK {
		t.Errorf("writes are %v", writes)
	}
}

func TestRefuseAndHooks(t *testing.T) {
	b, p, client := start(t)
	var order []string
	p.Add(Rule{
		Match: Writes, Delay: 20 * time.Millisecond,
		Before: func(r Request) { order = append(order, "before "+r.Verb) },
		After:  func(_ Request, code int) { order = append(order, fmt.Sprint("after ", code)) },
	})
	refuse := p.Add(Rule{Match: Of("delete", "ipaddressclaims"), Refuse: &Refusal{Code: 429, RetryAfter: 3 * time.Second}})
	begin := time.Now()
	if got := send(t, client, p, http.MethodDelete, claims+"/x"); got.code != 429 || got.wait != "3" {
		t.Errorf("answer is %v", got)
	}
	if took := time.Since(begin); took < 20*time.Millisecond {
		t.Errorf("took %s", took)
	}
	select {
	case <-refuse.Hit():
	default:
		t.Error("the rule says that it did not apply")
	}
	if len(b.requests) > 0 {
		t.Errorf("the API server saw %s", <-b.requests)
	}
	refuse.Remove()
	if got := send(t, client, p, http.MethodDelete, claims+"/x"); got.code != 200 {
		t.Errorf("answer is %v", got)
	}
	if got := strings.Join(order, ", "); got != "before delete, before delete, after 200" {
		t.Errorf("hooks ran as %q", got)
	}
}

func TestWatches(t *testing.T) {
	b, p, client := start(t)
	stream := send(t, client, p, http.MethodGet, claims+"?watch=true")
	if stream.code != 200 {
		t.Fatalf("answer is %v", stream)
	}
	lines := make(chan string)
	go func() {
		scanner := bufio.NewScanner(stream.body)
		for scanner.Scan() {
			lines <- scanner.Text()
		}
		lines <- fmt.Sprint("end: ", scanner.Err() != nil)
	}()
	next := func() string {
		select {
		case line := <-lines:
			return line
		case <-time.After(deadline):
			t.Fatal("nothing comes")
			return ""
		}
	}
	b.events <- "first"
	if line := next(); line != "first" {
		t.Errorf("line is %q", line)
	}
	thaw := p.Freeze(Of("watch", "ipaddressclaims"))
	p.Freeze(Of("watch", "clusters"))
	b.events <- "second"
	select {
	case line := <-lines:
		t.Errorf("%q came through the ice", line)
	case <-time.After(100 * time.Millisecond): // "nothing comes" has no event to wait for
	}
	thaw()
	if line := next(); line != "second" {
		t.Errorf("line is %q", line)
	}
	if cut := p.Cut(Of("watch", "clusters")); cut != 0 {
		t.Errorf("%d watches of Clusters", cut)
	}
	if cut := p.Cut(Of("watch", "")); cut != 0 {
		t.Errorf("%d watches of nothing", cut)
	}
	if cut := p.Cut(Any); cut != 1 {
		t.Errorf("%d watches", cut)
	}
	if line := next(); line != "end: true" {
		t.Errorf("line is %q", line)
	}
}

func TestKubeconfig(t *testing.T) {
	_, p, _ := start(t)
	path, err := p.WriteKubeconfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	if got := send(t, client, p, http.MethodGet, "/version"); got.code != 200 {
		t.Errorf("answer is %v", got)
	}
}
