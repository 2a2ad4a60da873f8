package suite

import (
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/audit"
)

// A batch of new Clusters costs two claims and at most two patches each, and hardly
// a request in vain. It runs alone, so that the requests are those of its Clusters.
func TestBudgetOfNewClusters(t *testing.T) {
	w := newLonelyWorld(t)
	k := w.exampleClass()
	w.pool(serving(controlPlane, k), size(100))
	w.pool(serving(ingress, k), size(100))
	w.barrier()
	const count = 20
	since := w.mark()
	var batch []*cluster
	for range count {
		batch = append(batch, w.cluster(k))
	}
	for _, c := range batch {
		c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"), built())
	}
	w.barrier()
	total := 0
	writes := w.writes(since)
	for _, c := range batch {
		own := audit.Keep(writes, about(c))
		creates, patches := audit.Keep(own, writesOf("create", "ipaddressclaims")), audit.Keep(own, writesOf("patch", "clusters"))
		accepted := audit.Keep(patches, audit.Event.Accepted)
		total += len(patches) - len(accepted)
		if len(creates) != 2 || len(accepted) > 2 {
			t.Errorf("Cluster %s cost %d claims and %d patches", c.name, len(creates), len(accepted))
		}
		for _, e := range own {
			switch e.Verb + " " + e.Resource() {
			case "create ipaddressclaims", "patch clusters", "patch clusters/status", "create events", "patch events":
			default:
				t.Errorf("unexpected write: %s", describe(e))
			}
		}
	}
	t.Logf("%d patches of %d Clusters were refused", total, count)
	if total > count {
		t.Errorf("%d patches of %d Clusters were refused", total, count)
	}
	reads := w.requests(since, func(e audit.Event) bool { return !e.IsWrite() && e.Verb != "watch" && e.Object.Resource != "leases" })
	for _, tally := range audit.Count(reads, func(e audit.Event) string { return e.Verb + " " + e.Resource() }) {
		t.Logf("%s: %d", tally.Key, tally.Accepted+tally.Refused)
		if tally.Accepted+tally.Refused > count {
			t.Errorf("more than one read per Cluster: %+v", tally)
		}
	}
}

// Nothing changes, so nothing is asked and nothing written, but for the leader's
// Lease and the renewal of watches.
func TestBudgetOfQuietTimes(t *testing.T) {
	w := newLonelyWorld(t)
	k := w.exampleClass()
	cp := w.pool(serving(controlPlane, k))
	done := w.cluster(k)
	waiting := w.cluster(k, annotated(controlPlane.poolFilter(), "none"))
	done.becomes(has(controlPlane, cp.address(0)), reason(ingress, "NoPool"))
	waiting.becomes(reason(controlPlane, "PoolFiltered"))
	w.barrier()
	w.rest(done, waiting)
	const quiet = 5 * time.Second
	since := w.mark()
	time.Sleep(quiet)
	for _, e := range w.requests(since) {
		if e.Verb != "watch" && e.Object.Resource != "leases" {
			t.Errorf("unexpected request: %s %s %s", e.Verb, e.RequestURI, e.UserAgent)
		}
	}
}

// Changes that do not concern us cost nothing.
func TestBudgetOfForeignChanges(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	c := w.cluster(k)
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	w.eventually("the events are written", func() error {
		return c.told("Normal Allocated", cp.address(0), in.address(0))
	})
	since := w.mark()
	for _, option := range []clusterOption{
		labelled("example.com/edited", "yes"), annotated("example.com/edited", "yes"), replicas(3), set(buildVariable, "now"),
	} {
		c.change(option)
	}
	c.becomes(built())
	k.change(declares("unrelated", text))
	cp.change(labelled("example.com/edited", "yes"))
	c.untouched(since)
	c.is(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
}
