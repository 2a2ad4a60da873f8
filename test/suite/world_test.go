package suite

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
)

// world is what one test works in: a namespace of its own.
type world struct {
	*environment
	t         *testing.T
	namespace string
	// filter is the watch-filter value of the Clusters that the world makes.
	filter string
	// begin is where the audit log stood when the world was made.
	begin int64
	// made counts the objects that were given a name.
	made int
	// beacon is the class of barriers, once there was one.
	beacon *class
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
	w.begin = w.mark()
	w.namespace = w.newNamespace()
	t.Cleanup(func() {
		if t.Failed() {
			w.dump()
		}
	})
	return w
}

var (
	worlds  atomic.Int64
	foreign = regexp.MustCompile(`[^a-z0-9]+`)
)

// newNamespace makes a namespace named after the test.
func (w *world) newNamespace() string {
	w.t.Helper()
	const limit = 40
	name := foreign.ReplaceAllString(strings.ToLower(strings.TrimPrefix(w.t.Name(), "Test")), "-")
	name = strings.Trim(name[:min(len(name), limit)], "-")
	name = fmt.Sprintf("%s-%d", name, worlds.Add(1))
	w.apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}")
	return name
}

// apply applies a YAML stream as the administrator.
func (w *world) apply(content string) {
	w.t.Helper()
	if err := w.management.Apply(w.t.Context(), []byte(content)); err != nil {
		w.t.Fatal(err)
	}
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
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("wait until %s: not within %s: %v", what, limit, err)
		}
		time.Sleep(interval)
	}
}

var subnets atomic.Int64

// newSubnet returns the first three numbers of a /24 that nobody else uses.
func newSubnet() string {
	n := subnets.Add(1)
	return fmt.Sprintf("10.%d.%d", 100+n/250, n%250)
}

// newIP returns an address that no pool holds and nobody else uses.
func newIP() string { return newSubnet() + ".200" }

// startAllocator starts an allocator that serves the world's Clusters alone, from
// now on instead of the shared one. It is killed at the end of the test, if it runs.
func (w *world) startAllocator(args ...string) *allocator.Process {
	w.t.Helper()
	return w.startAllocatorAs(w.kubeconfig, args...)
}

// startAllocatorAs is startAllocator with another way to the API server.
func (w *world) startAllocatorAs(kubeconfig string, args ...string) *allocator.Process {
	w.t.Helper()
	w.filter = w.namespace
	w.made++
	log := filepath.Join(w.t.TempDir(), fmt.Sprintf("allocator-%d.log", w.made))
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
