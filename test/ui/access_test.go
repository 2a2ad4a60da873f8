package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
)

// watchFor has the page note when the expression becomes true, as window.name.
func watchFor(name, expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`
new MutationObserver(() => { if (window.%[1]s === undefined && (%[2]s)) { window.%[1]s = Date.now(); } })
	.observe(document.body, { childList: true, subtree: true, attributes: true, characterData: true }); undefined`, name, expression))
}

func TestStrangersAreRefused(t *testing.T) {
	w := newWorld(t)
	at, err := url.Parse(w.page.URL)
	if err != nil {
		t.Fatal(err)
	}
	token := at.Query().Get("token")
	for name, test := range map[string]struct {
		host, path, method string
		want               int
	}{
		"no token":        {at.Host, "/", "GET", http.StatusForbidden},
		"a wrong token":   {at.Host, "/?token=" + token + "x", "GET", http.StatusForbidden},
		"a wrong host":    {"evil.example:" + at.Port(), "/?token=" + token, "GET", http.StatusForbidden},
		"another port":    {"127.0.0.1:1", "/?token=" + token, "GET", http.StatusForbidden},
		"to write":        {at.Host, "/?token=" + token, "POST", http.StatusMethodNotAllowed},
		"no token, files": {at.Host, "/assets/page.js", "GET", http.StatusForbidden},
		"the token":       {at.Host, "/?token=" + token, "GET", http.StatusSeeOther},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+at.Host+test.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = test.host
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
	stranger := w.browser.tab(t)
	stranger.open("http://" + at.Host + "/clusters")
	stranger.eventually("it is refused", `document.body.innerText.includes("open the address with the token")`)
	if address, err := evaluate[string](w.tab, "location.href + document.cookie"); err != nil || address != "http://"+at.Host+"/" {
		t.Errorf("scripts see %s, %v", address, err)
	}
}

// followByProxy has the tab follow a page of its own that is behind a proxy.
func (w *world) followByProxy() *fault.Proxy {
	w.t.Helper()
	proxy, err := fault.Start(w.Management.Config())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(proxy.Close)
	kubeconfig, err := proxy.WriteKubeconfig(w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	w.follow(w.t, kubeconfig)
	return proxy
}

// The API server goes away: the page says so and keeps what it knew. It comes back: the page
// shows what has happened meanwhile.
func TestAPIServerGoesAway(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	pool := w.pool("cp", "control-plane", "", 24, 60, w.subnet+".10-"+w.subnet+".29")
	proxy := w.followByProxy()
	w.visit("/?q=" + pool)
	w.shows(pool, w.subnet+".10", "free")

	away := proxy.Add(fault.Rule{Match: fault.Any, DropRequest: true})
	proxy.Cut(fault.Any)
	w.says("#trouble", "Not up to date.", "The API server has not answered since")
	w.shows(pool, w.subnet+".10", "free")
	w.cluster("meanwhile", "", "")
	away.Remove()
	w.shows(pool, w.subnet+".10", "control-plane")
	w.tab.eventually("all is well", `document.querySelector("#trouble").textContent.trim() === ""`)
}

// As long as nothing changes the page asks for nothing.
func TestPageDoesNotPoll(t *testing.T) {
	w := newWorld(t)
	proxy := w.followByProxy()
	w.visit("/clusters")
	thaw := proxy.Freeze(fault.Any) // others change things all the time
	defer thaw()
	const settled, quiet = 2 * time.Second, 3 * time.Second
	time.Sleep(settled)
	before := w.tab.requests()
	time.Sleep(quiet)
	if after := w.tab.requests(); before == 0 || after != before {
		t.Errorf("it had asked %d times, and %s later %d times", before, quiet, after)
	}
}

// follow leads the tab to a page of its own.
func (w *world) follow(t *testing.T, kubeconfig string, args ...string) {
	t.Helper()
	p, err := allocator.StartPage(t.Context(), kubeconfig, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	w.tab.open(p.URL)
	w.tab.live()
}

// Who may see one namespace is shown that, and told what is missing.
func TestMissingRights(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	pool := w.pool("cp", "control-plane", "", 24, 60, w.subnet+".10-"+w.subnet+".29")
	w.cluster("web", "", "")
	w.visit("/?q=" + pool)
	w.shows(pool, w.subnet+".10", "control-plane")
	user := "guest-of-" + w.namespace
	w.apply(`
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: guest, namespace: %[1]s}
rules: [{apiGroups: [cluster.x-k8s.io, ipam.cluster.x-k8s.io], resources: [clusters, clusterclasses, ipaddressclaims, ipaddresses], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: guest, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: guest}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[2]s}]
`, w.namespace, user)
	kubeconfig, err := w.Management.User(user, "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	w.follow(t, kubeconfig, "-n", w.namespace)
	w.says("main", "No pool that carries the keys of the allocator is visible.")
	w.says("footer", "GlobalInClusterIPPool (forbidden)", "Cluster outside of namespace "+w.namespace+" (forbidden)")
	w.visit("/clusters")
	w.says("main tbody", "web", w.subnet+".10", "Allocated")
	w.visit("/cluster/" + w.namespace + "/web")
	w.says("main", "not visible (forbidden)")
}
