package survive

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// toClusters matches what asks for Clusters, as a watch or a list.
func toClusters(q fault.Request) bool {
	return q.Resource == "clusters" && (q.Verb == "watch" || q.Verb == "list")
}

// The API server is gone for a while, and has forgotten the versions that watches ask
// for when it is back. The allocator lives through that, and stays healthy.
func TestOutage(t *testing.T) {
	t.Parallel()
	lengths := []time.Duration{time.Second, 10 * time.Second}
	if *long {
		lengths = append(lengths, time.Minute)
	}
	for _, length := range lengths {
		t.Run(length.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.class(gated)
			w.pool("a", 10, 200, 0)
			p := w.start()
			w.serving("before")
			outage := w.proxy.Add(fault.Rule{Match: fault.Any, DropRequest: true})
			w.proxy.Cut(fault.Any)
			w.create("meanwhile")
			w.patch("before", strip)
			select {
			case <-time.After(length): // the outage itself
			case <-p.Done():
				t.Fatal("the allocator ended")
			}
			if err := p.Healthy(t.Context()); err != nil {
				t.Error(err)
			}
			asked := outage.Seen()
			// Every watch asks for a version that is forgotten.
			forgotten := w.proxy.Add(fault.Rule{Match: func(q fault.Request) bool { return q.Verb == "watch" }, Refuse: fault.Expired()})
			outage.Remove()
			w.awaitHit(forgotten)
			forgotten.Remove()
			back := time.Now()
			for _, name := range []string{"before", "meanwhile"} {
				w.eventually("Cluster "+name+" is served", func() error { return bothServed(w, name) })
			}
			t.Logf("served %s after the outage, which saw %d requests", time.Since(back).Round(100*time.Millisecond), asked)
			if most := 50 + 30*int(length.Seconds()); asked > most {
				t.Errorf("%d requests during the outage, want at most %d", asked, most)
			}
		})
	}
}

// A Cluster goes, and another one of its name comes, while the allocator does not see
// Clusters; the version that it saw last is forgotten, so it hears of no deletion.
func TestMissedDeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 200, 0)
	w.pool("b", 10, 200, 0)
	w.start()
	w.serving("gone")
	w.serving("again")
	blind := w.proxy.Add(fault.Rule{Match: toClusters, DropRequest: true})
	w.proxy.Cut(toClusters)
	for _, name := range []string{"gone", "again"} {
		w.delete(observe.Clusters, name)
		w.gone(observe.Clusters, name)
		w.gone(observe.Claims, claimPrefixes[observe.Ingress]+name)
	}
	w.create("again")
	forgotten := w.proxy.Add(fault.Rule{Match: func(q fault.Request) bool { return toClusters(q) && q.Verb == "watch" }, Nth: 1, Refuse: fault.Expired()})
	blind.Remove()
	w.awaitHit(forgotten)
	w.eventually("nothing is left of the first Cluster", func() error { return w.nothingLeft("gone") })
	w.eventually("the second Cluster is served anew", func() error { return bothServed(w, "again") })
}

// The allocator does not see that a pool ran dry: its claims wait there, and no others
// are made. Once it sees that, the Cluster is served from another pool.
func TestPoolRunsDryUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 12, 0)
	w.pool("b", 20, 40, 0)
	w.start()
	pools := fault.Of("watch", "globalinclusterippools")
	thaw := w.proxy.Freeze(pools)
	for i := range 3 {
		w.take("a", fmt.Sprintf("stranger-%d", i))
	}
	w.create("v000")
	made := fault.Of("create", "ipaddressclaims")
	w.eventually("the claims are made", func() error {
		if n := len(w.proxy.Writes(made)); n < 2 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	w.quiet()
	if writes := w.proxy.Writes(made); len(writes) != 2 {
		t.Errorf("claims were made: %v", writes)
	}
	thaw()
	w.eventually("the Cluster is served", func() error { return bothServed(w, "v000") })
}

// A Cluster is deleted or paused while the allocator does not see Clusters: no VIP is
// published for it, which the judge sees to.
func TestRestUnseen(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(w *world){
		"paused by spec":       func(w *world) { w.patch("v000", `{"spec":{"paused":true}}`) },
		"paused by annotation": func(w *world) { w.patch("v000", `{"metadata":{"annotations":{"cluster.x-k8s.io/paused":""}}}`) },
		"deleted":              func(w *world) { w.delete(observe.Clusters, "v000") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.class(gated)
			w.start()
			w.create("v000")
			w.eventually("it waits for a pool", func() error { return w.served("v000", "NoPool", "NoPool") })
			w.patch("v000", `{"metadata":{"finalizers":["example.com/kept","cluster.cluster.x-k8s.io"]}}`)
			w.quiet()
			bound := w.proxy.Freeze(func(q fault.Request) bool { return q.Resource == "ipaddressclaims" || q.Resource == "ipaddresses" })
			w.pool("a", 10, 200, 0)
			w.eventually("its claims are bound", func() error {
				cluster, err := w.get(observe.Clusters, "v000")
				if err != nil {
					return err
				}
				owner := string(cluster.GetUID())
				return errors.Join(w.backed("vip-cp-v000", owner, true), w.backed("vip-ingress-v000", owner, true))
			})
			w.quiet()
			thaw := w.proxy.Freeze(fault.Of("watch", "clusters"))
			edit(w)
			bound()
			patches := func() int { return len(w.proxy.Writes(fault.Of("patch", "clusters"))) }
			w.eventually("the allocator tries to publish", func() error {
				if patches() == 0 {
					return fmt.Errorf("it does not")
				}
				return nil
			})
			w.quiet()
			thaw()
			w.quiet()
			for _, write := range w.proxy.Writes(fault.Of("patch", "clusters")) {
				if write.Code < 300 {
					t.Errorf("the Cluster was written: %v", write)
				}
			}
			w.patch("v000", `{"metadata":{"finalizers":null}}`)
		})
	}
}
