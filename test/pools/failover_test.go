package pools

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

const pauseCluster, resumeCluster = `{"spec":{"paused":true}}`, `{"spec":{"paused":null}}`

// pending makes a Cluster whose claim waits on the pool: the IPAM provider does not
// look at the claims of a Cluster that is paused, nor does the allocator, and at those
// of one that does not exist not even later. The Cluster is still paused.
func (w *world) pending(class string, p *pool, linkedTo ...string) (c *cluster, claim types.UID) {
	w.t.Helper()
	w.made++
	object := w.draftCluster(class, fmt.Sprintf("c%d", w.made))
	object.Object["spec"].(map[string]any)["paused"] = true
	made := w.createObject(observe.Clusters, w.namespace, object)
	c = &cluster{w: w, name: made.GetName(), uid: made.GetUID()}
	return c, w.ownClaim(c, p, append(linkedTo, c.name)[0]).GetUID()
}

func usedUp(p *pool) { p.take("stranger") }

// A claim that waits on a pool which cannot serve it any more is made anew on
// another.
func TestPendingClaimMoves(t *testing.T) {
	for name, hinder := range map[string]func(p *pool){
		"ran dry":     usedUp,
		"deleted":     func(p *pool) { p.w.remove(p.resource, p.namespace, p.name); p.w.gone(p.resource, p.namespace, p.name) },
		"relabelled":  func(p *pool) { p.patch(`{"metadata":{"labels":{"` + prefix + `role":"ingress"}}}`) },
		"other class": func(p *pool) { p.annotate(prefix+"cluster-class", `"some-other"`) },
		"not allowed": func(p *pool) { p.annotate(prefix+"namespaces", `"elsewhere"`) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			class := w.class(controlPlane)
			first := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(0, 10)}})
			c, claim := w.pending(class, first, "nobody")
			hinder(first)
			second := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(1, 10)}})
			c.patch(resumeCluster)
			c.becomes(has(controlPlane, w.ip(1, 10)))
			if now := c.claim(controlPlane); now.GetUID() == claim || c.on(controlPlane) != second.name {
				t.Errorf("the claim is on %s", c.on(controlPlane))
			}
		})
	}
}

// The pool of a claim that waits is deleted under the allocator's eyes.
func TestPendingClaimMovesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.start()
	class := w.class(controlPlane)
	first := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(0, 10)}})
	c, _ := w.pending(class, first)
	first.pause(true) // so that the provider does not look at the claim either
	c.patch(resumeCluster)
	c.becomes(reason(controlPlane, "PoolPaused", first.name))
	second := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(1, 10)}})
	w.remove(first.resource, first.namespace, first.name)
	c.becomes(has(controlPlane, w.ip(1, 10)))
	second.uses(1)
}

// A claim was bound before anybody saw that its pool serves the Cluster no more. The
// address is not published; without the claim the Cluster gets another one.
func TestBoundToUnacceptable(t *testing.T) {
	w := newWorld(t)
	w.start()
	class := w.class(controlPlane)
	first := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(0, 10)}})
	c, _ := w.pending(class, first)
	first.annotate(prefix+"cluster-class", `"some-other"`)
	c.patch(resumeCluster)
	c.becomes(reason(controlPlane, "PoolNotAccepted", w.ip(0, 10), first.name))
	w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(1, 10)}})
	w.barrier()
	c.is(reason(controlPlane, "PoolNotAccepted"))
	w.remove(observe.Claims, w.namespace, controlPlane.claim(c.name))
	c.becomes(has(controlPlane, w.ip(1, 10)))
}

// A claim on a paused pool waits, whatever else there is.
func TestPendingOnPausedPool(t *testing.T) {
	w := newWorld(t)
	w.start()
	class := w.class(controlPlane)
	first := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(0, 10)}})
	c, claim := w.pending(class, first)
	first.pause(true)
	w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(1, 10)}, notes: map[string]string{prefix + "priority": "9"}})
	c.patch(resumeCluster)
	c.becomes(reason(controlPlane, "PoolPaused", first.name))
	w.barrier()
	if now := c.claim(controlPlane); now == nil || now.GetUID() != claim {
		t.Error("the claim was given up")
	}
	first.pause(false)
	c.becomes(has(controlPlane, w.ip(0, 10)))
}

// A claim that is bound stays, whatever becomes of its pool, and costs no write.
func TestBoundClaimStays(t *testing.T) {
	for name, hinder := range map[string]func(p *pool){
		"ran dry":     usedUp,
		"paused":      func(p *pool) { p.pause(true) },
		"relabelled":  func(p *pool) { p.patch(`{"metadata":{"labels":{"` + prefix + `role":null}}}`) },
		"no keys":     func(p *pool) { p.patch(`{"metadata":{"labels":null,"annotations":null}}`) },
		"other class": func(p *pool) { p.annotate(prefix+"cluster-class", `"some-other"`) },
		"not allowed": func(p *pool) { p.annotate(prefix+"namespaces", `"elsewhere"`) },
		"malformed":   func(p *pool) { p.annotate(prefix+"priority", `"highest"`) },
		"shrunk":      func(p *pool) { p.holds(p.w.ip(0, 10)) },
		"outranked": func(p *pool) {
			p.w.pool(draft{class: p.class(), roles: "control-plane", addresses: []string{p.w.ip(1, 10)}, notes: map[string]string{prefix + "priority": "9"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.start()
			class := w.class(controlPlane)
			first := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(0, 10), w.ip(0, 11)}})
			c := w.cluster(class)
			c.becomes(has(controlPlane, w.ip(0, 10)))
			claim := c.claim(controlPlane).GetUID()
			since := w.mark()
			hinder(first)
			w.barrier()
			w.noWrites(c, since)
			p.Kill()
			w.start() // with an empty memory
			w.barrier()
			w.noWrites(c, since)
			c.is(has(controlPlane, w.ip(0, 10)))
			if now := c.claim(controlPlane); now == nil || now.GetUID() != claim {
				t.Error("the claim is another one")
			}
		})
	}
}

func (p *pool) class() string {
	p.w.t.Helper()
	return p.w.get(p.resource, p.namespace, p.name).GetAnnotations()[prefix+"cluster-class"]
}

// New Clusters use the pool of the highest priority that there is, old ones stay.
func TestPriority(t *testing.T) {
	w := newWorld(t)
	w.start()
	class := w.class(controlPlane)
	low := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(0, 10) + "-" + w.ip(0, 20)}, notes: map[string]string{prefix + "priority": "-1"}})
	old := w.cluster(class)
	old.becomes(has(controlPlane, w.ip(0, 10)))
	high := w.pool(draft{class: class, roles: "control-plane", addresses: []string{w.ip(1, 10)}, notes: map[string]string{prefix + "priority": "10"}})
	w.cluster(class).becomes(has(controlPlane, w.ip(1, 10)))
	high.uses(1)
	w.cluster(class).becomes(has(controlPlane, w.ip(0, 11)))
	old.is(has(controlPlane, w.ip(0, 10)))
	low.uses(2)
}

// mark is a moment in the audit log.
func (w *world) mark() int64 {
	w.t.Helper()
	position, err := w.audit.Position()
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

// writes returns what allocators wrote in the world's namespace since the mark.
func (w *world) writes(since int64, tests ...func(audit.Event) bool) []audit.Event {
	w.t.Helper()
	events, err := w.audit.Since(since)
	if err != nil {
		w.t.Fatal(err)
	}
	inside := func(e audit.Event) bool { return e.IsWrite() && e.Object.Namespace == w.namespace }
	return audit.Keep(audit.Keep(events, audit.By(observe.UserAgent), inside), tests...)
}

// noWrites reports what allocators wrote about the Cluster since the mark.
func (w *world) noWrites(c *cluster, since int64) {
	w.t.Helper()
	for _, e := range w.writes(since) {
		if name := e.Object.Name; name == c.name || name == controlPlane.claim(c.name) || name == ingress.claim(c.name) {
			w.t.Errorf("unexpected write: %s %s %s -> %d", e.Verb, e.Resource(), name, e.Response.Code)
		}
	}
}
