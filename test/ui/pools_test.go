package ui

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// soon is how long the page may take to show what the API server tells.
const soon = time.Second

func TestNewClusterIsShownAtOnce(t *testing.T) {
	w := newWorld(t)
	w.needClass(true, "")
	cp := w.pool("cp", "control-plane", "", 24, 60, w.subnet+".10-"+w.subnet+".29")
	ing := w.pool("in", "ingress", "", 24, 60, w.subnet+".40-"+w.subnet+".49")
	w.visit("/?q=" + w.namespace)
	w.shows(cp, w.subnet+".10", "free")
	w.shows(ing, w.subnet+".40", "free")
	// The page notes when it shows both.
	w.tab.run(watchFor("both", fmt.Sprintf(`%s === "control-plane" && %s === "ingress"`, cell(cp, w.subnet+".10"), cell(ing, w.subnet+".40"))))
	list := w.browser.tab(t)
	list.open(w.page.URL)
	list.eventually("the list's tab is there", `document.querySelector("main h1") !== null`)
	origin, err := evaluate[string](list, "location.origin")
	if err != nil {
		t.Fatal(err)
	}
	list.open(origin + "/clusters?q=" + w.namespace)
	list.live()
	list.run(watchFor("both", fmt.Sprintf(`document.querySelector("main").innerText.includes(%q) && document.querySelector("main").innerText.includes(%q)`, w.subnet+".10", w.subnet+".40")))

	published := w.published("first")
	w.cluster("first", "", "")
	at := <-published
	for name, p := range map[string]*tab{"the picture": w.tab, "the list": list} {
		p.eventually(name+" shows both VIPs", "window.both !== undefined")
		shown, err := evaluate[float64](p, "window.both")
		if err != nil {
			t.Fatal(err)
		}
		late := time.UnixMilli(int64(shown)).Sub(at)
		t.Logf("%s shows both VIPs %s after they were published", name, late.Round(time.Millisecond))
		if late > soon {
			t.Errorf("%s shows both VIPs %s after they were published", name, late)
		}
	}
}

// published tells when both VIPs of the Cluster are seen on it.
func (w *world) published(name string) <-chan time.Time {
	w.t.Helper()
	at := make(chan time.Time, 1)
	var once sync.Once
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	err := observe.Watch(ctx, w.Client, observe.Clusters, func(e observe.Event[clusterv1.Cluster]) {
		if e.Object.Namespace == w.namespace && e.Object.Name == name && observe.CarriesControlPlaneVIP(e.Object) && observe.CarriesIngressVIP(e.Object) {
			once.Do(func() { at <- time.Now() })
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func TestStatesOfAddresses(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, `, pattern: '[^9]$'`) // the class refuses what ends with 9
	pool := w.pool("all", "control-plane", `, vip.capi.gorizond.io/priority: "1"`, 24, 600, w.subnet+".10-"+w.subnet+".25")
	unfit := w.pool("unfit", "control-plane", "", 24, 600, w.subnet+".99")
	w.claim("printer", pool)
	w.cluster("kept", "", "")
	w.visit("/?q=" + w.namespace)
	w.shows(pool, w.subnet+".10", "foreign")
	w.shows(pool, w.subnet+".11", "control-plane")
	w.cluster("refused", ", annotations: {vip.capi.gorizond.io/control-plane-pool: "+unfit+"}", "")
	w.shows(unfit, w.subnet+".99", "refused")
	w.cluster("leaving", "", "")
	w.shows(pool, w.subnet+".12", "control-plane")
	if err := w.Client.Resource(observe.Clusters).Namespace(w.namespace).Delete(t.Context(), "leaving", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.shows(pool, w.subnet+".12", "grace")
	w.says(fmt.Sprintf(`section[id$="/%s"]`, pool), "13 of 16 free")

	w.cluster("typed", "", ", controlPlaneEndpoint: {host: "+w.subnet+".21, port: 6443}")
	w.book(w.namespace, "typed", pool, w.subnet+".21")
	w.shows(pool, w.subnet+".21", "booked")
}

// A VIP that was typed where nobody keeps it may be given to others.
func TestTypedAddressThatIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	pool := w.pool("all", "control-plane", `, vip.capi.gorizond.io/book-manual: "false"`, 24, 60, w.subnet+".10-"+w.subnet+".25")
	w.cluster("typed", "", ", controlPlaneEndpoint: {host: "+w.subnet+".20, port: 6443}")
	w.visit("/?q=" + pool)
	w.shows(pool, w.subnet+".20", "in-use")
}

// claim takes an address for somebody else.
func (w *world) claim(name, pool string) {
	w.t.Helper()
	w.claimIn(w.namespace, name, pool)
}

func (w *world) claimIn(namespace, name, pool string) {
	w.t.Helper()
	w.apply(`
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata: {name: %s, namespace: %s}
spec: {poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: %s}}
`, name, namespace, pool)
	w.until("claim "+name+" is bound", func() error {
		status, _ := w.get(observe.Claims, namespace, name).Object["status"].(map[string]any)
		if status["addressRef"] == nil {
			return fmt.Errorf("it is not")
		}
		return nil
	})
}

// book keeps a typed VIP in the pool, unless the allocator was faster.
func (w *world) book(namespace, cluster, pool, address string) {
	w.t.Helper()
	name := "vip-manual-cp-" + cluster
	if _, err := w.Client.Resource(observe.Addresses).Namespace(namespace).Get(w.t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return
	}
	uid := w.get(observe.Clusters, namespace, cluster).GetUID()
	w.apply(`
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddress
metadata:
  name: %[1]s
  namespace: %[2]s
  labels: {vip.capi.gorizond.io/manual: "true"}
  ownerReferences: [{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, name: %[3]s, uid: %[4]s}]
spec: {address: %[5]s, prefix: 24, claimRef: {name: %[1]s}, poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: %[6]s}}
`, name, namespace, cluster, uid, address, pool)
}

func TestPoolsThatOverlap(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	one := w.pool("a", "control-plane", "", 24, 60, w.subnet+".10-"+w.subnet+".30")
	w.pool("b", "control-plane", "", 24, 60, w.subnet+".60-"+w.subnet+".70")
	two := w.pool("c", "control-plane", "", 24, 60, w.subnet+".25-"+w.subnet+".40")
	w.visit("/?q=" + w.namespace)
	w.says(fmt.Sprintf(`section[id$="/%s"]`, one), "its addresses overlap with those of GlobalInClusterIPPool "+two)
	w.says(fmt.Sprintf(`section[id$="/%s"] + section[id$="/%s"]`, one, two), "its addresses overlap with those of GlobalInClusterIPPool "+one)
}

func TestIPv6(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	pool := w.pool("six", "control-plane", "", 64, 60, "fd00:"+w.subnet[3:4]+":"+fmt.Sprint(subnets.Load())+"::/64")
	w.cluster("six", "", "")
	w.visit("/?q=" + pool)
	w.tab.eventually("an address is used", `document.querySelectorAll('a.cell[data-state="control-plane"]').length === 1`)
	w.says("main", "about 1.8 × 10¹⁹ free, fd00:")
	if cells, err := evaluate[int](w.tab, `document.querySelectorAll(".grid .cell").length`); err != nil || cells != 16 {
		t.Errorf("%d cells, %v", cells, err)
	}
}

// Of 65 536 addresses the page shows what is used, at once.
func TestLargePool(t *testing.T) {
	w := newWorld(t)
	w.needClass(false, "")
	pool := w.pool("large", "control-plane", "", 12, 60, fmt.Sprintf("172.%d.0.0/16", 16+subnets.Load()%16))
	w.cluster("first", "", "")
	w.visit("/?q=" + pool)
	w.tab.eventually("an address is used", `document.querySelectorAll('a.cell[data-state="control-plane"]').length === 1`)
	w.says("main", " of 65 536 free")
	const most = 2 * time.Second
	w.visit("/?q=" + pool)
	painted, err := evaluate[float64](w.tab, `performance.getEntriesByName("first-contentful-paint")[0].startTime`)
	if err != nil || time.Duration(painted)*time.Millisecond > most {
		t.Errorf("it is painted after %g ms, %v", painted, err)
	}
	if cells, err := evaluate[int](w.tab, `document.querySelectorAll(".grid .cell").length`); err != nil || cells > 16 {
		t.Errorf("%d cells, %v", cells, err)
	}
}
