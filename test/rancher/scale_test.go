package rancher

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

const (
	// crowdLimit bounds what is done to all of them.
	crowdLimit = 5 * time.Minute
	// mostMemory is what carrying their VIPs may cost.
	mostMemory = 30 << 20
)

// waiting is a class whose Clusters are never built: Cluster API would be busy with
// them for long.
const waiting = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: waiting, namespace: %[1]s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: plain}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: plain}}
  variables:
    - {name: never, required: false, schema: {openAPIV3Schema: {type: string}}}
  patches:
    - name: never
      definitions:
        - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
          jsonPatches: [{op: add, path: /spec/template/spec/build, valueFrom: {variable: never}}]
`

var crowd = flag.Int("crowd", 2000, "with -long: the Clusters whose VIPs are carried at scale")

// What 2000 Clusters with Rancher and Fleet objects cost: one write each, none any more
// afterwards, and little memory.
func TestScale(t *testing.T) {
	if !*long {
		t.Skip("takes minutes: -long")
	}
	// On a management cluster of its own: 2000 Clusters are a burden for the other tests.
	e := &environment{}
	t.Cleanup(func() {
		if err := e.stop(); err != nil {
			t.Error(err)
		}
	})
	if err := e.start(context.Background()); err != nil {
		t.Fatal(err)
	}
	w := e.newWorld(t)
	w.filter = w.namespace
	w.apply(fmt.Sprintf(waiting, w.namespace))
	if err := observe.AwaitClass(t.Context(), w.client, w.namespace, "waiting"); err != nil {
		t.Fatal(err)
	}
	w.populate()

	// Twice the same allocator, once without the rights: it sees the same Clusters.
	rights := strings.ReplaceAll(fmt.Sprintf(plainRights, chart.ManagerName, allocator.Namespace), "no-propagation", "scale")
	w.apply(rights)
	kubeconfig, err := w.management.User("scale")
	if err != nil {
		t.Fatal(err)
	}
	without := w.weigh("without propagation", kubeconfig)

	since, begin := w.mark(), time.Now()
	p := w.startFrugal(w.kubeconfig)
	w.within(crowdLimit, "all Rancher Clusters have their VIP", func() error {
		if n := w.carried(since); n < *crowd {
			return fmt.Errorf("%d have", n)
		}
		return nil
	})
	t.Logf("%d Rancher Clusters got their VIP %s after the start", *crowd, time.Since(begin).Round(100*time.Millisecond))
	w.settle()
	if n := len(w.targetWrites(since)); n != *crowd {
		t.Errorf("%d writes, want one for each of %d", n, *crowd)
	}
	stop(t, p)

	// A restart, then Rancher at work on all of them.
	since = w.mark()
	with := w.weigh("with propagation", w.kubeconfig)
	if writes := w.targetWrites(since); len(writes) > 0 {
		t.Errorf("%d writes in steady state, one is %+v", len(writes), writes[0])
	}
	more := with - without
	t.Logf("propagation of %d Clusters takes %.1f MB", *crowd, float64(more)/(1<<20))
	if more > mostMemory {
		t.Errorf("that is more than %d MB", mostMemory>>20)
	}
}

// weigh runs an allocator, lets Rancher write every object of the crowd meanwhile, and
// returns what is live on its heap, in bytes.
func (w *world) weigh(what, kubeconfig string) int64 {
	w.t.Helper()
	p := w.startFrugal(kubeconfig)
	defer stop(w.t, p)
	w.settle()
	w.heartbeat()
	w.settle()
	series, err := p.Series(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	usage, err := p.Usage()
	if err != nil {
		w.t.Fatal(err)
	}
	// The heap at which the next collection begins is so much over what was live.
	live := series["go_memstats_next_gc_bytes"] * 100 / (100 + frugal)
	w.t.Logf("%s: live heap %.1f MB, resident %.1f MB, CPU time %s", what, live/(1<<20), float64(usage.RSS)/(1<<20), usage.CPU.Round(10*time.Millisecond))
	return int64(live)
}

// frugal is how much garbage there may be, in percent of what is live.
const frugal = 10

// startFrugal starts an allocator that collects its garbage often, so that there is
// something to compare.
func (w *world) startFrugal(kubeconfig string) *allocator.Process {
	w.t.Helper()
	p, err := allocator.Start(w.t.Context(), allocator.Options{
		Kubeconfig: kubeconfig, Args: []string{"--watch-filter=" + w.filter, "--fleet-workspaces=" + w.workspace},
		LogFile: w.logs + "/allocator-" + w.namespace + ".log",
		Env:     []string{fmt.Sprintf("GOGC=%d", frugal)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Kill)
	return p
}

func stop(t *testing.T, p *allocator.Process) {
	t.Helper()
	if _, err := p.Stop(); err != nil {
		t.Error(err)
	}
}

// settle waits until the allocators have asked for nothing but Leases for a while.
func (w *world) settle() {
	w.t.Helper()
	const quiet = 3 * time.Second
	seen, since := -1, time.Now()
	begin := w.mark()
	w.within(crowdLimit, "the allocators rest", func() error {
		now := len(w.requests(begin, audit.Event.IsWrite, func(e audit.Event) bool { return e.Object.Resource != "leases" }))
		if now != seen {
			seen, since = now, time.Now()
		}
		if time.Since(since) < quiet {
			return fmt.Errorf("there were %d writes", now)
		}
		return nil
	})
}

// targetWrites are the accepted writes of Rancher and Fleet objects since the mark.
func (w *world) targetWrites(since int64) []audit.Event {
	w.t.Helper()
	return w.requests(since, audit.Event.IsWrite, func(e audit.Event) bool {
		return strings.HasSuffix(e.Object.Group, "cattle.io") && e.Response.Code < 300
	})
}

// carried counts the Rancher Clusters that were written since the mark.
func (w *world) carried(since int64) int {
	w.t.Helper()
	names := map[string]bool{}
	for _, e := range w.targetWrites(since) {
		names[e.Object.Name] = true
	}
	return len(names)
}

// populate makes Clusters with a VIP, each with its Rancher Cluster and the Fleet
// Cluster that Rancher makes of that. These have the annotations that make such objects
// large.
func (w *world) populate() {
	w.t.Helper()
	applied := strings.Repeat("H4sIAAAAAAAA", 200)
	begin := time.Now()
	w.forAll(func(ctx context.Context, i int) error {
		address := fmt.Sprintf("10.9.%d.%d", i/250, i%250)
		c := newObject("cluster.x-k8s.io/v1beta2", "Cluster", w.namespace, crowdName(i))
		c.SetAnnotations(ingressAt(address))
		c.SetLabels(map[string]string{"cluster.x-k8s.io/watch-filter": w.filter})
		c.Object["spec"] = map[string]any{"topology": map[string]any{
			"classRef": map[string]any{"name": "waiting"}, "version": "v1.36.3", "controlPlane": map[string]any{"replicas": int64(1)},
		}}
		r := newObject("management.cattle.io/v3", "Cluster", "", crowdTarget(i))
		r.SetLabels(map[string]string{importedName: crowdName(i), importedNamespace: w.namespace, "cluster-api.cattle.io/owned": ""})
		r.SetAnnotations(map[string]string{"objectset.rio.cattle.io/applied": applied, "lifecycle.cattle.io/create.cluster-agent-controller-cleanup": "true"})
		r.Object["spec"] = map[string]any{"displayName": crowdName(i), "fleetWorkspaceName": w.workspace, "imported": true}
		f := newObject("fleet.cattle.io/v1alpha1", "Cluster", w.workspace, crowdTarget(i))
		f.SetLabels(map[string]string{derived: crowdTarget(i)})
		f.SetAnnotations(map[string]string{"objectset.rio.cattle.io/applied": applied})
		for _, made := range []struct {
			resource schema.GroupVersionResource
			object   *unstructured.Unstructured
		}{{observe.Clusters, c}, {rancherClusters, r}, {fleetClusters, f}} {
			if _, err := w.in(made.resource, made.object.GetNamespace()).Create(ctx, made.object, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	w.t.Logf("%d Clusters with their objects were made in %s", *crowd, time.Since(begin).Round(time.Second))
}

// heartbeat writes what Rancher and Fleet write into their objects all the time.
func (w *world) heartbeat() {
	w.t.Helper()
	beat := fmt.Appendf(nil, `{"metadata":{"annotations":{"lifecycle.cattle.io/heartbeat":"%d"}}}`, w.mark())
	w.forAll(func(ctx context.Context, i int) error {
		if _, err := w.in(rancherClusters, "").Patch(ctx, crowdTarget(i), types.MergePatchType, beat, metav1.PatchOptions{}); err != nil {
			return err
		}
		_, err := w.in(fleetClusters, w.workspace).Patch(ctx, crowdTarget(i), types.MergePatchType, beat, metav1.PatchOptions{})
		return err
	})
}

func crowdName(i int) string { return fmt.Sprintf("prod-%04d", i) }

func crowdTarget(i int) string { return fmt.Sprintf("c-%05d", i) }

// forAll does something for each of the crowd, some at a time.
func (w *world) forAll(do func(ctx context.Context, i int) error) {
	w.t.Helper()
	const atOnce = 8
	group, ctx := errgroup.WithContext(w.t.Context())
	group.SetLimit(atOnce)
	for i := range *crowd {
		group.Go(func() error { return do(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		w.t.Fatal(err)
	}
}
