package rancher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// quickly is how soon after its time something is done. On a busy machine an event takes its time.
const quickly = 5 * time.Second

// reached waits until the target has the ingress VIP.
func (o *object) reached(address string) {
	o.w.t.Helper()
	o.becomes(stamped(observe.Ingress, address))
}

// Rancher imports a Cluster long after its VIPs are known. Release takes them away.
func TestVIPsReachRancher(t *testing.T) {
	w := newWorld(t)
	c, ingress, controlPlane := w.known("prod")
	target := w.rancher(c, nil)
	rest := target.rest()
	target.reached(ingress)
	target.is(stamped(observe.ControlPlane, controlPlane))

	c.annotate(observe.IngressEnabled, "false")
	target.becomes(func(o *unstructured.Unstructured) error {
		if o.GetAnnotations()[observe.IngressVIP]+o.GetLabels()[observe.IngressVIP]+o.GetLabels()[observe.HasIngressVIP] != "" {
			return fmt.Errorf("the ingress stamp is there: %v, %v", o.GetLabels(), o.GetAnnotations())
		}
		return stamped(observe.ControlPlane, controlPlane)(o)
	})
	c.annotate(observe.IngressEnabled, "null")
	target.reached(c.vip(observe.Ingress))
	target.written(3)

	c.delete()
	c.gone()
	target.becomes(bare)
	target.written(4)
	if after := target.rest(); after != rest {
		t.Errorf("more was changed than our keys: it was\n%s\nand is\n%s", rest, after)
	}
}

// An IPv6 address is no legal label value; templates read the annotation, selectors
// the label that says that there is one.
func TestIPv6(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("2001:db8::5"))
	target := w.rancher(c, nil)
	target.reached("2001:db8::5")
	c.annotate(observe.IngressVIP, "10.0.0.5")
	target.reached("10.0.0.5")
	c.annotate(observe.IngressVIP, "2001:db8::6")
	target.reached("2001:db8::6")
	target.written(3)
}

// A Cluster that Fleet knows by itself, without Rancher.
func TestVIPsReachARegisteredFleetCluster(t *testing.T) {
	w := newWorld(t)
	c, ingress, _ := w.known("prod")
	target := w.fleet(w.workspace, "edge", asking(c))
	rest := target.rest()
	target.reached(ingress)
	target.merge(fmt.Sprintf(`{"metadata":{"labels":{%q:null,%q:null}}}`, fleetName, fleetNamespace))
	target.becomes(bare)
	target.written(2)
	if after := target.rest(); after != rest {
		t.Errorf("more was changed than our keys: it was\n%s\nand is\n%s", rest, after)
	}
}

// Turtles may leave Fleet to CAAPF; then Rancher makes no Fleet Cluster and one that
// was registered by hand is stamped beside it.
func TestRancherWithoutWorkspace(t *testing.T) {
	w := newWorld(t)
	// Rancher takes anything but "false" for yes.
	for name, managed := range map[string]string{"prod": "true", "other": "yes"} {
		c := w.cluster(name, ingressAt("10.0.0.5"))
		w.rancher(c, map[string]string{externallyManaged: managed}).reached("10.0.0.5")
		w.fleet(w.workspace, name, asking(c)).reached("10.0.0.5")
	}
}

// A Cluster that is imported keeps what Fleet deploys to it: Rancher makes its own Fleet
// Cluster long after the Rancher Cluster. Once that one has the VIP, Rancher is the way to
// Fleet, and the other one is told so.
func TestRancherBesideARegisteredFleetCluster(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	edge := w.fleet(w.workspace, "edge", asking(c))
	edge.reached("10.0.0.5")
	target := w.rancher(c, nil)
	target.reached("10.0.0.5")
	w.barrier()
	edge.is(stamped(observe.Ingress, "10.0.0.5"))
	c.annotate(observe.IngressVIP, "10.0.0.6")
	edge.reached("10.0.0.6")
	target.reached("10.0.0.6")
	edge.written(2)
	if err := w.ranchers(target)(t.Context()); err != nil {
		t.Fatal(err)
	}
	edge.becomes(bare)
	w.told("prod", "Fleet Cluster "+w.workspace+"/edge", "Rancher Cluster "+target.name)
	edge.written(3)
	// Whoever comes after Rancher gets nothing.
	late := w.fleet(w.workspace, "late", asking(c))
	w.told("prod", "Fleet Cluster "+w.workspace+"/late")
	late.is(bare)
	late.written(0)
}

// Fleet that gets a label back while it still removes what it deployed by it may wait for
// values that it has removed itself.
func TestALabelComesBackWithoutHaste(t *testing.T) {
	const recovery = 10 * time.Second
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	edge := w.fleet(w.workspace, "edge", asking(c))
	edge.reached("10.0.0.5")
	began := time.Now()
	edge.merge(`{"metadata":{"labels":{"vip.capi.gorizond.io/has-ingress-vip":null}}}`)
	edge.becomes(stamped(observe.Ingress, "10.0.0.5"))
	if took := time.Since(began); took < recovery || took > recovery+quickly {
		t.Errorf("it was back after %s, want %s", took, recovery)
	}
	edge.written(2)
}

// A tenant cannot have the VIPs of others by asking for them.
func TestATenantsFleetClusterGetsNothing(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	tenant := w.fleet(w.namespace, "evil", asking(c))
	before := tenant.text()
	w.told("prod", "Fleet Cluster "+w.namespace+"/evil", "--fleet-workspaces")
	if after := tenant.text(); after != before {
		t.Errorf("it was changed: %s, before %s", after, before)
	}
	tenant.written(0)
	if said := w.said("prod"); len(said) != 1 {
		t.Errorf("it is told %d times: %q", len(said), said)
	}
}

// Where two say that they are the Cluster nobody gets a VIP, until one is gone.
func TestSeveralTargets(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", nil)
	one, other := w.rancher(c, nil), w.rancher(c, nil)
	c.annotate(observe.IngressVIP, "10.0.0.5")
	w.told("prod", one.name, other.name)
	one.is(bare)
	other.is(bare)
	// Its finalizer keeps it, and it no longer counts.
	one.delete()
	other.reached("10.0.0.5")
	one.written(0)
	other.written(1)
}

// A newcomer that names a Cluster which has its target takes nothing from that one, at the
// next VIP neither.
func TestANewcomerTakesNothing(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	rightful := w.fleet(w.workspace, "rightful", asking(c))
	rightful.reached("10.0.0.5")
	newcomer := w.fleet(w.workspace, "a-newcomer", asking(c))
	w.told("prod", "rightful, which had its stamps first, keeps them")
	c.annotate(observe.IngressVIP, "10.0.0.6")
	rightful.reached("10.0.0.6")
	newcomer.is(bare)
	newcomer.written(0)
}

// One refusal, as a restarting API server gives them, ends nothing.
func TestOneRefusalEndsNothing(t *testing.T) {
	w := newWorld(t)
	config, err := clientcmd.BuildConfigFromFlags("", w.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := fault.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	kubeconfig, err := proxy.WriteKubeconfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cattle := func(q fault.Request) bool { return strings.HasSuffix(q.Group, "cattle.io") }
	p := w.start(kubeconfig)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	target := w.rancher(c, nil)
	target.reached("10.0.0.5")
	// Its watches break, and every request is refused for a moment.
	refused := proxy.Add(fault.Rule{Match: cattle, Refuse: &fault.Refusal{Code: 403, Reason: "Forbidden"}})
	proxy.Cut(cattle)
	unreadable := func(want float64) {
		t.Helper()
		w.eventually(fmt.Sprintf("the metric says %v", want), func() error {
			series, err := p.Series(t.Context())
			if err != nil {
				return err
			}
			for _, kind := range []string{"Rancher Cluster", "Fleet Cluster"} {
				if got := series[fmt.Sprintf("capi_vip_allocator_propagation_unreadable{kind=%q}", kind)]; got != want {
					return fmt.Errorf("of a %s it is %v", kind, got)
				}
			}
			return nil
		})
	}
	unreadable(1)
	refused.Remove()
	unreadable(0)
	c.annotate(observe.IngressVIP, "10.0.0.6")
	target.reached("10.0.0.6")
}

// What somebody else wrote under our keys is theirs, until they take it away.
func TestAForeignValue(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", nil)
	target := w.rancher(c, nil)
	target.merge(`{"metadata":{"labels":{"vip.capi.gorizond.io/ingress-vip":"10.9.9.9"}}}`)
	before := target.text()
	c.annotate(observe.IngressVIP, "10.0.0.5")
	w.told("prod", "10.9.9.9", target.name)
	if after := target.text(); after != before {
		t.Errorf("it was changed: %s, before %s", after, before)
	}
	target.merge(`{"metadata":{"labels":{"vip.capi.gorizond.io/ingress-vip":null}}}`)
	target.reached("10.0.0.5")
	target.written(1)
}

// Whoever edits a Cluster must not be able to write anything into the templates of
// those who deploy to it.
func TestAnOddAnnotationIsNotCarried(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5\ninjected: true"))
	target := w.rancher(c, nil)
	w.told("prod", "neither an IP address nor a host name")
	target.is(bare)
	target.written(0)
}

// A GitOps tool strips the stamp of a Cluster and the allocator restores it: Fleet,
// which would uninstall meanwhile, sees nothing of that.
func TestAStrippedStampIsNotWithdrawn(t *testing.T) {
	w := newWorld(t)
	c, ingress, _ := w.known("prod")
	target := w.rancher(c, nil)
	target.reached(ingress)
	for range 3 {
		c.merge(`{"metadata":{"annotations":{"vip.capi.gorizond.io/ingress-vip":null},"labels":{"vip.capi.gorizond.io/ingress-vip":null,"vip.capi.gorizond.io/has-ingress-vip":null}}}`)
		c.becomes(stamped(observe.Ingress, ingress))
	}
	w.barrier()
	target.is(stamped(observe.Ingress, ingress))
	target.written(1)
}

// A paused Cluster, and one that is being deleted, rest in Rancher too.
func TestAPausedClusterRests(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	target := w.rancher(c, nil)
	target.reached("10.0.0.5")
	c.merge(`{"spec":{"paused":true},"metadata":{"annotations":{"vip.capi.gorizond.io/ingress-vip":"10.0.0.6"}}}`)
	w.barrier()
	target.is(stamped(observe.Ingress, "10.0.0.5"))
	c.merge(`{"spec":{"paused":false}}`)
	target.reached("10.0.0.6")
	target.written(2)
}

// The Rancher Cluster of one Cluster is named as that of another: it gets what that has.
func TestATargetThatChangesHands(t *testing.T) {
	w := newWorld(t)
	a, b := w.cluster("a", ingressAt("10.0.0.5")), w.cluster("b", ingressAt("10.0.0.6"))
	target := w.rancher(a, nil)
	target.reached("10.0.0.5")
	target.merge(fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, importedName, b.name))
	target.reached("10.0.0.6")
	target.merge(fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, importedName))
	target.becomes(bare)
	target.written(3)
}

// barrier returns when whatever happened before has been handled: a Rancher Cluster
// that was made now has its VIP.
func (w *world) barrier() {
	w.t.Helper()
	w.barrierOf(w.filter)
}

// barrierOf is barrier for the allocator that serves the watch-filter value.
func (w *world) barrierOf(filter string) {
	w.t.Helper()
	own := w.filter
	w.filter = filter
	defer func() { w.filter = own }()
	name := fmt.Sprintf("barrier-%d", w.mark())
	w.rancher(w.cluster(name, ingressAt("10.0.0.99")), nil).becomes(stamped(observe.Ingress, "10.0.0.99"))
}

// Rancher and Fleet write the status of theirs all the time, Cluster API that of its
// Clusters. None of that is a reason for a write, and objects of others never are.
func TestSteadyState(t *testing.T) {
	w := newWorld(t)
	c := w.cluster("prod", ingressAt("10.0.0.5"))
	target := w.rancher(c, nil)
	target.reached("10.0.0.5")
	strangers := []*object{
		w.rancher(&object{namespace: "elsewhere", name: "nobody"}, nil),
		w.fleet(w.workspace, "stranger", map[string]string{"env": "test"}),
		w.fleet(w.workspace, target.name, map[string]string{derived: target.name, "vip.capi.gorizond.io/ingress-vip": "10.0.0.5"}),
	}
	var before []string
	for _, stranger := range strangers {
		before = append(before, stranger.text())
	}
	since := w.mark()
	for i := range 50 {
		target.merge(fmt.Sprintf(`{"status":{"heartbeat":%d},"metadata":{"annotations":{"lifecycle.cattle.io/heartbeat":"%d"}}}`, i, i))
		c.annotate("example.com/heartbeat", fmt.Sprint(i))
	}
	w.barrier()
	if writes := target.writes(since); len(writes) > 0 {
		t.Errorf("writes in steady state: %+v", writes)
	}
	for i, stranger := range strangers {
		if after := stranger.text(); after != before[i] {
			t.Errorf("it was changed: %s, before %s", after, before[i])
		}
		stranger.written(0)
	}
}
