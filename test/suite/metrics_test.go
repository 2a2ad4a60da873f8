package suite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

const metricPrefix = "capi_vip_allocator_"

// gauges are the series that vanish with what they show.
var gauges = []string{
	"pools_available", "pool_addresses_total", "pool_addresses_free", "pool_addresses_used",
	"claims_total", "claims_ready", "claims_pending", "waiting_clusters", "oldest_waiting_seconds", "class_gate",
}

func (w *world) series(p *allocator.Process) allocator.Series {
	w.t.Helper()
	series, err := p.Series(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return series
}

// shows waits until the allocator's own series have these values, all at once. The
// value above stands for any that is more than nothing.
func (w *world) shows(p *allocator.Process, want map[string]float64) {
	w.t.Helper()
	w.eventually("the metrics are as expected", func() error {
		series := w.series(p)
		for name, value := range want {
			got, exists := series[metricPrefix+name]
			if !exists || (got != value && (value != above || got <= 0)) {
				return fmt.Errorf("%s is %v (shown: %t), want %v", name, got, exists, value)
			}
		}
		return nil
	})
}

const above = -1

// hides waits until no gauge names the world's objects any more.
func (w *world) hides(p *allocator.Process) {
	w.t.Helper()
	w.eventually("the metrics have forgotten the world", func() error {
		for name := range w.series(p) {
			_, labels, _ := strings.Cut(strings.TrimPrefix(name, metricPrefix), "{")
			ours := strings.Contains(labels, `"`+w.namespace+`"`) || strings.Contains(labels, `"`+w.namespace+"-") || strings.Contains(labels, `"`+w.namespace+"/")
			if ours {
				return fmt.Errorf("there is %s", name)
			}
		}
		return nil
	})
}

// The gauges follow what exists and vanish with it; what is counted goes with the class.
func TestMetricsFollowTheObjects(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k), size(2)), w.pool(namespaced(), serving(ingress, k))
	p := w.startAllocator()
	of := func(metric string, r role) string {
		return fmt.Sprintf("%s{cluster_class=%q,role=%q}", metric, k.name, r)
	}
	addresses := func(metric, pool string) string { return fmt.Sprintf("pool_addresses_%s{pool_name=%q}", metric, pool) }
	claims := func(metric string, r role) string {
		return fmt.Sprintf("claims_%s{namespace=%q,role=%q}", metric, w.namespace, r)
	}
	inName := w.namespace + "/" + in.name
	w.shows(p, map[string]float64{
		of("pools_available", controlPlane): 1, of("pools_available", ingress): 1,
		addresses("total", cp.name): 2, addresses("free", cp.name): 2, addresses("used", cp.name): 0,
		addresses("total", inName): 20, addresses("free", inName): 20, addresses("used", inName): 0,
		"leader": 1, "held_clusters": 0, "oldest_held_seconds": 0, "panics_total": 0,
	})

	var crowd []*cluster
	for range 3 {
		crowd = append(crowd, w.cluster(k))
	}
	w.settled(crowd, 2)
	waits := fmt.Sprintf("{reason=%q,role=%q}", "PoolExhausted", controlPlane)
	w.shows(p, map[string]float64{
		of("pools_available", controlPlane): 0, of("pools_available", ingress): 1,
		addresses("total", cp.name): 2, addresses("free", cp.name): 0, addresses("used", cp.name): 2,
		addresses("free", inName): 17, addresses("used", inName): 3,
		claims("total", controlPlane): 2, claims("ready", controlPlane): 2, claims("pending", controlPlane): 0,
		claims("total", ingress): 3, claims("ready", ingress): 3, claims("pending", ingress): 0,
		"waiting_clusters" + waits: 1, "oldest_waiting_seconds" + waits: above,
		of("allocations_total", controlPlane): 2, of("allocations_total", ingress): 3,
		of("allocation_duration_seconds_count", controlPlane): 2, of("allocation_duration_seconds_sum", controlPlane): above,
		of("time_to_vip_seconds_count", controlPlane): 2, of("time_to_vip_seconds_sum", controlPlane): above,
		fmt.Sprintf("reconcile_total{cluster_class=%q,result=%q}", k.name, "success"):  above,
		fmt.Sprintf("reconcile_total{cluster_class=%q,result=%q}", k.name, "requeued"): above,
		fmt.Sprintf("reconcile_duration_seconds_count{cluster_class=%q}", k.name):      above,
	})

	// One that is paused is none of our business and waits for nothing.
	_, waiting := w.settled(crowd, 2)
	waiting[0].change(paused(true))
	w.eventually("nobody waits", func() error { return unshown(w.series(p), "waiting_clusters", "oldest_waiting_seconds") })

	for _, c := range crowd {
		c.change(paused(false))
		c.remove()
	}
	for _, c := range crowd {
		w.gone(observe.Clusters, w.namespace, c.name)
	}
	w.eventually("nobody waits", func() error { return unshown(w.series(p), "waiting_clusters", "oldest_waiting_seconds") })
	w.shows(p, map[string]float64{addresses("free", cp.name): 2, addresses("used", cp.name): 0, of("pools_available", controlPlane): 1})
	for _, pool := range []*pool{cp, in} {
		pool.uses(0) // or the provider's webhook keeps it
		pool.remove()
	}
	w.shows(p, map[string]float64{of("pools_available", controlPlane): 0, of("pools_available", ingress): 0})
	w.remove(observe.ClusterClasses, k.namespace, k.name, metav1.DeleteOptions{})
	w.hides(p)
}

// unshown expects no series of these metrics.
func unshown(series allocator.Series, metrics ...string) error {
	for name := range series {
		for _, metric := range metrics {
			if rest, ok := strings.CutPrefix(name, metricPrefix+metric); ok && (rest == "" || rest[0] == '{') {
				return fmt.Errorf("there is %s", name)
			}
		}
	}
	return nil
}

// like tells whether there is a series of that name, in which * stands for anything.
func like(series allocator.Series, pattern string) bool {
	before, after, _ := strings.Cut(pattern, "*")
	for name := range series {
		if strings.HasPrefix(name, before) && strings.HasSuffix(name, after) {
			return true
		}
	}
	return false
}

// Classes of one name in two namespaces are summed up; pools of one name in several
// places are told apart. A second series of the same labels would fail the scrape.
func TestMetricsOfNamesakes(t *testing.T) {
	w := newWorld(t)
	elsewhere := w.newNamespace()
	k := w.vipClass()
	other := w.vipClass(named(k.name), inNamespace(elsewhere))
	entries := annotated(poolClass, strings.Join([]string{k.name, w.namespace + "/" + k.name, elsewhere + "/" + k.name}, ","))
	global := w.pool(serving(controlPlane, k), entries, size(3))
	own := w.pool(namespaced(), named(global.name), serving(controlPlane, k), entries, size(4))
	theirs := w.pool(namespaced(), named(global.name), inNamespace(elsewhere), serving(controlPlane, k), entries, size(5))
	w.cluster(k).becomes(has(controlPlane, own.address(0)))
	w.cluster(other, inNamespace(elsewhere)).becomes(has(controlPlane, theirs.address(0)))
	total := func(pool string) string { return fmt.Sprintf("pool_addresses_total{pool_name=%q}", pool) }
	w.shows(w.shared, map[string]float64{
		total(global.name): 3, total(w.namespace + "/" + own.name): 4, total(elsewhere + "/" + theirs.name): 5,
		fmt.Sprintf("pools_available{cluster_class=%q,role=%q}", k.name, controlPlane):                3,
		fmt.Sprintf("allocations_total{cluster_class=%q,role=%q}", k.name, controlPlane):              2,
		fmt.Sprintf("class_gate{cluster_class=%q,role=%q,state=%q}", k.name, controlPlane, "ungated"): 2,
		fmt.Sprintf("claims_total{namespace=%q,role=%q}", w.namespace, controlPlane):                  1,
		fmt.Sprintf("claims_total{namespace=%q,role=%q}", elsewhere, controlPlane):                    1,
	})
}

// An address that was refused counts once, however often it is looked at.
func TestMetricsOfARefusedDuplicate(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), size(1))
	holder := w.cluster(k, labelled(watchFilterLabel, "nobody"), at(p.address(0), 6443))
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "AddressInUse", holder.name))
	for _, value := range []string{"a", "b"} {
		c.change(annotated("example.com/looked-at", value))
		w.barrier()
	}
	failures := func(reason string) string {
		return fmt.Sprintf("allocation_errors_total{cluster_class=%q,reason=%q,role=%q}", k.name, reason, controlPlane)
	}
	w.shows(w.shared, map[string]float64{failures("duplicate_refused"): 1})
	if got, shown := w.series(w.shared)[metricPrefix+failures("ip_resolution_failed")]; shown {
		t.Errorf("it also counts as ip_resolution_failed: %v", got)
	}
}

// Each step of an allocation that fails is counted as what it is, and done again.
func TestMetricsOfFailedSteps(t *testing.T) {
	w := newWorld(t)
	proxy, err := fault.Start(w.management.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	kubeconfig, err := proxy.WriteKubeconfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := w.startAllocatorAt(kubeconfig)
	k := w.class(declares("ingressVip", text))
	first := w.pool(serving(ingress, k), size(1))
	// Both could hand out the address, so that a Lease decides.
	w.pool(serving(ingress, w.class()), ranges(first.address(0)))
	for _, match := range []fault.Match{
		fault.In(w.namespace, fault.Of("create", "ipaddressclaims")), fault.In(w.namespace, fault.Of("patch", "clusters")),
		fault.In(w.namespace, fault.Of("delete", "ipaddressclaims")), fault.In(allocator.Namespace, fault.Of("create", "leases")),
	} {
		proxy.Add(fault.Rule{Match: match, Nth: 1, Refuse: &fault.Refusal{Code: 503, Message: "on purpose"}})
	}
	c := w.cluster(k)
	c.becomes(has(ingress, first.address(0)))
	c.change(annotated(ingress.enabled(), "false"))
	c.becomes(reason(ingress, "Disabled"))
	want := map[string]float64{}
	for _, reason := range []string{"claim_creation_failed", "lease_failed", "cluster_patch_failed", "claim_release_failed"} {
		want[fmt.Sprintf("allocation_errors_total{cluster_class=%q,reason=%q,role=%q}", k.name, reason, ingress)] = 1
	}
	want[fmt.Sprintf("reconcile_total{cluster_class=%q,result=%q}", k.name, "error")] = above
	w.shows(p, want)
	w.gone(observe.Claims, w.namespace, ingress.claim(c.name))
}

// Only the leader shows objects, or each would count several times; every replica
// says whether it leads and what it is.
func TestMetricsOfAStandby(t *testing.T) {
	w := newWorld(t)
	all := w.replicas(2)
	w.shows(all[0], map[string]float64{"leader": 1, "held_clusters": 0})
	w.shows(all[1], map[string]float64{"leader": 0})
	if err := unshown(w.series(all[1]), append(slices.Clone(gauges), "held_clusters", "oldest_held_seconds")...); err != nil {
		t.Errorf("a standby: %v", err)
	}
	for _, p := range all {
		if !like(w.series(p), metricPrefix+`build_info{go_version="go*}`) {
			t.Error("there is no build_info")
		}
	}
	if code, err := all[0].Stop(); code != 0 || err != nil {
		t.Errorf("the leader ended with code %d: %v", code, err)
	}
	w.shows(all[1], map[string]float64{"leader": 1, "held_clusters": 0})
}
