package suite

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A thousand passes over Clusters that have their VIPs, and over Clusters that wait for
// them, write nothing: no patch, no condition, no event. What wakes them is whatever
// concerns them from afar: their class, their pool, and themselves.
func TestThousandPassesWriteNothing(t *testing.T) {
	w := newWorld(t)
	p := w.startAllocator("--log-level=info")
	k := w.class(declares("clusterVip", text))
	pool := w.pool(serving(controlPlane, k))
	manualIP := newIP()
	unserved := labelled(watchFilterLabel, "nobody")
	crowd := map[string][]*cluster{}
	add := func(reason string, c *cluster) { crowd[reason] = append(crowd[reason], c) }
	// Each reason by itself, so that a message that is not the same twice is found out.
	for range 4 {
		add("Allocated", w.cluster(k))
	}
	add("Manual", w.cluster(k, at(manualIP, 6443)))
	add("Manual", w.cluster(k, at("api.example.com", 6443)))
	add("Disabled", w.cluster(k, annotated(controlPlane.enabled(), "false")))
	duplicate := w.cluster(k)
	duplicate.becomes(reason(controlPlane, "Allocated"))
	w.cluster(k, unserved, at(duplicate.address(controlPlane), 6443))
	add("DuplicateAddress", duplicate)
	for range 4 {
		add("PoolFiltered", w.cluster(k, annotated(controlPlane.poolFilter(), "none")))
	}
	foreign := "web"
	pool.take(controlPlane.claim(foreign))
	add("ClaimForeign", w.cluster(k, named(foreign)))
	full := w.pool(serving(controlPlane, k), size(1), annotated(poolPriority, "-1"))
	full.take("taken")
	add("PoolExhausted", w.cluster(k, annotated(controlPlane.poolFilter(), full.name)))
	halted := w.draftPool(serving(controlPlane, k), annotated(pausedAnnotation, ""), annotated(poolPriority, "-1"))
	halted.createUncounted()
	add("PoolPaused", w.cluster(k, annotated(controlPlane.poolFilter(), halted.name)))

	var all []*cluster
	for want, some := range crowd {
		for _, c := range some {
			c.becomes(reason(controlPlane, want))
			w.eventually("the event is written", func() error { return c.told(kindOf(want)+" "+want, string(controlPlane)) })
			all = append(all, c)
		}
	}
	w.rest(all...)
	before := map[*cluster][]metav1.Condition{}
	for _, c := range all {
		before[c] = ours(c.now().Status.Conditions)
	}
	counted := func() (passes, success, requeued float64) {
		series := w.series(p)
		of := func(result string) float64 {
			return series[metricPrefix+fmt.Sprintf("reconcile_total{cluster_class=%q,result=%q}", k.name, result)]
		}
		return of("success") + of("requeued"), of("success"), of("requeued")
	}
	wakes := []func(n int){
		func(n int) { k.touch(n) },
		func(n int) { pool.change(annotated("example.com/touched", fmt.Sprint(n))) },
		func(n int) {
			for _, c := range all {
				w.merge(observe.Clusters, c.namespace, c.name, fmt.Sprintf(`{"metadata":{"labels":{"example.com/touched":"t%d"}}}`, n))
			}
		},
	}
	const enough = 1000
	since := w.mark()
	first, firstSuccess, firstRequeued := counted()
	passes, rounds := first, 0
	for ; passes < first+enough; rounds++ {
		earlier := passes
		wakes[rounds%len(wakes)](rounds)
		w.eventually("every Cluster was looked at", func() error {
			if passes, _, _ = counted(); passes < earlier+float64(len(all)) {
				return fmt.Errorf("%v passes of %d Clusters", passes-earlier, len(all))
			}
			return nil
		})
	}
	_, success, requeued := counted()
	t.Logf("%v passes in %d rounds: %v of converged Clusters, %v of waiting ones", passes-first, rounds, success-firstSuccess, requeued-firstRequeued)
	if success-firstSuccess < enough/4 || requeued-firstRequeued < enough/4 {
		t.Error("they are too few of one kind")
	}
	w.barrier()
	writes := w.writes(since)
	for _, c := range all {
		for _, e := range audit.Keep(writes, about(c)) {
			t.Errorf("unexpected write: %s", describe(e))
		}
		if now := ours(c.now().Status.Conditions); fmt.Sprint(now) != fmt.Sprint(before[c]) {
			t.Errorf("the conditions of %s were %v and are %v", c.name, before[c], now)
		}
	}
}

// touch changes an annotation of the class that means nothing to the allocator.
func (k *class) touch(n int) {
	k.w.t.Helper()
	k.w.merge(observe.ClusterClasses, k.namespace, k.name, fmt.Sprintf(`{"metadata":{"annotations":{"example.com/touched":"%d"}}}`, n))
}

// ours are the allocator's conditions.
func ours(conditions []metav1.Condition) []metav1.Condition {
	var result []metav1.Condition
	for _, r := range bothRoles {
		if condition := meta.FindStatusCondition(conditions, r.condition()); condition != nil {
			result = append(result, *condition)
		}
	}
	return result
}
