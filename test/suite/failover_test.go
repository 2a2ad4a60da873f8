package suite

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// A claim that waits on a pool which cannot serve it any more is made anew on
// another.
func TestPendingClaimMoves(t *testing.T) {
	t.Parallel()
	for name, hinder := range map[string]func(p *pool){
		"ran dry":     func(p *pool) { p.take("stranger") },
		"deleted":     func(p *pool) { p.remove(); p.w.gone(p.resource, p.namespace, p.name) },
		"relabelled":  func(p *pool) { p.change(labelled(poolRole, "ingress")) },
		"other class": func(p *pool) { p.change(annotated(poolClass, "some-other")) },
		"not allowed": func(p *pool) { p.change(namespacedOnly("elsewhere")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			k := w.gatedClass(controlPlane)
			first := w.pool(serving(controlPlane, k), size(1))
			c := w.cluster(k, paused(true))
			// The provider never looks at the claims of a Cluster that does not exist.
			claim := c.ownClaim(controlPlane, first, labelledClaim(clusterNameLabel, "nobody"))
			hinder(first)
			second := w.pool(serving(controlPlane, k))
			c.change(paused(false))
			c.becomes(has(controlPlane, second.address(0)))
			if now := c.claim(controlPlane); now.UID == claim.UID || now.Spec.PoolRef != second.ref() {
				t.Errorf("the claim is on %v", now.Spec.PoolRef)
			}
		})
	}
}

// The pool of a claim that waits is deleted under the allocator's eyes.
func TestPendingClaimMovesAtOnce(t *testing.T) {
	w := newWorld(t).judged()
	k := w.gatedClass(controlPlane)
	first := w.pool(serving(controlPlane, k))
	c := w.cluster(k, paused(true))
	c.ownClaim(controlPlane, first)
	first.change(annotated(pausedAnnotation, "true")) // so that the provider does not look at the claim either
	c.change(paused(false))
	c.becomes(reason(controlPlane, "PoolPaused", first.name))
	second := w.pool(serving(controlPlane, k))
	first.remove()
	c.becomes(has(controlPlane, second.address(0)))
	second.uses(1)
}

// A claim was bound before anybody saw that its pool serves the Cluster no more. The
// address is not published, and the claim moves as soon as another pool serves.
func TestBoundToUnacceptable(t *testing.T) {
	w := newWorld(t).judged()
	k := w.gatedClass(controlPlane)
	first := w.pool(serving(controlPlane, k))
	c := w.cluster(k, paused(true))
	c.ownClaim(controlPlane, first)
	first.change(annotated(poolClass, "some-other"))
	c.change(paused(false))
	c.becomes(reason(controlPlane, "PoolNotAccepted", first.address(0), first.name))
	second := w.pool(serving(controlPlane, k))
	c.becomes(has(controlPlane, second.address(0)))
	first.uses(0)
}

// A claim on a paused pool waits, whatever else there is: its provider would not let
// it go.
func TestPendingOnPausedPool(t *testing.T) {
	w := newWorld(t).judged()
	k := w.gatedClass(controlPlane)
	first := w.pool(serving(controlPlane, k))
	c := w.cluster(k, paused(true))
	claim := c.ownClaim(controlPlane, first)
	first.change(annotated(pausedAnnotation, "true"))
	w.pool(serving(controlPlane, k), annotated(poolPriority, "9"))
	c.change(paused(false))
	c.becomes(reason(controlPlane, "PoolPaused", first.name))
	w.barrier()
	if now := c.claim(controlPlane); now == nil || now.UID != claim.UID || now.DeletionTimestamp != nil {
		t.Error("the claim was given up")
	}
	first.change(without(pausedAnnotation))
	c.becomes(has(controlPlane, first.address(0)))
}

// A claim that is bound stays, whatever becomes of its pool, and costs no write.
func TestBoundClaimStays(t *testing.T) {
	w := newWorld(t).judged()
	allocator := w.startAllocator()
	hindrances := map[string]func(p *pool, k *class){ // by the name of the Cluster
		"ran-dry":     func(p *pool, _ *class) { p.take("stranger") },
		"paused":      func(p *pool, _ *class) { p.change(annotated(pausedAnnotation, "true")) },
		"relabelled":  func(p *pool, _ *class) { p.change(without(poolRole)) },
		"no-keys":     func(p *pool, _ *class) { p.change(without(poolRole), without(poolClass)) },
		"other-class": func(p *pool, _ *class) { p.change(annotated(poolClass, "some-other")) },
		"not-allowed": func(p *pool, _ *class) { p.change(namespacedOnly("elsewhere")) },
		"malformed":   func(p *pool, _ *class) { p.change(annotated(poolPriority, "highest")) },
		"shrunk":      func(p *pool, _ *class) { p.change(size(1)) },
		"outranked":   func(p *pool, k *class) { p.w.pool(serving(controlPlane, k), annotated(poolPriority, "9")) },
	}
	classes, pools, claims := map[string]*class{}, map[string]*pool{}, map[string]types.UID{}
	var crowd []*cluster
	for name := range hindrances {
		k := w.gatedClass(controlPlane)
		classes[name], pools[name] = k, w.pool(serving(controlPlane, k), size(2))
		crowd = append(crowd, w.cluster(k, named(name)))
	}
	for _, c := range crowd {
		address := pools[c.name].address(0)
		c.becomes(has(controlPlane, address))
		w.eventually("the event is written", func() error { return c.told("Normal Allocated", address) })
		claims[c.name] = c.claim(controlPlane).UID
	}
	since := w.mark()
	for name, hinder := range hindrances {
		hinder(pools[name], classes[name])
	}
	w.untouched(since, crowd...)
	allocator.Kill()
	w.startAllocator() // with an empty memory
	w.untouched(since, crowd...)
	for _, c := range crowd {
		c.is(has(controlPlane, pools[c.name].address(0)))
		if now := c.claim(controlPlane); now == nil || now.UID != claims[c.name] {
			t.Errorf("the claim of %s is another one", c.name)
		}
	}
}

// New Clusters use the pool of the highest priority that there is, old ones stay.
func TestPriority(t *testing.T) {
	w := newWorld(t).judged()
	k := w.gatedClass(controlPlane)
	low := w.pool(serving(controlPlane, k), annotated(poolPriority, "-1"))
	old := w.cluster(k)
	old.becomes(has(controlPlane, low.address(0)))
	high := w.pool(serving(controlPlane, k), size(1), annotated(poolPriority, "10"))
	w.cluster(k).becomes(has(controlPlane, high.address(0)))
	high.uses(1)
	w.cluster(k).becomes(has(controlPlane, low.address(1)))
	old.is(has(controlPlane, low.address(0)))
	low.uses(2)
}
