package suite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// world is what one test works in: a namespace of its own.
type world struct {
	*environment
	t         *testing.T
	namespace string
	// filter is the watch-filter value of the Clusters that the world makes.
	filter string
	// made counts the objects that were given a name.
	made int
}

// newWorld makes a world for a test that runs beside others.
func newWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	t.Parallel()
	return newLonelyWorld(t)
}

// newLonelyWorld makes a world for a test that runs alone, because it disturbs
// others or would be disturbed.
func newLonelyWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	e := boot()
	if e == nil {
		t.Fatal("there is no environment")
	}
	w := &world{environment: e, t: t, filter: sharedFilter}
	w.namespace = w.newNamespace()
	t.Cleanup(func() {
		if t.Failed() {
			w.dump()
		}
	})
	return w
}

// newNamespace makes a namespace named after the test.
func (w *world) newNamespace() string {
	w.t.Helper()
	return w.scene.Namespace(w.t, "")
}

// apply applies a YAML stream as the administrator.
func (w *world) apply(content string) {
	w.t.Helper()
	w.scene.Apply(w.t, content)
}

// unique returns a name that no other world uses, for objects without a namespace.
func (w *world) unique(stem string) string {
	w.made++
	return fmt.Sprintf("%s-%s-%d", w.namespace, stem, w.made)
}

// eventually waits until check returns nil; what completes "wait until".
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	w.within(patience, what, check)
}

// within is eventually with a deadline of its own.
func (w *world) within(limit time.Duration, what string, check func() error) {
	w.t.Helper()
	scene.Until(w.t, limit, what, check)
}

// judged has package checker judge at the end whether the allocator broke one of its
// promises to the world's Clusters. So the test must not break them itself, as a user.
func (w *world) judged() *world {
	w.t.Cleanup(func() {
		w.t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience) // the test's own has ended
		defer cancel()
		violations, err := w.checker.Violations(ctx, w.namespace)
		if err != nil {
			w.t.Error(err)
		}
		const most = 5
		for i, v := range violations {
			if i == most {
				w.t.Errorf("and %d more", len(violations)-most)
				break
			}
			w.t.Errorf("%s: %s", v.Rule, v.Text)
		}
	})
	return w
}

var subnets atomic.Int64

// newSubnet returns the first three numbers of a /24 that nobody else uses.
func newSubnet() string {
	n := subnets.Add(1)
	return fmt.Sprintf("10.%d.%d", 100+n/250, n%250)
}

// newIP returns an address that no pool holds and nobody else uses.
func newIP() string { return newSubnet() + ".200" }

// leaveShared keeps the Clusters that the world makes from now on from the shared
// allocator.
func (w *world) leaveShared() { w.filter = w.namespace }

// startAllocator starts an allocator that serves the world's Clusters alone, from
// now on instead of the shared one. It is killed at the end of the test, if it runs.
func (w *world) startAllocator(args ...string) *allocator.Process {
	w.t.Helper()
	return w.startAllocatorAt(w.kubeconfig, args...)
}

// startAllocatorAt starts one that finds the API server elsewhere.
func (w *world) startAllocatorAt(kubeconfig string, args ...string) *allocator.Process {
	w.t.Helper()
	w.leaveShared()
	w.made++
	log := filepath.Join(w.scene.Logs, fmt.Sprintf("allocator-%s-%d.log", w.namespace, w.made))
	p, err := allocator.Start(w.t.Context(), allocator.Options{
		Kubeconfig: kubeconfig,
		Args:       append([]string{"--log-level=debug", "--watch-filter=" + w.filter}, args...),
		LogFile:    log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.Kill()
		if w.t.Failed() {
			w.t.Logf("an allocator of this test, %q:\n%s", args, lastLines(log, "", 60))
		}
	})
	return p
}
