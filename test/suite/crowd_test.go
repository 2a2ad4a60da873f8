package suite

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Many Clusters wait on a pool of one address, which grows by one again and again.
// Each time one of them is served, the oldest first, and nobody else is written. It
// runs alone: a crowd keeps the IPAM provider, which handles one claim at a time,
// from everybody else.
func TestCrowd(t *testing.T) {
	w := newLonelyWorld(t).judged()
	w.leaveShared()
	count, growth := 60, 15
	if *long {
		count, growth = 1000, 50
	}
	k := w.gatedClass(controlPlane)
	pool := w.pool(serving(controlPlane, k), size(1))
	pool.take("stranger") // so that they all wait from the start
	p := w.startAllocator()
	crowd := w.followCrowd()
	begin := time.Now()
	for i := range count {
		w.cluster(k, named(fmt.Sprintf("c%04d", i)))
	}
	w.within(5*time.Minute, "all wait and say so", func() error { return crowd.counts(0, count) })
	t.Logf("%d Clusters wait after %s", count, time.Since(begin).Round(time.Second))
	ordered := crowd.byAge()
	served := []string{}
	var slowest time.Duration
	since := w.mark()
	for n := range growth {
		begin := time.Now()
		pool.change(size(2 + n))
		w.eventually(fmt.Sprintf("address %d has a winner", n+1), func() error { return crowd.counts(n+1, count-n-1) })
		slowest = max(slowest, time.Since(begin))
		for _, name := range crowd.served() {
			if !slices.Contains(served, name) {
				served = append(served, name)
			}
		}
		if len(served) != n+1 {
			t.Fatalf("%d Clusters were served by %d addresses", len(served), n+1)
		}
	}
	t.Logf("%d addresses went to one each, the slowest in %s", growth, slowest.Round(time.Millisecond))
	w.fair(ordered, served)
	w.cheap(since, served)
	// A restart of the allocator wakes everybody once and writes nothing.
	p.Kill()
	since = w.mark()
	w.startAllocator()
	w.barrier()
	for _, e := range w.writes(since, inCrowd) {
		t.Errorf("after the restart: %s", describe(e))
	}
}

var member = regexp.MustCompile(`c\d{4}$`)

// inCrowd keeps what is about the crowd, events apart.
func inCrowd(e audit.Event) bool {
	return e.Object.Resource != "events" && member.MatchString(e.Object.Name)
}

// fair expects that the oldest were served. The age of a Cluster has a resolution of
// a second, so those of one second are alike. One that something else woke at the
// right moment may jump the queue.
func (w *world) fair(ordered []*clusterv1.Cluster, served []string) {
	w.t.Helper()
	last := ordered[len(served)-1].CreationTimestamp
	var jumped []string
	for _, o := range ordered {
		if slices.Contains(served, o.Name) && last.Before(&o.CreationTimestamp) {
			jumped = append(jumped, o.Name)
		}
	}
	w.t.Logf("served although older ones waited: %q", jumped)
	if len(jumped) > len(served)/5 {
		w.t.Errorf("%d of %d jumped the queue", len(jumped), len(served))
	}
}

// cheap expects at most three writes for each winner and none for the others, events
// and conditions apart.
func (w *world) cheap(since int64, served []string) {
	w.t.Helper()
	writes, creates := map[string]int{}, 0
	for _, e := range w.writes(since) {
		switch e.Resource() {
		case "events", "clusters/status":
		case "ipaddressclaims":
			creates++
			if e.Verb != "create" {
				writes[e.Object.Name]++
			}
		default:
			writes[e.Object.Name]++
		}
	}
	if creates > len(served) {
		w.t.Errorf("%d claims were written for %d winners", creates, len(served))
	}
	for name, n := range writes {
		if !slices.Contains(served, name) {
			w.t.Errorf("%d writes for %s, which won nothing", n, name)
		}
		if n > 2 {
			w.t.Errorf("%d writes for %s beside its claim", n, name)
		}
	}
}

// followed are the Clusters of a world as a watch shows them: reading all of them
// again and again would cost more than the test.
type followed struct {
	mutex  sync.Mutex
	latest map[string]*clusterv1.Cluster
}

func (w *world) followCrowd() *followed {
	w.t.Helper()
	f := &followed{latest: map[string]*clusterv1.Cluster{}}
	err := observe.Watch(w.t.Context(), w.client, observe.Clusters, func(e observe.Event[clusterv1.Cluster]) {
		if e.Object.Namespace != w.namespace {
			return
		}
		f.mutex.Lock()
		defer f.mutex.Unlock()
		if f.latest[e.Object.Name] = e.Object; e.Deleted {
			delete(f.latest, e.Object.Name)
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

func (f *followed) served() []string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var names []string
	for name, o := range f.latest {
		if o.Spec.ControlPlaneEndpoint.Host != "" {
			names = append(names, name)
		}
	}
	return names
}

// counts tells whether so many are served, and so many wait and say so.
func (f *followed) counts(served, waiting int) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	reasons := map[string]int{}
	for _, o := range f.latest {
		reasons[reasonOf(o, controlPlane)]++
	}
	if reasons["Allocated"] != served || reasons["PoolExhausted"] != waiting {
		return fmt.Errorf("reasons are %v, want %d Allocated and %d PoolExhausted", reasons, served, waiting)
	}
	return nil
}

func (f *followed) byAge() []*clusterv1.Cluster {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return slices.SortedFunc(maps.Values(f.latest), func(a, b *clusterv1.Cluster) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
}
