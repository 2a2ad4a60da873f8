package suite

import (
	"fmt"
	"strings"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// mark is a moment in the audit log, for writes.
func (w *world) mark() int64 {
	w.t.Helper()
	position, err := w.audit.Position()
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

// requests returns what the allocators asked of the API server since the mark.
func (w *world) requests(since int64, tests ...func(audit.Event) bool) []audit.Event {
	w.t.Helper()
	events, err := w.audit.Since(since)
	if err != nil {
		w.t.Fatal(err)
	}
	return audit.Keep(audit.Keep(events, audit.By(observe.UserAgent)), tests...)
}

// writes returns the allocators' writes in the world's namespace since the mark.
func (w *world) writes(since int64, tests ...func(audit.Event) bool) []audit.Event {
	w.t.Helper()
	inside := func(e audit.Event) bool { return e.Object.Namespace == w.namespace }
	return audit.Keep(w.requests(since, audit.Event.IsWrite, inside), tests...)
}

// about keeps requests that concern the Cluster: itself, its claims, events on it.
func about(c *cluster) func(audit.Event) bool {
	return func(e audit.Event) bool {
		name := e.Object.Name
		return e.Object.Namespace == c.namespace &&
			(name == c.name || name == controlPlane.claim(c.name) || name == ingress.claim(c.name) ||
				(e.Object.Resource == "events" && strings.HasPrefix(name, c.name+".")))
	}
}

// writesOf keeps requests of a verb on a resource, such as "clusters/status".
func writesOf(verb, resource string) func(audit.Event) bool {
	return func(e audit.Event) bool { return e.Verb == verb && e.Resource() == resource }
}

// untouched asserts that no allocator wrote anything about the Cluster since the
// mark, although it had the time: a Cluster made now got its VIP first.
func (c *cluster) untouched(since int64) {
	c.w.t.Helper()
	c.w.untouched(since, c)
}

func (w *world) untouched(since int64, crowd ...*cluster) {
	w.t.Helper()
	w.barrier()
	writes := w.writes(since)
	for _, c := range crowd {
		for _, e := range audit.Keep(writes, about(c)) {
			w.t.Errorf("unexpected write: %s", describe(e))
		}
	}
}

func describe(e audit.Event) string {
	return fmt.Sprintf("%s %s %s -> %d", e.Verb, e.Resource(), e.Object.Name, e.Response.Code)
}

// barrier returns when the allocator has handled whatever happened before: a
// Cluster made now has got its VIP.
func (w *world) barrier() {
	w.t.Helper()
	w.cluster(w.beaconClass(), named(w.unique("barrier"))).becomes(reason(controlPlane, "Allocated"))
}

// beaconClass makes the class and the pool of barriers when the first test wants one.
func (w *world) beaconClass() *class {
	w.t.Helper()
	w.beaconLock.Lock()
	defer w.beaconLock.Unlock()
	if w.beacon == nil {
		k := w.class(declares("clusterVip", text), inNamespace(w.newNamespace()))
		w.pool(serving(controlPlane, k), network(16, "10.98.0.1-10.98.3.250"))
		w.beacon = &class{namespace: k.namespace, name: k.name}
	}
	return w.beacon
}
