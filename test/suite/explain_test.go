package suite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// What explain finds out by itself is what the controller says on the Cluster, in
// whatever state that is.
func TestExplainAgreesWithTheController(t *testing.T) {
	for want, scene := range map[string]func(w *world, k *class) *cluster{
		"Allocated": func(w *world, k *class) *cluster {
			w.pool(serving(controlPlane, k))
			return w.cluster(k)
		},
		"NoPool": func(w *world, k *class) *cluster { return w.cluster(k) },
		"PoolExhausted": func(w *world, k *class) *cluster {
			w.pool(serving(controlPlane, k), size(1)).take("taken")
			return w.cluster(k)
		},
		"PoolPaused": func(w *world, k *class) *cluster {
			w.draftPool(serving(controlPlane, k), annotated(pausedAnnotation, "")).createUncounted()
			return w.cluster(k)
		},
		"PoolNotAllowed": func(w *world, k *class) *cluster {
			w.pool(serving(controlPlane, k), namespacedOnly("elsewhere"))
			return w.cluster(k)
		},
		"PoolFiltered": func(w *world, k *class) *cluster {
			w.pool(serving(controlPlane, k))
			return w.cluster(k, annotated(controlPlane.poolFilter(), "another"))
		},
		"ClaimForeign": func(w *world, k *class) *cluster {
			p := w.pool(serving(controlPlane, k))
			p.take(controlPlane.claim("web"))
			return w.cluster(k, named("web"))
		},
		"AddressInUse": func(w *world, k *class) *cluster {
			p := w.pool(serving(controlPlane, k), size(1))
			w.cluster(k, labelled(watchFilterLabel, "nobody"), at(p.address(0), 6443))
			return w.cluster(k)
		},
		"Manual":   func(w *world, k *class) *cluster { return w.cluster(k, at(newIP(), 6443)) },
		"Disabled": func(w *world, k *class) *cluster { return w.cluster(k, annotated(controlPlane.enabled(), "false")) },
		"VariableRefused": func(w *world, k *class) *cluster {
			refusing := text
			refusing.Pattern = "^never$"
			k.change(declares("clusterVip", refusing))
			w.pool(serving(controlPlane, k))
			return w.cluster(k)
		},
		"PatchRefused": func(w *world, k *class) *cluster {
			ruled := text
			ruled.XValidations = []clusterv1.ValidationRule{{Rule: "self.startsWith('192.')", Message: "only 192 will do"}}
			k.change(declares("clusterVip", ruled))
			w.pool(serving(controlPlane, k))
			return w.cluster(k)
		},
	} {
		t.Run(want, func(t *testing.T) {
			w := newWorld(t)
			c := scene(w, w.class(declares("clusterVip", text)))
			c.becomes(reason(controlPlane, want))
			source := "planned"
			if want == "PatchRefused" {
				source = "reported" // only who tried knows
			}
			w.eventually("explain says the same", func() error {
				e := c.explain()
				condition := conditionOf(c.now(), controlPlane)
				r := e.role(controlPlane)
				switch {
				case !e.Served || e.Controller.State != "found" || e.Controller.Settings.WatchFilter != sharedFilter:
					return fmt.Errorf("it says %+v", e)
				case r.Source != source || r.Reason != want || r.Ready != ready[want] || !r.agrees(condition):
					return fmt.Errorf("it says %+v, the condition says %s", r, condition)
				case len(r.ToDo) > 0 || (r.Next == "") != r.Ready || r.Reported == nil || r.Reported.Reason != want:
					return fmt.Errorf("it says %+v", r)
				case e.role(ingress).Applies || len(e.NotVisible) > 0:
					return fmt.Errorf("it says %+v", e)
				}
				return nil
			})
		})
	}
}

// For people it is one page: what is so, where it stands, and every pool that was considered.
func TestExplainInWords(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	first := w.pool(serving(controlPlane, k), annotated(poolPriority, "1"))
	second := w.draftPool(serving(controlPlane, k), annotated(pausedAnnotation, ""))
	second.createUncounted()
	c := w.cluster(k)
	c.becomes(has(controlPlane, first.address(0)), reason(ingress, "NoPool"))
	output, err := w.cli("", "explain", c.name, "-n", c.namespace)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(output, "\n")
	for _, words := range []string{
		"Cluster " + c.namespace + "/" + c.name, "Class " + k.namespace + "/" + k.name, "Served yes",
		"control-plane Allocated " + first.address(0), "endpoint " + first.address(0) + ":6443",
		"variable clusterVip = " + first.address(0) + ", written by the allocator", "stamp " + first.address(0) + ", annotation and label",
		"claim " + controlPlane.claim(c.name) + " on GlobalInClusterIPPool " + first.name, "gate ungated: no patch",
		"pools 1. GlobalInClusterIPPool " + first.name + " 19 of 20 free the claim is on it",
		"2. GlobalInClusterIPPool " + second.name, "ingress NoPool", "next kubectl annotate globalinclusterippool",
		"claim none", "pools no usable pool", "closest GlobalInClusterIPPool",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool {
			return strings.HasPrefix(strings.Join(strings.Fields(line), " "), words)
		}) {
			t.Errorf("no line begins with %q in\n%s", words, output)
		}
	}
}

// Clusters that are none of the allocator's business are said to be so, and why.
func TestExplainSkipped(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	for why, c := range map[string]*cluster{
		"is paused (spec.paused)":           w.cluster(k, paused(true)),
		`--watch-filter "` + sharedFilter:   w.cluster(k, labelled(watchFilterLabel, "another")),
		"is paused (annotation cluster.x-k": w.cluster(k, annotated(pausedAnnotation, "true")),
		"has no spec.topology": w.cluster(nil, clusterFunc(func(c *clusterv1.Cluster) {
			c.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "DemoCluster", Name: "none"}
		})),
	} {
		if e := c.explain(); e.Served || !strings.Contains(e.Skipped, why) || e.role(controlPlane).Applies {
			t.Errorf("want %s, it says %+v", why, e)
		}
	}
}

// Nobody runs who could have done anything yet.
func TestExplainWhileTheControllerIsDown(t *testing.T) {
	w := newWorld(t)
	w.filter = w.namespace
	k := w.vipClass()
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k)
	e := c.explain("--watch-filter=" + w.filter)
	cp, in := e.role(controlPlane), e.role(ingress)
	if cp.Reason != "ClaimPending" || cp.Reported != nil || len(cp.ToDo) != 1 || !strings.Contains(cp.ToDo[0], "make claim "+controlPlane.claim(c.name)+" on GlobalInClusterIPPool "+p.name) {
		t.Errorf("it says %+v", cp)
	}
	if in.Reason != "NoPool" || in.Reported != nil || in.Next == "" {
		t.Errorf("it says %+v", in)
	}
	if output, err := w.cli("", "explain", c.name, "-n", c.namespace, "--watch-filter="+w.filter); err != nil || !strings.Contains(output, "0 of 2 replicas ready") {
		t.Errorf("%v, it prints %s", err, output)
	}
	w.startAllocator()
	c.becomes(has(controlPlane, p.address(0)))
	if e := c.explain("--watch-filter=" + w.filter); e.role(controlPlane).Reason != "Allocated" || len(e.role(controlPlane).ToDo) > 0 {
		t.Errorf("it says %+v", e.role(controlPlane))
	}
}

// A user who sees less is told less, and what is missing, but never an error.
func TestExplainToUserWhoSeesClustersOnly(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	served, waiting := w.cluster(k), w.cluster(k, annotated(controlPlane.poolFilter(), "another"))
	served.becomes(has(controlPlane, p.address(0)))
	waiting.becomes(reason(controlPlane, "PoolFiltered"))
	user := w.user("clusters-only", `{apiGroups: [cluster.x-k8s.io], resources: [clusters], verbs: [get, list]}`)

	e := served.explainTo(user)
	if r := e.role(controlPlane); r.Source != "reported" || r.Reason != "Allocated" || r.VIP != p.address(0) || e.ClassState != "not visible" {
		t.Errorf("it says %+v", e)
	}
	if r := waiting.explainTo(user).role(controlPlane); r.Source != "reported" || r.Reason != "PoolFiltered" || r.Next == "" {
		t.Errorf("it says %+v", r)
	}
	// The controller's own rights suffice for everything.
	if e := served.explainTo(w.kubeconfig); e.role(controlPlane).Source != "planned" || len(e.NotVisible) > 0 {
		t.Errorf("it says %+v", e)
	}
	var unseen []string
	for _, u := range e.NotVisible {
		if u.Why != "forbidden" {
			t.Errorf("it says %+v", u)
		}
		unseen = append(unseen, u.Kind)
	}
	slices.Sort(unseen)
	if want := []string{"ClusterClass", "Deployment", "GlobalInClusterIPPool", "IPAddress", "IPAddressClaim", "InClusterIPPool", "Lease"}; !slices.Equal(unseen, want) {
		t.Errorf("not visible are %q, want %q", unseen, want)
	}
	output, err := w.cli(user, "explain", served.name, "-n", served.namespace)
	if err != nil || !strings.Contains(output, "not visible (forbidden)") || !strings.Contains(output, "as the controller reported it") {
		t.Errorf("%v, it prints %s", err, output)
	}
	if output, err = w.cli(user, "pools"); err != nil || !strings.Contains(output, "not visible: GlobalInClusterIPPool (forbidden)") {
		t.Errorf("%v, it prints %s", err, output)
	}
}

// A tenant sees the own namespace, and that is said too.
func TestExplainToUserOfOneNamespace(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), namespaced())
	c := w.cluster(k)
	c.becomes(has(controlPlane, p.address(0)))
	user := w.tenant("tenant", `{apiGroups: ["*"], resources: ["*"], verbs: [get, list]}`)
	e := c.explainTo(user)
	r := e.role(controlPlane)
	if r.Source != "reported" || r.Claim == nil || r.Claim.Address != p.address(0) || len(r.Pools) != 1 || !r.Pools[0].Claimed || e.ClassState != "ready" {
		t.Errorf("it says %+v", e)
	}
	if output, err := w.cli(user, "pools", p.name, "-n", w.namespace); err != nil || !strings.Contains(output, c.namespace+"/"+c.name) {
		t.Errorf("%v, it prints %s", err, output)
	}
}

// An address that somebody else's claim holds is nobody's of ours.
func TestExplainForeignClaim(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	address := p.take(controlPlane.claim("web"))
	c := w.cluster(k, named("web"))
	c.becomes(reason(controlPlane, "ClaimForeign"))
	r := c.explain().role(controlPlane)
	if r.Claim == nil || r.Claim.Owned || r.Claim.Address != address || !strings.Contains(r.Next, "kubectl delete ipaddressclaim "+controlPlane.claim("web")) {
		t.Errorf("it says %+v", r)
	}
	if claim := fetch[ipamv1.IPAddressClaim](w, observe.Claims, w.namespace, controlPlane.claim("web")); claim == nil || claim.DeletionTimestamp != nil {
		t.Error("the claim is gone")
	}
	w.remove(observe.Claims, w.namespace, controlPlane.claim("web"), metav1.DeleteOptions{})
	c.becomes(reason(controlPlane, "Allocated"))
}
