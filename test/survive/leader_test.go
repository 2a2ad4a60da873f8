package survive

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

var (
	// electing has a standby notice a dead leader soon.
	electing = []string{"--leader-elect", "--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=500ms"}
	// byDefault leaves the times as users have them.
	byDefault = []string{"--leader-elect"}
)

// replica is an allocator with a way of its own to the API server.
type replica struct {
	*allocator.Process
	proxy *fault.Proxy
}

// replicas starts a leader and its standbys, in this order.
func (w *world) replicas(count int, args []string) []replica {
	w.t.Helper()
	var all []replica
	for range count {
		proxy, kubeconfig := w.newProxy()
		all = append(all, replica{w.startAt(kubeconfig, args...), proxy})
		if len(all) == 1 {
			w.eventually("the first one leads", func() error {
				lease, err := w.get(leases, electionLease)
				if err == nil && lease == nil {
					return fmt.Errorf("nobody does")
				}
				return err
			})
		}
	}
	return all
}

// serving creates a Cluster and returns after how long it has its VIPs.
func (w *world) serving(name string) time.Duration {
	w.t.Helper()
	begin := time.Now()
	w.create(name)
	w.eventually("Cluster "+name+" is served", func() error { return bothServed(w, name) })
	return time.Since(begin).Round(100 * time.Millisecond)
}

// The leader is killed at each of its writes, and the standby completes what was half
// done.
func TestFailOverAtEachWrite(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]disturbance{"killed before": killedBefore, "killed after": killedAfter} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := &run{world: newWorld(t, ""), scenario: scenarios[0], args: electing}
			run.prepare()
			run.undisturbed()
			run.replicas = append(run.replicas, run.start(run.args...))
			run.eachWrite(disturb, 1)
		})
	}
}

// A leader ends in every way there is, and one of two standbys takes over. The log
// says how long a Cluster that is created at that moment waits for its VIPs.
func TestFailOver(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, leader replica){
		"told to stop": func(t *testing.T, leader replica) {
			if code, err := leader.Stop(); code != 0 || err != nil {
				t.Errorf("it ended with code %d: %v", code, err)
			}
		},
		"killed": func(_ *testing.T, leader replica) { leader.Kill() },
		"frozen": func(t *testing.T, leader replica) { signal(t, leader, syscall.SIGSTOP) },
		"cut off": func(_ *testing.T, leader replica) {
			leader.proxy.Add(fault.Rule{Match: fault.Any, DropRequest: true})
			leader.proxy.Cut(fault.Any)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.class(gated)
			w.pool("a", 10, 200, 0)
			args := electing
			if *long {
				args = byDefault
			}
			all := w.replicas(3, args)
			usual := w.serving("before")
			end(t, all[0])
			ended := len(all[0].proxy.Writes(w.ours))
			took := w.serving("after")
			t.Logf("%s: served after %s, usually %s", name, took, usual)
			if name == "frozen" {
				signal(t, all[0], syscall.SIGCONT)
			}
			awaitEnd(t, all[0])
			// What was under way when it froze may be answered, but nothing new is accepted.
			for _, write := range all[0].proxy.Writes(w.ours)[ended:] {
				if write.Resource != "events" && write.Code < 300 && name != "told to stop" {
					t.Errorf("it wrote beside its successor: %v", write)
				}
			}
		})
	}
}

func signal(t *testing.T, r replica, s syscall.Signal) {
	t.Helper()
	if err := r.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func awaitEnd(t *testing.T, r replica) {
	t.Helper()
	select {
	case <-r.Done():
	case <-time.After(patience):
		t.Error("it goes on")
	}
}

// A write of a frozen leader is on its way while the standby takes over and finishes
// the work, and arrives after that.
func TestLateWrite(t *testing.T) {
	t.Parallel()
	for name, match := range map[string]fault.Match{
		"of a claim":        fault.Of("create", "ipaddressclaims"),
		"of the Cluster":    fault.Of("patch", "clusters"),
		"of the conditions": fault.Of("patch", "clusters/status"),
		"of a Lease":        fault.Of("create", "leases"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			w.class(gated)
			w.pool("a", 10, 200, 0)
			w.pool("b", 10, 200, 0)
			all := w.replicas(2, electing)
			deliver, delivered := make(chan struct{}), make(chan int, 1)
			late := all[0].proxy.Add(fault.Rule{
				Match: match, Nth: 1,
				Before: func(fault.Request) { signal(t, all[0], syscall.SIGSTOP); <-deliver },
				After:  func(_ fault.Request, code int) { delivered <- code },
			})
			defer late.Remove()
			w.create("v000")
			w.eventually("the standby serves the Cluster", func() error { return bothServed(w, "v000") })
			want, err := w.portrait("v000", true)
			if err != nil {
				t.Fatal(err)
			}
			close(deliver)
			select {
			case code := <-delivered:
				t.Logf("the late write is answered with %d", code)
				if code < 300 && name != "of the conditions" {
					t.Errorf("the late write was accepted")
				}
			case <-time.After(patience):
				t.Fatal("the late write was not answered")
			}
			signal(t, all[0], syscall.SIGCONT)
			awaitEnd(t, all[0])
			w.serving("later")
			w.eventually("the Cluster is as it was", func() error { return w.becomes("v000", want, true) })
		})
	}
}

// Three allocators lead at once, since nobody elects, while users come, strip, switch
// off and go. Each Cluster gets one claim per role, and no address goes to two.
func TestLeadersAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(onDemand)
	w.pool("a", 10, 200, 0)
	w.pool("b", 10, 200, 0)
	count := 8
	if *long {
		count = 40
	}
	var names []string
	for i := range count {
		names = append(names, fmt.Sprintf("v%03d", i))
	}
	for range 3 {
		w.start()
	}
	w.create(names...)
	for _, name := range names {
		w.eventually("Cluster "+name+" is served", func() error { return bothServed(w, name) })
	}
	made := 0
	for _, write := range w.proxy.Writes(fault.Of("create", "ipaddressclaims")) {
		if write.Code == 201 {
			made++
		}
	}
	if made != 2*count {
		t.Errorf("%d claims were made for %d Clusters", made, count)
	}
	for _, name := range names {
		w.patch(name, strip)
	}
	for i, name := range names {
		if i%2 == 0 {
			w.patch(name, `{"metadata":{"annotations":{"vip.capi.gorizond.io/ingress-enabled":"false"}}}`)
		}
	}
	for i, name := range names {
		w.eventually("Cluster "+name+" is as its user wants it", func() error {
			return w.served(name, allocated, []string{disabled, allocated}[i%2])
		})
		w.delete(observe.Clusters, name)
	}
	for _, name := range names {
		w.eventually("nothing is left of Cluster "+name, func() error { return w.nothingLeft(name) })
	}
	answers := map[int]int{}
	for _, write := range w.proxy.Writes(w.ours) {
		answers[write.Code]++
	}
	t.Logf("answers to writes by code: %v", answers)
}

// Nothing piles up in a standby, however much happens.
func TestStandbyMemoryIsFlat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.class(gated)
	w.pool("a", 10, 200, 0)
	w.env = append(w.env, "GOGC=20") // so that garbage does not hide what stays
	standby := w.replicas(2, electing)[1]
	const crowd = 10
	var names []string
	for i := range crowd {
		names = append(names, fmt.Sprintf("v%03d", i))
	}
	w.create(names...)
	rounds := 40
	if *long {
		rounds = 2000
	}
	churn := func(rounds int) {
		for i := range rounds {
			for _, name := range names {
				w.patch(name, fmt.Sprintf(`{"metadata":{"annotations":{"example.com/churn":"%d"}}}`, i))
			}
		}
	}
	churn(rounds / 2) // what grows once has grown
	before := w.heap(standby)
	churn(rounds)
	after := w.heap(standby)
	usage, err := standby.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes: heap in use %.1f MiB, then %.1f MiB; RSS %d MiB", rounds*crowd, before, after, usage.RSS>>20)
	const most = 8 // MiB
	if after > before+most {
		t.Errorf("the heap grew from %.1f to %.1f MiB", before, after)
	}
}

// heap is the least memory that a process holds in MiB while it is watched: just after
// a collection.
func (w *world) heap(p replica) float64 {
	w.t.Helper()
	var samples []float64
	for begin := time.Now(); time.Since(begin) < 5*time.Second; {
		series, err := p.Series(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		samples = append(samples, series["go_memstats_heap_alloc_bytes"]/(1<<20))
		select { // of a curve
		case <-time.After(100 * time.Millisecond):
		case <-w.t.Context().Done():
		}
	}
	return slices.Min(samples)
}
