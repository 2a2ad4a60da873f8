package suite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A Cluster that finds no pool makes no claim, and is served as soon as a pool comes,
// whatever brings it.
func TestWaitingIsEndedBy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		// hinder makes the pool useless, help undoes that.
		hinder, help func(p *pool)
		reason       string
	}{
		"a pool": {func(*pool) {}, (*pool).create, "NoPool"},
		"a label": {
			func(p *pool) { labelled(poolRole, "ingress")(p.draft); p.create() },
			func(p *pool) { p.change(labelled(poolRole, "control-plane")) }, "NoPool",
		},
		"the end of a pause": {
			func(p *pool) { annotated(pausedAnnotation, "")(p.draft); p.createUncounted() },
			func(p *pool) { p.change(without(pausedAnnotation)) }, "PoolPaused",
		},
		"space": {
			func(p *pool) { size(1)(p.draft); p.draft.Spec.Addresses[0] = p.address(0); p.create(); p.take("taken") },
			func(p *pool) { p.giveBack("taken") }, "PoolExhausted",
		},
		"a larger range": {
			func(p *pool) { p.draft.Spec.Addresses[0] = p.address(0); p.create(); p.take("taken") },
			func(p *pool) {
				p.change(poolFunc(func(o *poolObject) { o.Spec.Addresses = append(o.Spec.Addresses, p.address(1)) }))
			}, "PoolExhausted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			k := w.class(declares("clusterVip", text))
			p := w.draftPool(serving(controlPlane, k))
			test.hinder(p)
			c := w.cluster(k)
			c.becomes(reason(controlPlane, test.reason))
			w.barrier()
			if c.claim(controlPlane) != nil {
				t.Error("a waiter holds a claim")
			}
			c.rests()
			test.help(p)
			c.becomes(reason(controlPlane, "Allocated", p.name))
		})
	}
}

// createUncounted creates a pool whose provider will not look at it.
func (p *pool) createUncounted() {
	p.w.t.Helper()
	create(p.w, p.resource, p.draft)
}

// A pool that is on its way out serves nobody new.
func TestWaitingDeletedPool(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k), poolFunc(func(o *poolObject) { o.Finalizers = []string{"example.com/kept"} }))
	p.remove()
	c := w.cluster(k)
	c.becomes(reason(controlPlane, "PoolDeleting", p.name))
	w.barrier()
	if claims := c.claims(); len(claims) > 0 {
		t.Errorf("there are claims: %q", claims)
	}
	other := w.pool(serving(controlPlane, k))
	c.becomes(reason(controlPlane, "Allocated", other.name))
	p.change(poolFunc(func(o *poolObject) { o.Finalizers = nil }))
}

// More Clusters than addresses: as many as there are addresses get one, the others
// say why not, and each address that comes back goes to the oldest of them.
func TestWaitingCrowd(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	w.pool(serving(controlPlane, k), size(3))
	var crowd []*cluster
	for range 7 {
		crowd = append(crowd, w.cluster(k))
	}
	done, waiting := w.settled(crowd, 3)
	for len(waiting) > 0 {
		oldest := waiting[0]
		done[0].remove()
		w.gone(observe.Clusters, w.namespace, done[0].name)
		crowd = slices.DeleteFunc(crowd, func(c *cluster) bool { return c == done[0] })
		if done, waiting = w.settled(crowd, 3); !slices.Contains(done, oldest) {
			t.Errorf("Cluster %s waited longest and was passed over", oldest.name)
		}
	}
	w.eventually("nobody who waits holds a claim", func() error {
		if claims := list[ipamv1.IPAddressClaim](w, observe.Claims, w.namespace, poolRole); len(claims) > 3 {
			return fmt.Errorf("there are %d claims", len(claims))
		}
		return nil
	})
}

// settled waits until so many of the crowd are served and the others say that the
// pool is exhausted; it returns both, the oldest first.
func (w *world) settled(crowd []*cluster, served int) (done, waiting []*cluster) {
	w.t.Helper()
	created := map[*cluster]time.Time{}
	w.eventually(fmt.Sprintf("%d are served, the others wait", served), func() error {
		done, waiting = nil, nil
		for _, c := range crowd {
			object := c.now()
			created[c] = object.CreationTimestamp.Time
			switch {
			case reason(controlPlane, "Allocated")(object) == nil:
				done = append(done, c)
			case reason(controlPlane, "PoolExhausted")(object) == nil:
				waiting = append(waiting, c)
			}
		}
		if len(done) != served || len(waiting) != len(crowd)-served {
			return fmt.Errorf("%d are served, %d wait", len(done), len(waiting))
		}
		return nil
	})
	// Creation is known by the second; within one the name decides.
	slices.SortFunc(waiting, func(a, b *cluster) int {
		return cmp.Or(created[a].Compare(created[b]), strings.Compare(a.name, b.name))
	})
	return done, waiting
}
