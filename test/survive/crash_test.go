package survive

import (
	"fmt"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A scenario is something that happens to a Cluster and that the allocator has to
// follow, by several writes.
type scenario struct {
	name   string
	form   form
	labels string // of the namespace
	grace  int    // seconds for which the pools keep a released address
	// fresh scenarios begin with no Cluster, the others with one that is served.
	fresh bool
	act   func(w *world, name string)
	// done tells whether an undisturbed run is over.
	done func(w *world, name string) error
}

func bothServed(w *world, name string) error { return w.served(name, allocated, allocated) }

var scenarios = []scenario{
	{name: "create", form: gated, fresh: true, act: func(w *world, name string) { w.create(name) }, done: bothServed},
	{
		name: "hold", form: open, labels: underHold, fresh: true,
		act:  func(w *world, name string) { w.create(name) },
		done: bothServed,
	},
	{
		name: "disable ingress", form: onDemand,
		act: func(w *world, name string) {
			w.patch(name, `{"metadata":{"annotations":{"vip.capi.gorizond.io/ingress-enabled":"false"}}}`)
		},
		done: func(w *world, name string) error {
			if held, err := w.leased(name); err != nil || len(held) != 1 {
				return fmt.Errorf("its Leases are of %q, %w", held, err)
			}
			return w.served(name, allocated, disabled)
		},
	},
	{
		name: "delete", form: gated,
		act:  func(w *world, name string) { w.delete(observe.Clusters, name) },
		done: (*world).nothingLeft,
	},
	{
		name: "re-create under the same name", form: gated, grace: 2,
		act: func(w *world, name string) {
			w.delete(observe.Clusters, name)
			w.gone(observe.Clusters, name)
			w.create(name)
		},
		done: bothServed,
	},
	{
		name: "strip", form: gated,
		act: func(w *world, name string) { w.patch(name, strip) },
		done: func(w *world, name string) error {
			cluster, err := w.get(observe.Clusters, name)
			if err == nil && len(cluster.GetLabels()) < 5 {
				return fmt.Errorf("its labels are %v", cluster.GetLabels())
			}
			return w.served(name, allocated, allocated)
		},
	},
	{
		name: "claims lost", form: gated,
		act: func(w *world, name string) {
			for _, claim := range claimPrefixes {
				w.delete(observe.Claims, claim+name)
			}
		},
		done: bothServed,
	},
}

// A disturbance is what happens at one write of the allocator. It tells at which.
type disturbance func(at func(fault.Request), kill func()) fault.Rule

var disturbances = []struct {
	name    string
	disturb disturbance
	offset  int // see run.each
}{
	{"killed before", killedBefore, 1},
	{"reply lost", func(at func(fault.Request), _ func()) fault.Rule {
		return fault.Rule{After: func(q fault.Request, _ int) { at(q) }, DropReply: true}
	}, 0},
}

func killedBefore(at func(fault.Request), kill func()) fault.Rule {
	return fault.Rule{Before: func(q fault.Request) { at(q); kill() }, DropRequest: true}
}

func killedAfter(at func(fault.Request), kill func()) fault.Rule {
	return fault.Rule{After: func(q fault.Request, _ int) { at(q); kill() }, DropReply: true}
}

// At each of its writes in turn the allocator is killed or does not hear the reply.
// Whatever was half done then ends like a run that nothing disturbed.
func TestEachWrite(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios {
		for _, d := range disturbances {
			t.Run(s.name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				run := &run{world: newWorld(t, s.labels), scenario: s}
				run.prepare()
				run.undisturbed()
				run.eachWrite(d.disturb, d.offset)
			})
		}
	}
}
