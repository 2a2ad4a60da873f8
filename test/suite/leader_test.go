package suite

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
)

// replicas are a leader and its standbys, in this order.
func (w *world) replicas(count int, args ...string) []*allocator.Process {
	w.t.Helper()
	var all []*allocator.Process
	for range count {
		all = append(all, w.startAllocator(append([]string{"--leader-elect", "--leader-election-id=" + w.namespace}, args...)...))
		if len(all) == 1 {
			w.eventually("the first one leads", func() error {
				if w.leader() == "" {
					return fmt.Errorf("nobody does")
				}
				return nil
			})
		}
	}
	return all
}

// leader is who holds the world's Lease.
func (w *world) leader() string {
	w.t.Helper()
	lease := fetch[coordinationv1.Lease](w, leases, allocator.Namespace, w.namespace)
	if lease == nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// crashFast makes a standby notice a dead leader soon.
var crashFast = []string{"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms"}

// A standby is ready and healthy, does nothing, and takes over within moments when
// the leader is told to stop.
func TestLeaderStops(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	all := w.replicas(3)
	leader := w.leader()
	since := w.mark()
	first := w.cluster(k)
	first.becomes(has(controlPlane, cp.address(0)), has(ingress, in.address(0)))
	for _, p := range all {
		if err := p.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		if err := p.Healthy(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if creates := w.writes(since, about(first), writesOf("create", "ipaddressclaims")); len(creates) != 2 {
		t.Errorf("%d claims were made", len(creates))
	}
	if code, err := all[0].Stop(); code != 0 || err != nil {
		t.Errorf("the leader ended with code %d: %v", code, err)
	}
	stopped := time.Now()
	if w.leader() == leader {
		t.Error("the Lease was not released")
	}
	second := w.cluster(k)
	w.eventually("a standby has taken over", func() error {
		if now := w.leader(); now == leader || now == "" {
			return fmt.Errorf("the leader is %q", now)
		}
		return nil
	})
	// A standby asks every 2 seconds or so; waiting for the Lease to expire takes 15.
	if took := time.Since(stopped); took > 8*time.Second {
		t.Errorf("taking over took %s", took)
	}
	second.becomes(has(controlPlane, cp.address(1)), has(ingress, in.address(1)))
	if creates := w.writes(since, about(second), writesOf("create", "ipaddressclaims"), audit.Event.Accepted); len(creates) != 2 {
		t.Errorf("%d claims were made", len(creates))
	}
}

// When the leader crashes a standby takes over once the Lease has run out.
func TestLeaderCrashes(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	all := w.replicas(2, crashFast...)
	w.cluster(k).becomes(has(controlPlane, p.address(0)))
	all[0].Kill()
	w.cluster(k).becomes(has(controlPlane, p.address(1)))
}

// A leader that was frozen and lost its Lease meanwhile ends, with an error, instead
// of writing beside the new one.
func TestLeaderFreezes(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	all := w.replicas(2, crashFast...)
	leader := w.leader()
	if err := all[0].Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.cluster(k).becomes(has(controlPlane, p.address(0)))
	if w.leader() == leader {
		t.Fatal("the frozen one still leads")
	}
	if err := all[0].Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-all[0].Done():
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if code, _ := all[0].Stop(); code != 1 {
		t.Errorf("it ended with code %d", code)
	}
}

// A standby that is told to stop ends at once.
func TestLeaderStandbyStops(t *testing.T) {
	w := newWorld(t)
	all := w.replicas(2)
	begin := time.Now()
	if code, err := all[1].Stop(); code != 0 || err != nil {
		t.Errorf("it ended with code %d: %v", code, err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	w.cluster(k).becomes(has(controlPlane, p.address(0)))
}
