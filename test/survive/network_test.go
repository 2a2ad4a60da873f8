package survive

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// noWatch matches all but watches, which have faults of their own.
func noWatch(q fault.Request) bool { return q.Verb != "watch" }

// A bad network is one that loses, repeats, refuses or delays all the time.
var badNetworks = map[string]func(w *world) (stop func()){
	"a third is refused": func(w *world) func() {
		for i, r := range []fault.Refusal{
			{Code: 500}, {Code: 409, Reason: "Conflict"}, {Code: 429, RetryAfter: time.Second, Reason: "TooManyRequests"}, {Code: 504, Reason: "Timeout"},
		} {
			w.proxy.Add(fault.Rule{Match: fault.Sometimes(uint64(i), 0.1, noWatch), Refuse: &r})
		}
		return nil
	},
	"a third is lost": func(w *world) func() {
		w.proxy.Add(fault.Rule{Match: fault.Sometimes(1, 0.1, noWatch), DropRequest: true})
		w.proxy.Add(fault.Rule{Match: fault.Sometimes(2, 0.1, noWatch), DropReply: true})
		w.proxy.Add(fault.Rule{Match: fault.Sometimes(3, 0.1, noWatch), Truncate: 20})
		return nil
	},
	"every write arrives twice": func(w *world) func() {
		w.proxy.Add(fault.Rule{Match: fault.Writes, Duplicate: true})
		return nil
	},
	"every answer takes a second": func(w *world) func() {
		w.proxy.Add(fault.Rule{Match: noWatch, Delay: time.Second})
		return nil
	},
	"watches expire": func(w *world) func() { return w.again(func() { w.proxy.Expire(fault.Any) }) },
	"watches break":  func(w *world) func() { return w.again(func() { w.proxy.Cut(fault.Any) }) },
}

// A watch that ends at once, client-go opens again after up to a minute in the end, and what
// is to be seen on the way takes some of them one after the other.
const badPatience = 6 * time.Minute

// again does something five times a second until it is stopped.
func (w *world) again(do func()) (stop func()) {
	ticker, done := time.NewTicker(200*time.Millisecond), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				do()
			case <-done:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}

// Clusters come and go over a bad network. All are served while it is bad, by a
// bounded number of requests, and nothing is left in the end.
func TestBadNetwork(t *testing.T) {
	t.Parallel()
	for name, disturb := range badNetworks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.class(gated)
			w.pool("a", 10, 200, 0)
			w.pool("b", 10, 200, 0)
			w.start()
			all := w.proxy.Add(fault.Rule{Match: noWatch})
			if stop := disturb(w); stop != nil {
				defer stop()
			}
			begin := time.Now()
			const count = 5
			var names []string
			for i := range count {
				names = append(names, fmt.Sprintf("v%03d", i))
			}
			w.create(names...)
			for _, name := range names {
				scene.Until(t, badPatience, "Cluster "+name+" is served", func() error { return bothServed(w, name) })
			}
			took := time.Since(begin)
			for _, name := range names {
				w.delete(observe.Clusters, name)
			}
			for _, name := range names {
				scene.Until(t, badPatience, "nothing is left of Cluster "+name, func() error { return w.nothingLeft(name) })
			}
			// Undisturbed it is about 10 per Cluster. Lists after each broken watch come on top.
			seen := all.Seen()
			t.Logf("served after %s; %d requests", took.Round(100*time.Millisecond), seen)
			if most := 60*count + int(time.Since(begin).Seconds())*50; seen > most {
				t.Errorf("%d requests, want at most %d", seen, most)
			}
		})
	}
}

// One request hangs until its client gives up. The others do not wait for it.
func TestRequestHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 200, 0)
	w.start("--max-concurrent-reconciles=2")
	hung := w.proxy.Add(fault.Rule{Match: fault.Of("create", "ipaddressclaims"), Nth: 1, Delay: 10 * time.Minute, DropRequest: true})
	began := time.Now()
	w.create("v000")
	w.eventually("a request hangs", func() error {
		if hung.Seen() == 0 {
			return fmt.Errorf("none does")
		}
		return nil
	})
	w.create("v001")
	w.eventually("another Cluster has its endpoint", func() error {
		cluster, err := w.get(observe.Clusters, "v001")
		if host, _, _ := unstructured.NestedString(cluster.Object, "spec", "controlPlaneEndpoint", "host"); err == nil && host == "" {
			return fmt.Errorf("it has none")
		}
		return err
	})
	t.Logf("another Cluster has its endpoint %s after the first one was created", time.Since(began).Round(100*time.Millisecond))
	if happened(hung) {
		t.Error("the request had ended by then")
	}
	w.eventually("the first Cluster is served", func() error { return bothServed(w, "v000") })
	t.Logf("the Cluster of the request that hung is served after %s", time.Since(began).Round(time.Second))
}

// Claims are made by requests that hang. Clusters which need none of them go on, and so
// does a stop.
func TestClaimsHang(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 200, 0)
	const workers = 60
	p := w.start(fmt.Sprintf("--max-concurrent-reconciles=%d", workers))
	group := new(errgroup.Group)
	group.SetLimit(16)
	for i := range workers + 5 {
		group.Go(func() error {
			_, err := w.in(observe.Clusters).Create(t.Context(), w.draft(fmt.Sprintf("v%03d", i)), metav1.CreateOptions{})
			return err
		})
	}
	// They hang from now on, for as long as their client waits.
	hung := w.proxy.Add(fault.Rule{Match: fault.Of("create", "ipaddressclaims"), Delay: 10 * time.Minute, DropRequest: true})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	manual := w.draft("manual")
	if err := unstructured.SetNestedField(manual.Object, w.subnet+".201", "spec", "controlPlaneEndpoint", "host"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.in(observe.Clusters).Create(t.Context(), manual, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("a Cluster with an endpoint of its own is stamped", func() error {
		cluster, err := w.get(observe.Clusters, "manual")
		if err == nil && cluster.GetAnnotations()[observe.ControlPlaneVIP] == "" {
			return fmt.Errorf("it is not")
		}
		return err
	})
	t.Logf("%d requests hang", hung.Seen())
	if seen := hung.Seen(); seen < 16 || happened(hung) {
		t.Errorf("%d requests were made, and some had ended by then", seen)
	}
	if code, err := p.Stop(); code != 0 || err != nil {
		t.Errorf("it ended with %d: %v", code, err)
	}
	hung.Remove()
}

// Cluster API's webhook is down: each patch is refused for a while, with ever longer
// pauses between two attempts.
func TestWebhookIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 200, 0)
	w.start()
	down := w.proxy.Add(fault.Rule{Match: fault.Of("patch", "clusters"), Refuse: &fault.Refusal{
		Code: http.StatusInternalServerError, Reason: "InternalError",
		Message: `Internal error occurred: failed calling webhook "default.cluster.cluster.x-k8s.io": connection refused`,
	}})
	w.create("v000")
	w.eventually("the Cluster says that it cannot be written", func() error { return w.says("v000", "failed calling webhook") })
	attempts := down.Seen()
	down.Remove()
	back := time.Now()
	w.eventually("the Cluster is served", func() error { return bothServed(w, "v000") })
	t.Logf("%d attempts; served %s after the webhook is back", attempts, time.Since(back).Round(100*time.Millisecond))
	const most = 40
	if attempts > most {
		t.Errorf("%d attempts, want at most %d", attempts, most)
	}
}

// The right to patch Clusters is missing for a while.
func TestRightIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 200, 0)
	w.start()
	missing := w.proxy.Add(fault.Rule{
		Match: func(q fault.Request) bool {
			return q.Verb == "patch" && q.Resource == "clusters" && q.Subresource == ""
		},
		Refuse: &fault.Refusal{Code: http.StatusForbidden, Reason: "Forbidden", Message: `clusters.cluster.x-k8s.io "v000" is forbidden: User cannot patch`},
	})
	w.create("v000")
	w.eventually("the Cluster says that it cannot be written", func() error {
		return w.says("v000", "forbidden")
	})
	attempts := missing.Seen()
	missing.Remove()
	back := time.Now()
	w.eventually("the Cluster is served", func() error { return bothServed(w, "v000") })
	t.Logf("%d attempts; served %s after the right is back", attempts, time.Since(back).Round(100*time.Millisecond))
}

// Somebody strips the Cluster again as soon as it is whole, without end. That costs
// both sides the same: no write of the allocator without one of the other.
func TestSomebodyStripsWithoutEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 200, 0)
	w.start()
	w.serving("v000")
	w.quiet()
	before, strips := len(w.proxy.Writes(w.ours)), 0
	for begin := time.Now(); time.Since(begin) < 10*time.Second; strips++ {
		w.patch("v000", strip)
		w.eventually("it is restored", func() error {
			cluster, err := w.get(observe.Clusters, "v000")
			if err == nil && cluster.GetAnnotations()[observe.IngressVIP] == "" {
				return fmt.Errorf("it is not")
			}
			return err
		})
	}
	writes := len(w.proxy.Writes(w.ours)) - before
	t.Logf("%d writes against %d", writes, strips)
	if writes > 3*strips {
		t.Errorf("%d writes against %d", writes, strips)
	}
	w.eventually("the Cluster is served", func() error { return bothServed(w, "v000") })
}

// Somebody strips the claims of their labels and annotations, among which wrangler
// keeps what it applied, and writes nonsense into them. The claims stay what they are.
func TestClaimsAreStripped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 200, 0)
	p := w.start()
	w.serving("v000")
	want, err := w.portrait("v000", true)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := w.get(observe.Claims, "vip-cp-v000")
	if err != nil {
		t.Fatal(err)
	}
	w.quiet()
	before := len(w.proxy.Writes(w.ours))
	edits := []string{
		`{"metadata":{"annotations":null}}`,
		`{"metadata":{"annotations":{"objectset.rio.cattle.io/applied":"nonsense"}}}`,
		`{"metadata":{"labels":null}}`,
		`{"metadata":{"labels":{"objectset.rio.cattle.io/hash":"nonsense"}}}`,
	}
	for _, edit := range edits {
		for _, prefix := range claimPrefixes {
			if err := merge(t.Context(), w.in(observe.Claims), prefix+"v000", edit); err != nil {
				t.Fatal(err)
			}
		}
		w.quiet()
		w.eventually("the Cluster is as it was", func() error { return w.becomes("v000", want, true) })
	}
	writes := w.proxy.Writes(w.ours)[before:]
	t.Logf("%d writes against %d: %v", len(writes), len(edits)*len(claimPrefixes), writes)
	if len(writes) > 2*len(edits)*len(claimPrefixes) {
		t.Errorf("%d writes", len(writes))
	}
	if now, err := w.get(observe.Claims, "vip-cp-v000"); err != nil || now.GetUID() != claim.GetUID() {
		t.Errorf("the claim is another one, %v", err)
	}
	w.anew(p, 1)
}
