package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
)

// explained is what explain says of the control plane.
type explained struct {
	Roles []struct{ Reason, Message, Next string }
}

func (w *world) explain(cluster string) *explained {
	w.t.Helper()
	binary, err := allocator.Build(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	command := exec.CommandContext(w.t.Context(), binary, "explain", cluster, "-n", w.namespace, "-o", "json", "--kubeconfig", w.Management.Kubeconfig())
	var complaint bytes.Buffer
	command.Stderr = &complaint
	output, err := command.Output()
	result := &explained{}
	if err == nil {
		err = json.Unmarshal(output, result)
	}
	if err != nil {
		w.t.Fatalf("explain: %v: %s", err, complaint.String())
	}
	return result
}

func TestFullPoolAndWhoWaits(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	pool := w.pool("full", "control-plane", "", 24, 60, w.subnet+".10")
	w.cluster("served", "", "")
	w.visit("/?q=" + pool)
	w.shows(pool, w.subnet+".10", "control-plane")
	w.cluster("waiting", "", "")
	w.says(fmt.Sprintf(`section[id$="/%s"]`, pool), "0 of 1 free", "1 VIP waits", "has no free address")

	w.visit("/clusters?q=" + w.namespace)
	w.tab.eventually("who waits comes first", fmt.Sprintf(`document.querySelector("main tbody")?.id === "/cluster/%s/waiting"`, w.namespace))
	says := w.explain("waiting").Roles[0]
	if says.Reason != "PoolExhausted" || says.Next == "" {
		t.Fatalf("explain says %+v", says)
	}
	w.says("main tbody", says.Reason, says.Message, says.Next)

	w.tab.run(chromedp.Click(chromedp.CSS(`main tbody th a`)))
	w.says("main h1", w.namespace+"/waiting")
	w.says(`.way [data-state="done"]`, "Class")
	w.says(`.way [aria-current="step"]`, "Pool")
	w.says(".way", says.Message, says.Next, "GlobalInClusterIPPool "+pool, "0 of 1 free")
	// It follows, too: somebody extends the pool.
	w.apply(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata: {name: %s, annotations: {vip.capi.gorizond.io/cluster-class: %q, vip.capi.gorizond.io/role: control-plane}}
spec: {addresses: ["%s.10-%s.11"], prefix: 24, addressReuseGracePeriodSeconds: 60}
`, pool, w.class, w.subnet, w.subnet)
	w.says(".way h2", w.subnet+".11", "Allocated")
	w.tab.eventually("every step is done", `document.querySelectorAll('.way [data-state="done"]').length === 5`)
}

func TestClassesShowTheirGates(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	w.visit("/classes?q=" + w.class)
	w.says("main tbody", w.namespace+"/"+w.class, "clusterVip", "gated by patch vip", "ingress", "none")
}

func TestFilterFollowsTheKeys(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	for _, name := range []string{"alpha", "beta"} {
		w.cluster(name, "", "")
	}
	w.visit("/clusters?q=" + w.namespace)
	w.tab.eventually("both are there", `document.querySelectorAll("main tbody").length === 2`)
	w.tab.run(chromedp.SendKeys(chromedp.CSS(`input[name=q]`), kb.End+" beta"))
	w.tab.eventually("one is left", `document.querySelectorAll("main tbody").length === 1`)
	w.says("main tbody", "beta")
	w.tab.eventually("it can be linked to", `new URLSearchParams(location.search).get("q").endsWith(" beta")`)
	w.tab.eventually("the keys still go there", `document.activeElement.name === "q" && document.activeElement.value.endsWith(" beta")`)
}

// Everything can be had by the keyboard, and is told to who cannot see.
func TestKeyboard(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	pool := w.pool("keys", "control-plane", "", 24, 60, w.subnet+".16-"+w.subnet+".47")
	w.cluster("web", "", "")
	w.visit("/?q=" + pool)
	w.shows(pool, w.subnet+".16", "control-plane")
	w.tab.eventually("a grid is one stop", `document.querySelectorAll('.grid [tabindex="0"]').length === 1`)
	w.tab.run(chromedp.Focus(chromedp.CSS(`.grid a.cell`)))
	told := `document.querySelector("#tip").hidden === false && document.querySelector("#tip").textContent`
	w.tab.eventually("it tells of the Cluster", fmt.Sprintf(`(%s || "").includes("Cluster%s/web") && (%s).includes("Allocated")`, told, w.namespace, told))
	for _, step := range []struct{ key, address string }{{kb.ArrowRight, ".17"}, {kb.ArrowDown, ".33"}, {kb.ArrowLeft, ".32"}, {kb.End, ".47"}, {kb.Home, ".16"}} {
		w.tab.run(chromedp.KeyEvent(step.key))
		w.tab.eventually("the focus is on "+step.address, fmt.Sprintf(`document.activeElement.getAttribute("aria-label")?.startsWith("%s%s,")`, w.subnet, step.address))
	}
	w.tab.run(chromedp.KeyEvent(kb.Enter))
	w.says("main h1", w.namespace+"/web")
}

// At the width of a phone, and at 200 % and 400 % of a laptop's, nothing is cut off.
func TestNarrow(t *testing.T) {
	w := newWorld(t)
	w.needClass(true, "")
	pool := w.pool("cp", "control-plane", "", 24, 60, w.subnet+".10-"+w.subnet+".60")
	w.cluster("web", "", "") // it waits for an ingress VIP
	w.visit("/?q=" + pool)
	w.shows(pool, w.subnet+".10", "control-plane")
	for _, width := range []int64{320, 375, 640} {
		w.tab.look(width, 800, false)
		for _, path := range []string{"/?q=" + pool, "/clusters?q=" + w.namespace, "/cluster/" + w.namespace + "/web", "/classes?q=" + w.namespace} {
			w.visit(path)
			if wide, err := evaluate[int64](w.tab, "document.documentElement.scrollWidth"); err != nil || wide > width {
				t.Errorf("%s is %d wide at %d, %v", path, wide, width, err)
			}
		}
	}
}

const hostile = `<img src=x onerror=alert(1)>`

func TestHostileTextIsText(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	pool := w.pool("bad", hostile, "", 24, 60, w.subnet+".10")
	w.cluster("bad", fmt.Sprintf(`, annotations: {vip.capi.gorizond.io/control-plane-pool: %q}`, hostile), "")
	w.visit("/?q=" + pool)
	w.says(fmt.Sprintf(`section[id$="/%s"]`, pool), hostile)
	w.visit("/clusters?q=" + w.namespace)
	w.says("main", "bad")
	w.visit("/cluster/" + w.namespace + "/bad")
	w.says("main h1", "bad")
	w.visit("/clusters?q=" + strings.ReplaceAll(hostile, " ", "+"))
	w.tab.eventually("it stands in the field", fmt.Sprintf(`document.querySelector("input[name=q]").value === %q`, hostile))
	if images, err := evaluate[int](w.tab, `document.querySelectorAll("main img").length`); err != nil || images > 0 {
		t.Errorf("there are %d images, %v", images, err)
	}
}
