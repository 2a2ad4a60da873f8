package ui

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// visitor asks a running server.
type visitor struct {
	t      *testing.T
	server *Server
	cookie *http.Cookie
}

func visit(t *testing.T, view *View) *visitor {
	t.Helper()
	server, err := Listen(0, sampleDetail)
	if err != nil {
		t.Fatal(err)
	}
	if view != nil {
		server.Publish(view)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &visitor{t: t, server: server}
}

// answer is what the server says, with nothing left to close.
type answer struct {
	code    int
	header  http.Header
	cookies []*http.Cookie
	body    string
}

func (v *visitor) ask(method, path string, change func(*http.Request)) *answer {
	v.t.Helper()
	request := v.request(method, path)
	if change != nil {
		change(request)
	}
	response, err := http.DefaultTransport.RoundTrip(request) // follows no redirect
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return &answer{response.StatusCode, response.Header, response.Cookies(), string(body)}
}

func (v *visitor) request(method, path string) *http.Request {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, "http://"+v.server.listener.Addr().String()+path, http.NoBody)
	if err != nil {
		v.t.Fatal(err)
	}
	if v.cookie != nil {
		request.AddCookie(v.cookie)
	}
	return request
}

func (v *visitor) get(path string) (code int, body string) {
	v.t.Helper()
	a := v.ask(http.MethodGet, path, nil)
	return a.code, a.body
}

// enter exchanges the token of the URL for a cookie.
func (v *visitor) enter(address string) int {
	v.t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		v.t.Fatal(err)
	}
	a := v.ask(http.MethodGet, at.RequestURI(), nil)
	for _, cookie := range a.cookies {
		v.cookie = cookie
	}
	return a.code
}

func TestOnlyWithToken(t *testing.T) {
	v := visit(t, sample())
	for _, path := range []string{"/", "/clusters", "/events", "/assets/page.js", "/?token=", "/?token=wrong", "/?token=" + v.server.guard.session} {
		if code, body := v.get(path); code != http.StatusForbidden || strings.Contains(body, "vip-a") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code := v.enter(v.server.URL()); code != http.StatusSeeOther || v.cookie == nil {
		t.Fatalf("with the token: %d", code)
	}
	if c := v.cookie; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || strings.Contains(v.server.URL(), c.Value) {
		t.Errorf("the cookie is %+v", c)
	}
	if code, body := v.get("/"); code != http.StatusOK || !strings.Contains(body, "vip-a") {
		t.Errorf("with the cookie: %d", code)
	}
	if code, _ := v.get("/?token=wrong"); code != http.StatusForbidden {
		t.Errorf("with the cookie and a wrong token: %d", code)
	}
	v.cookie.Value += "x"
	if code, _ := v.get("/"); code != http.StatusForbidden {
		t.Errorf("with a wrong cookie: %d", code)
	}
}

// The address that a browser is opened with is seen by all users of the machine.
func TestTokenForOnce(t *testing.T) {
	v := visit(t, sample())
	address := v.server.URLForOnce()
	if code := v.enter(address); code != http.StatusSeeOther {
		t.Fatalf("the first time: %d", code)
	}
	if code, _ := v.get("/"); code != http.StatusOK {
		t.Errorf("with its cookie: %d", code)
	}
	v.cookie = nil
	if code := v.enter(address); code != http.StatusForbidden {
		t.Errorf("the second time: %d", code)
	}
	if code := v.enter(v.server.URL()); code != http.StatusSeeOther {
		t.Errorf("the printed one: %d", code)
	}
}

func TestTokenLeadsNowhereElse(t *testing.T) {
	v := visit(t, sample())
	for path, want := range map[string]string{
		"/clusters?q=web": "/clusters?q=web", "//evil.example/": "/", `/\evil.example`: "/", "/": "/",
	} {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		response := v.ask(http.MethodGet, path+separator+"token="+v.server.guard.token, nil)
		if got := response.header.Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
}

func TestOnlyByLoopbackNames(t *testing.T) {
	v := visit(t, sample())
	v.enter(v.server.URL())
	_, port, _ := strings.Cut(v.server.listener.Addr().String(), ":")
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "localhost:" + port: 200, "[::1]:" + port: 200,
		"evil.example:" + port: 403, "evil.example": 403, "localhost": 403, "127.0.0.1:1": 403, "localhost.evil.example:" + port: 403, "127.0.0.1.:" + port: 403, "192.0.2.1:" + port: 403,
	} {
		if got := v.ask(http.MethodGet, "/", func(r *http.Request) { r.Host = host }).code; got != want {
			t.Errorf("%s: %d, want %d", host, got, want)
		}
	}
}

func TestOnlyToLook(t *testing.T) {
	v := visit(t, sample())
	v.enter(v.server.URL())
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
		response := v.ask(method, "/", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") })
		if response.code != http.StatusMethodNotAllowed || response.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, allowed is %q", method, response.code, response.header.Get("Allow"))
		}
	}
	if a := v.ask(http.MethodHead, "/", nil); a.code != http.StatusOK || a.body != "" {
		t.Errorf("HEAD: %d %s", a.code, a.body)
	}
}

func TestHeaders(t *testing.T) {
	v := visit(t, sample())
	refused := v.ask(http.MethodGet, "/", nil)
	v.enter(v.server.URL())
	for _, a := range []*answer{
		refused, v.ask(http.MethodGet, "/", nil), v.ask(http.MethodGet, "/nowhere", nil), v.ask(http.MethodGet, "/assets/style.css", nil), v.ask(http.MethodHead, "/events", nil),
	} {
		policy := a.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("the policy is %q", policy)
		}
		for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "", "Cache-Control": "no-store"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
	}
}

// Whatever users typed is text, on every page.
func TestHostileTextsAreText(t *testing.T) {
	view := sample()
	view.Trouble, view.Place, view.NotVisible = hostile, hostile, []string{hostile}
	view.Pools[0].Addresses[0].Condition = hostile
	v := visit(t, view)
	v.enter(v.server.URL())
	for _, path := range []string{"/", view.Pools[0].Path(), "/clusters?q=" + url.QueryEscape(hostile), "/clusters", "/cluster/team/late", "/classes", "/" + url.PathEscape(hostile)} {
		_, body := v.get(path)
		if strings.Contains(body, "<img src=x") || strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;img src=x") {
			t.Errorf("%s:\n%s", path, body)
		}
	}
}

func TestPages(t *testing.T) {
	v := visit(t, sample())
	v.enter(v.server.URL())
	for path, test := range map[string]struct {
		code     int
		has, not []string
	}{
		"/":                           {200, []string{"vip-a", "1</strong> VIP waits", "13</strong> of 18 free", `aria-label="10.0.0.10, control plane, Cluster: team/web`, `href="/cluster/team/web"`, "Claims without an address"}, nil},
		"/?q=large":                   {200, []string{"team/large"}, []string{">vip-a<"}},
		"/?q=nothing":                 {200, []string{"No pool matches"}, nil},
		"/clusters":                   {200, []string{"late", "extend spec.addresses", "is paused", "1 waiting"}, nil},
		"/clusters?waiting=1":         {200, []string{"late"}, []string{"elsewhere"}},
		"/clusters?q=10.0.0.11":       {200, []string{"web"}, []string{"elsewhere"}},
		"/clusters?page=99":           {200, []string{"late"}, nil},
		"/classes":                    {200, []string{"gated by patch endpoint", "not ready"}, nil},
		"/cluster/team/late":          {200, []string{"PoolExhausted", `aria-current="step"`, "extend spec.addresses"}, nil},
		"/cluster/team/gone":          {404, []string{"There is no Cluster team/gone"}, nil},
		sample().Pools[1].Path():      {200, []string{"10.1.77.3", "free"}, nil},
		"/pool/Kind/group/-/gone":     {404, []string{"There is no Kind gone"}, nil},
		"/nowhere":                    {404, nil, nil},
		"/assets/../server.go":        {404, nil, []string{"package"}},
		"/assets/..%2f..%2fserver.go": {404, nil, []string{"package"}},
	} {
		code, body := v.get(path)
		if code == http.StatusTemporaryRedirect || code == http.StatusMovedPermanently {
			code = http.StatusNotFound // the way that was asked for leads to a page that is none
		}
		if code != test.code {
			t.Errorf("%s: %d", path, code)
		}
		for _, words := range test.has {
			if !strings.Contains(body, words) {
				t.Errorf("%s does not say %q:\n%s", path, words, body)
			}
		}
		for _, words := range test.not {
			if strings.Contains(body, words) {
				t.Errorf("%s says %q", path, words)
			}
		}
	}
}

// What the browser shows already is not sent again.
func TestUnchangedPage(t *testing.T) {
	v := visit(t, sample())
	v.enter(v.server.URL())
	first := v.ask(http.MethodGet, "/", nil)
	asked := func(r *http.Request) { r.Header.Set("If-None-Match", first.header.Get("ETag")) }
	if code := v.ask(http.MethodGet, "/", asked).code; code != http.StatusNotModified {
		t.Errorf("unchanged: %d", code)
	}
	view := sample()
	view.Pools[0].Addresses[0].State = Refused
	v.server.Publish(view)
	if code := v.ask(http.MethodGet, "/", asked).code; code != http.StatusOK {
		t.Errorf("changed: %d", code)
	}
}

func TestEvents(t *testing.T) {
	v := visit(t, nil)
	v.enter(v.server.URL())
	if _, body := v.get("/"); !strings.Contains(body, "Reading the management cluster") {
		t.Errorf("before there is anything: %s", body)
	}
	response, err := http.DefaultTransport.RoundTrip(v.request(http.MethodGet, "/events"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	events := bufio.NewScanner(response.Body)
	await := func(want string) {
		t.Helper()
		for events.Scan() {
			if strings.HasPrefix(events.Text(), "event: ") {
				if events.Text() != "event: "+want {
					t.Fatalf("%s instead of %s", events.Text(), want)
				}
				return
			}
		}
		t.Fatalf("no event %s: %v", want, events.Err())
	}
	await("hello")
	v.server.Publish(sample())
	await("changed")
	if _, body := v.get("/"); !strings.Contains(body, "vip-a") {
		t.Errorf("after it was published: %s", body)
	}
}

func TestPortThatIsTaken(t *testing.T) {
	v := visit(t, nil)
	_, port, _ := strings.Cut(v.server.listener.Addr().String(), ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(number, sampleDetail); err == nil || !strings.Contains(err.Error(), "127.0.0.1:"+port) {
		t.Errorf("a port that is taken: %v", err)
	}
}

// Of ten thousand Clusters one page shows some and counts the others, at once.
func TestManyClusters(t *testing.T) {
	view := &View{}
	for i := range 10_000 {
		view.Clusters = append(view.Clusters, Cluster{Name: Name{"team", fmt.Sprintf("c-%05d", i)}})
	}
	v := visit(t, view)
	v.enter(v.server.URL())
	began := time.Now()
	_, body := v.get("/clusters")
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s", took)
	}
	if n := strings.Count(body, "<tbody"); n != clustersAtOnce {
		t.Errorf("%d Clusters on one page", n)
	}
	if !strings.Contains(body, "1–100 of 10000") {
		t.Error("it does not say how many there are")
	}
	if _, body := v.get("/clusters?q=c-09999"); !strings.Contains(body, "c-09999") {
		t.Error("the last one is not found")
	}
}
