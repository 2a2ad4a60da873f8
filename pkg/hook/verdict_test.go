package hook

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// passes is the verdict that lets a Cluster be built.
const passes = ""

func TestVerdict(t *testing.T) {
	both := []vip.Pool{newPool(t, "k", vip.ControlPlane), newPool(t, "k", vip.Ingress)}
	full := newClass(t, "k", "clusterVip", "ingressVip")
	mute := newClass(t, "k", "clusterVip", "ingressVip")
	mute.Spec.Patches = nil
	switched := newClass(t, "k", "clusterVip", "ingressVip")
	switched.Spec.Patches[1].EnabledIf = `{{ eq .builtin.cluster.name "another" }}`
	defaulted := newClass(t, "k", "clusterVip")
	defaulted.Status.Variables[0].Definitions[0].Schema.OpenAPIV3Schema.Default.Raw = []byte(`"10.0.0.1"`)
	stale := newClass(t, "k", "clusterVip")
	stale.Generation = 2
	bare := newClass(t, "k")
	cp, in := "waiting for the control-plane VIP: ", "waiting for the ingress VIP: "

	for _, test := range []struct {
		name     string
		class    *clusterv1.ClusterClass
		pools    []vip.Pool
		settings vip.Settings
		options  []func(*clusterv1.Cluster)
		// want is what the answer begins with, or contains where it starts with "…".
		want []string
	}{
		{name: "nothing is there yet", class: full, pools: both, want: []string{cp + inProgress, "…" + in + inProgress}},
		{name: "only the endpoint", class: full, pools: both, options: list(withEndpoint("10.0.0.1")), want: []string{cp, "…" + in}},
		{
			name: "the control plane's alone", class: full, pools: both,
			options: list(withEndpoint("10.0.0.1"), withVariable("clusterVip", "10.0.0.1")), want: []string{in},
		},
		{
			name: "the variable without the endpoint", class: full, pools: both,
			options: list(withVariable("clusterVip", "10.0.0.1"), withVariable("ingressVip", "10.0.0.2")), want: []string{cp},
		},
		{
			name: "both", class: full, pools: both,
			options: list(withEndpoint("10.0.0.1"), withVariable("clusterVip", "10.0.0.1"), withVariable("ingressVip", "10.0.0.2")),
		},
		{
			name: "an empty variable is none", class: full, pools: both,
			options: list(withEndpoint("10.0.0.1"), withVariable("clusterVip", ""), withVariable("ingressVip", "")), want: []string{cp, "…" + in},
		},
		{
			name: "ingress is switched off", class: full, pools: both,
			options: list(withEndpoint("10.0.0.1"), withVariable("clusterVip", "10.0.0.1"), withAnnotation(vip.Ingress.EnabledAnnotation(), "false")),
		},
		{name: "no patch reads the variables", class: mute, pools: both},
		{
			name: "the patch for ingress is not enabled", class: switched, pools: both,
			options: list(withEndpoint("10.0.0.1"), withVariable("clusterVip", "10.0.0.1")),
		},
		{name: "no variable, a pool names the class", class: bare, pools: both, want: []string{cp}},
		{name: "no variable, the endpoint is there", class: bare, pools: both, options: list(withEndpoint("10.0.0.1"))},
		{name: "no variable, no pool: none of our business", class: bare},
		{name: "the pool is for another class", class: bare, pools: []vip.Pool{newPool(t, "other", vip.ControlPlane)}},
		{name: "no pool", class: full, want: []string{cp + texts[vip.NoPool], "…" + in + texts[vip.NoPool]}},
		{
			name: "the class's own default is no VIP", class: defaulted, pools: both,
			options: list(withEndpoint("10.0.0.9"), withVariable("clusterVip", "10.0.0.1")), want: []string{cp},
		},
		{
			name: "unless it is the VIP", class: defaulted, pools: both,
			options: list(withEndpoint("10.0.0.1"), withVariable("clusterVip", "10.0.0.1"), withAnnotation(vip.Ingress.EnabledAnnotation(), "false")),
		},
		{name: "the class is unknown", pools: both, want: []string{waitClass}},
		{name: "the class's variables are not reconciled", class: stale, pools: both, want: []string{waitClass}},
		{name: "no topology", class: full, pools: both, options: list(func(c *clusterv1.Cluster) { c.Spec.Topology = clusterv1.Topology{} })},
		{name: "being deleted", class: full, pools: both, options: list(func(c *clusterv1.Cluster) {
			c.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		})},
		{name: "paused", class: full, pools: both, options: list(withAnnotation(vip.PausedAnnotation, "")), want: []string{waitPaused}},
		{name: "outside --namespace", class: full, pools: both, settings: vip.Settings{Namespace: "elsewhere"}},
		{name: "outside --watch-filter", class: full, pools: both, settings: vip.Settings{WatchFilter: "mine"}},
		{name: "unknown class outside --watch-filter", pools: both, settings: vip.Settings{WatchFilter: "mine"}},
		{name: "owned by Rancher", class: full, pools: both, options: list(func(c *clusterv1.Cluster) {
			c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "provisioning.cattle.io/v1", Kind: "Cluster", Name: "one"}}
		})},
	} {
		t.Run(test.name, func(t *testing.T) {
			observer := &fakeObserver{classes: map[string]*clusterv1.ClusterClass{}, pools: test.pools, settings: test.settings}
			if test.class != nil {
				observer.classes["k"] = test.class
			}
			snapshot, _ := observer.Observe(newCluster("k", test.options...))
			got := verdict(snapshot)
			if len(test.want) == 0 && got != passes {
				t.Errorf("it waits: %s", got)
			}
			for _, want := range test.want {
				fragment, anywhere := strings.CutPrefix(want, "…")
				if !strings.HasPrefix(got, want) && (!anywhere || !strings.Contains(got, fragment)) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
}

func list[T any](items ...T) []T { return items }

// A VIP that is on its way goes through several reasons; Cluster API must see one
// message all the time, or it writes the Cluster for each.
func TestTheMessageStaysWhileAVIPIsOnItsWay(t *testing.T) {
	pool := newPool(t, "k", vip.ControlPlane)
	observer := &fakeObserver{classes: map[string]*clusterv1.ClusterClass{"k": newClass(t, "k", "clusterVip")}, pools: []vip.Pool{pool}}
	pending := &vip.Claim{Name: "vip-cp-one", OwnerUIDs: []string{"u-1"}, Role: vip.ControlPlane, Pool: pool.Ref}
	bound := *pending
	bound.Bound = true
	known := bound
	known.Address = &vip.Address{Name: "vip-cp-one", Text: "10.0.0.1", Claim: "vip-cp-one", Pool: pool.Ref}
	seen := map[string]bool{}
	for _, claim := range []*vip.Claim{nil, pending, &bound, &known} {
		observer.claims = map[vip.Role]*vip.Claim{vip.ControlPlane: claim}
		snapshot, _ := observer.Observe(newCluster("k"))
		seen[verdict(snapshot)] = true
	}
	if len(seen) != 1 || seen[passes] {
		t.Errorf("the messages are %v", seen)
	}
}

// Every reason has a text of its own, which holds no name that could change.
func TestEveryReasonHasAText(t *testing.T) {
	for _, reason := range vip.Reasons() {
		switch reason {
		case vip.Disabled, vip.VariableInUse, vip.ClassNotFound, vip.ClassNotReady, vip.PatchRefused:
			continue // never what a Cluster waits for here
		}
		if texts[reason] == "" {
			t.Errorf("%s has none", reason)
		}
	}
}
