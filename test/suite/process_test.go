package suite

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Being told to stop is no error, however early.
func TestProcessStoppedAtStart(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		if code, err := w.startAllocator().Stop(); code != 0 || err != nil {
			t.Errorf("it ended with code %d: %v", code, err)
		}
	}
}

// The probes and metrics answer; a series of the allocation is among them.
func TestProcessEndpoints(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	w.pool(serving(controlPlane, k))
	w.cluster(k).becomes(reason(controlPlane, "Allocated"))
	for _, probe := range []error{w.shared.Ready(t.Context()), w.shared.Healthy(t.Context())} {
		if probe != nil {
			t.Error(probe)
		}
	}
	w.shows(w.shared, map[string]float64{fmt.Sprintf("allocations_total{cluster_class=%q,role=\"control-plane\"}", k.name): 1})
}

// A process that is killed between the claim and the patch leaves nothing behind
// that the next one does not finish, with the same claims.
func TestProcessKilledAfterTheClaim(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	first := w.startAllocator()
	watcher, err := w.in(observe.Claims, w.namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	since := w.mark()
	c := w.cluster(k)
	select {
	case <-watcher.ResultChan():
		first.Kill()
	case <-time.After(patience):
		t.Fatal("no claim was made")
	}
	watcher.Stop()
	w.startAllocator()
	c.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	creates := w.writes(since, about(c), writesOf("create", "ipaddressclaims"), audit.Event.Accepted)
	// A request whose client was killed counts as refused, whatever became of it.
	if len(creates) > 2 {
		t.Errorf("%d claims were made", len(creates))
	}
}

// A process that is told to stop finishes what it does and ends with code 0; the
// next one goes on from there.
func TestProcessStoppedUnderLoad(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), size(50))
	first := w.startAllocator()
	var crowd []*cluster
	for range 10 {
		crowd = append(crowd, w.cluster(k))
	}
	if code, err := first.Stop(); code != 0 || err != nil {
		t.Fatalf("it ended with code %d: %v", code, err)
	}
	w.startAllocator()
	for _, c := range crowd {
		c.becomes(reason(controlPlane, "Allocated"))
	}
	p.uses(len(crowd))
}

// The API server crashes and comes back. The allocator goes on where it was. It runs
// alone, since the other tests need the API server.
func TestProcessAPIServerRestarts(t *testing.T) {
	w := newLonelyWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	before := w.cluster(k)
	before.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	if err := w.management.KillComponent(management.APIServer); err != nil {
		t.Fatal(err)
	}
	if err := w.management.StartComponent(management.APIServer); err != nil {
		t.Fatal(err)
	}
	if err := w.watch(); err != nil { // for the tests to come
		t.Fatal(err)
	}
	after := w.cluster(k)
	after.becomes(has(controlPlane, cp.address(1)), has(ingress, in.address(1)))
	before.is(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	select {
	case <-w.shared.Done():
		t.Error("the allocator ended")
	default:
	}
}
