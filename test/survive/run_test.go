package survive

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
)

// run is a scenario played again and again, each time with another Cluster.
type run struct {
	*world
	scenario
	// args are flags of the replicas. The first replica leads.
	args     []string
	replicas []*allocator.Process

	want   string // the portrait of the undisturbed Cluster at the end
	writes []string
	made   int
}

// prepare makes a class and pools, and starts a replica. The second pool has the range
// of the first, so that each address needs a Lease, and comes after it, so that it
// stays unused.
func (r *run) prepare() {
	r.t.Helper()
	r.class(r.form)
	r.pool("a", 10, 200, r.grace)
	r.pool("b", 10, 200, r.grace)
	r.replicas = []*allocator.Process{r.start(r.args...)}
}

// begin makes Clusters in the state in which the scenario finds them.
func (r *run) begin(count int) (names []string) {
	r.t.Helper()
	for range count {
		names = append(names, fmt.Sprintf("v%03d", r.made))
		r.made++
	}
	if r.fresh {
		return names
	}
	r.create(names...)
	for _, name := range names {
		r.eventually("Cluster "+name+" is served", func() error { return bothServed(r.world, name) })
	}
	r.quiet()
	return names
}

// ours matches what an allocator writes about the world, but for its election. It also
// tells of the classes of other worlds.
func (w *world) ours(q fault.Request) bool {
	return fault.Writes(q) && q.Namespace == w.namespace && q.Name != electionLease
}

const electionLease = "capi-vip-allocator.gorizond.io"

// quiet waits until the allocator has written nothing for a while: what it writes
// later is not part of what went before.
func (w *world) quiet() {
	w.t.Helper()
	const rest = 1500 * time.Millisecond
	count, since := -1, time.Now()
	w.eventually("the allocator rests", func() error {
		if now := len(w.proxy.Writes(w.ours)); now != count {
			count, since = now, time.Now()
		}
		if time.Since(since) < rest {
			return fmt.Errorf("it wrote something")
		}
		return nil
	})
}

// decisive matches those of our writes that somebody acts upon: all but events, which a
// new process tells again.
func (w *world) decisive(q fault.Request) bool { return w.ours(q) && q.Resource != "events" }

// disturbed matches the writes that tests disturb.
func (w *world) disturbed(q fault.Request) bool { return w.decisive(q) || (*long && w.ours(q)) }

// anew puts a new process in the place of one, and expects it to look at so many
// Clusters and to write nothing: all is done.
func (w *world) anew(p *allocator.Process, clusters int) *allocator.Process {
	w.t.Helper()
	w.quiet()
	p.Kill()
	before := len(w.proxy.Writes(w.decisive))
	p = w.start()
	w.eventually("the new process has looked at the Clusters", func() error {
		series, err := p.Series(w.t.Context())
		if err != nil {
			return err
		}
		passes := 0.0
		for name, value := range series {
			if strings.HasPrefix(name, "capi_vip_allocator_reconcile_total") {
				passes += value
			}
		}
		if passes < float64(clusters) {
			return fmt.Errorf("%v passes", passes)
		}
		return nil
	})
	w.quiet()
	for _, write := range w.proxy.Writes(w.decisive)[before:] {
		w.t.Errorf("a new process wrote, although nothing had changed: %v", write)
	}
	return p
}

// undisturbed plays the scenario and notes its writes and its end.
func (r *run) undisturbed() {
	r.t.Helper()
	name := r.begin(1)[0]
	before := len(r.proxy.Writes(r.disturbed))
	r.act(r.world, name)
	r.eventually("the undisturbed run is over", func() error { return r.done(r.world, name) })
	r.quiet()
	var err error
	if r.want, err = r.portrait(name, true); err != nil {
		r.t.Fatal(err)
	}
	for _, write := range r.proxy.Writes(r.disturbed)[before:] {
		r.writes = append(r.writes, write.String())
	}
	if len(r.writes) == 0 {
		r.t.Fatal("the allocator wrote nothing")
	}
	r.t.Logf("undisturbed, %d writes: %q", len(r.writes), r.writes)
}

// each returns the numbers of the writes to disturb, from 1. Where there are many, and
// without -long, that is every second one; the other disturbance takes the others.
func (r *run) each(offset int) (numbers []int) {
	const many = 6
	for n := 1; n <= len(r.writes); n++ {
		if *long || len(r.writes) <= many || n%2 == offset {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// eachWrite plays the scenario once per write, disturbed there.
func (r *run) eachWrite(disturb disturbance, offset int) {
	r.t.Helper()
	begun, hits, numbers := time.Now(), 0, r.each(offset)
	for i, name := range r.begin(len(numbers)) {
		n := numbers[i]
		r.leaderFirst()
		var at atomic.Value
		rule := disturb(func(q fault.Request) { at.Store(q.String()) }, r.replicas[0].Kill)
		rule.Nth, rule.Match = n, r.disturbed
		armed := r.proxy.Add(rule)
		r.act(r.world, name)
		r.eventually(fmt.Sprintf("disturbed at write %d, Cluster %s ends as if it were not", n, name), func() error {
			r.revive()
			if err := r.becomes(name, r.want, true); err != nil {
				return fmt.Errorf("after %v: %w", at.Load(), err)
			}
			return nil
		})
		r.quiet()
		r.revive()
		if armed.Remove(); happened(armed) {
			hits++
		}
	}
	r.t.Logf("%d of %d writes disturbed in %s", hits, len(numbers), time.Since(begun).Round(time.Second))
	// What the allocator tells people may come in fewer writes the next time.
	if missed := len(numbers) - hits; missed > 2 || hits == 0 {
		r.t.Errorf("%d of %d writes did not come again", missed, len(numbers))
	}
}

// revive starts a replica in place of one that was killed.
func (r *run) revive() {
	r.t.Helper()
	alive := slices.DeleteFunc(slices.Clone(r.replicas), func(p *allocator.Process) bool {
		select {
		case <-p.Done():
			return true
		default:
			return false
		}
	})
	if len(alive) < len(r.replicas) {
		alive = append(alive, r.start(r.args...))
		r.replicas = alive
	}
}

// leaderFirst waits until one of the replicas leads and puts it first.
func (r *run) leaderFirst() {
	r.t.Helper()
	r.eventually("a replica leads", func() error {
		for i, p := range r.replicas {
			series, err := p.Series(r.t.Context())
			if err != nil {
				return err
			}
			if series["capi_vip_allocator_leader"] == 1 {
				r.replicas[0], r.replicas[i] = r.replicas[i], r.replicas[0]
				return nil
			}
		}
		return fmt.Errorf("none does")
	})
}
