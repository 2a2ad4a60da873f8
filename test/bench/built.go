package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// infrastructure is what Cluster API builds first of a Cluster of the demo classes.
var infrastructure = schema.GroupVersionResource{Group: "infrastructure.cluster.x-k8s.io", Version: "v1beta2", Resource: "democlusters"}

// Built is how long Clusters that are created at once take until their infrastructure
// exists, which is when their users stop waiting. All of it is measured in one run.
type Built struct {
	// Typed are Clusters with their VIPs typed in, while no allocator runs.
	Typed Building
	// Provider is what the IPAM provider takes for the claims of as many Clusters, while
	// nothing else happens.
	Provider time.Duration
	Gates    []Building // as asked for
}

// Building are Clusters created at once.
type Building struct {
	Name string
	// Each are the times from a Cluster's creation to its infrastructure, and Last is the
	// time from the first creation to the last infrastructure.
	Each     []time.Duration
	Last     time.Duration
	Requests Requests // by everybody, until all is built
}

// Floor is what nobody can undercut who takes addresses from the provider: it binds one
// claim at a time, and Cluster API builds one Cluster after another.
func (b Built) Floor() time.Duration { return b.Typed.Last + b.Provider }

// Ratio is what the Clusters take for each second of the floor.
func (b Built) Ratio(of Building) float64 { return of.Last.Seconds() / b.Floor().Seconds() }

// built measures the floor and then each gate, as often as there are rounds.
func (w *world) built(ctx context.Context, o Options, installed allocator.Options) (all []Built, err error) {
	for i := 1; i <= o.Rounds; i++ {
		result, err := w.builtOnce(ctx, i, o, installed)
		if err != nil {
			return nil, fmt.Errorf("round %d until infrastructure exists: %w", i, err)
		}
		all = append(all, result)
	}
	return all, nil
}

func (w *world) builtOnce(ctx context.Context, round int, o Options, installed allocator.Options) (result Built, err error) {
	w.say("infrastructure %d: %d clusters with VIPs typed in", round, o.Clusters)
	typed := gates.Gate{Name: "VIPs typed in", Class: gates.ByVariable}
	if result.Typed, err = w.building(ctx, fmt.Sprintf("typed-%d", round), typed, o.Clusters, w.script.typedWithoutClaims); err != nil {
		return result, err
	}
	w.say("infrastructure %d: the provider alone", round)
	if result.Provider, err = w.providerAlone(ctx, fmt.Sprintf("provider-%d", round), o.Clusters); err != nil {
		return result, err
	}
	process, err := allocator.Start(ctx, installed)
	if err != nil {
		return result, err
	}
	defer process.Kill() // for the errors below; harmless after Stop
	for i, gate := range o.Gates {
		w.say("infrastructure %d: %s: %d clusters without VIPs", round, gate.Name, o.Clusters)
		building, err := w.building(ctx, fmt.Sprintf("built-%d-%d", round, i), gate, o.Clusters, w.script.plainCluster)
		if err != nil {
			return result, fmt.Errorf("%s: %w; end of the allocator's log:\n%s", gate.Name, err, process.LogTail())
		}
		w.say("infrastructure %d: %s: after %s, %s times the floor", round, gate.Name, seconds(building.Last), number(result.Ratio(building)))
		result.Gates = append(result.Gates, building)
	}
	_, err = process.Stop()
	return result, err
}

// building creates n Clusters at once and waits until all have infrastructure. One goes
// first: what happens only the first time is not the subject.
func (w *world) building(ctx context.Context, namespace string, gate gates.Gate, n int, create creator) (Building, error) {
	if err := w.createNamespace(ctx, namespace, gate.Labels); err != nil {
		return Building{}, err
	}
	if err := w.classOf(ctx, namespace, gates.Class(namespace, gate.Class)); err != nil {
		return Building{}, err
	}
	if _, err := w.build(ctx, namespace, 1, create); err != nil {
		return Building{}, fmt.Errorf("warm-up: %w", err)
	}
	if err := w.clear(ctx, namespace); err != nil {
		return Building{}, err
	}
	if err := w.collectGarbage(ctx); err != nil {
		return Building{}, err
	}
	result, err := w.build(ctx, namespace, n, create)
	if err != nil {
		return Building{}, err
	}
	result.Name = gate.Name
	return result, w.clear(ctx, namespace)
}

func (w *world) build(ctx context.Context, namespace string, n int, create creator) (result Building, err error) {
	position, err := w.audit.Position()
	if err != nil {
		return result, err
	}
	begin := time.Now()
	if err := createAll(ctx, namespace, n, creators, create); err != nil {
		return result, err
	}
	// Seldom: the times come from the audit log.
	const interval = 500 * time.Millisecond
	deadline := begin.Add(patience)
	for count := 0; count < n; {
		if err := sleep(ctx, interval); err != nil {
			return result, err
		}
		list, err := w.client.Resource(infrastructure).Namespace(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return result, err
		}
		if count = len(list.Items); time.Now().After(deadline) {
			return result, fmt.Errorf("%d of %d clusters have infrastructure after %s", count, n, patience)
		}
	}
	if result.Requests, err = w.audit.Since(position); err != nil {
		return result, err
	}
	created := map[string]time.Time{}
	for _, event := range audit.Keep(result.Requests, audit.Event.IsWrite, audit.Event.Accepted) {
		o := event.Object
		const madeNow = 201 // also by server-side apply
		switch {
		case o.Namespace != namespace || event.Response.Code != madeNow:
		case o.Resource == "clusters" && o.Group != infrastructure.Group:
			created[o.Name] = event.Answered
		case o.Resource == infrastructure.Resource:
			// Its name is that of the Cluster and a suffix.
			cluster := o.Name[:max(strings.LastIndexByte(o.Name, '-'), 0)]
			result.Each = append(result.Each, event.Answered.Sub(created[cluster]))
			result.Last = max(result.Last, event.Answered.Sub(begin))
		}
	}
	if len(result.Each) != n {
		return result, fmt.Errorf("the audit log has the creation of %d infrastructure objects, want %d", len(result.Each), n)
	}
	return result, nil
}

// providerAlone has the provider bind the claims of n Clusters, which do not exist.
func (w *world) providerAlone(ctx context.Context, namespace string, n int) (took time.Duration, err error) {
	if err := w.createNamespace(ctx, namespace, ""); err != nil {
		return 0, err
	}
	position, err := w.audit.Position()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	err = createAll(ctx, namespace, n, creators, func(ctx context.Context, key types.NamespacedName, _ int) error {
		nobody := &unstructured.Unstructured{}
		nobody.SetNamespace(key.Namespace)
		nobody.SetName(key.Name)
		return w.script.createClaims(ctx, nobody)
	})
	if err != nil {
		return 0, err
	}
	if err := w.recorder.await(ctx, func() bool { return w.recorder.boundIn(namespace) == len(roles)*n }); err != nil {
		return 0, fmt.Errorf("%d of %d claims are bound: %w", w.recorder.boundIn(namespace), len(roles)*n, err)
	}
	events, err := w.audit.Since(position)
	if err != nil {
		return 0, err
	}
	for _, event := range audit.Keep(events, audit.Event.IsWrite, audit.Event.Accepted, audit.By("ipam")) {
		if event.Object.Namespace == namespace && event.Object.Resource == "ipaddressclaims" && event.Object.Subresource == "status" {
			took = max(took, event.Answered.Sub(begin))
		}
	}
	claims := w.client.Resource(observe.Claims).Namespace(namespace)
	if err := claims.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return 0, err
	}
	if err := w.recorder.await(ctx, func() bool { return w.recorder.empty(namespace) }); err != nil {
		return 0, fmt.Errorf("claims of %s are left: %w", namespace, err)
	}
	return took, nil
}

func printBuilt(out io.Writer, rounds []Built, clusters int) {
	for i, b := range rounds {
		t := newTable("", "create → infrastructure, p50", "until the last one", "÷ floor", "writes per cluster", "of the allocator")
		row := func(of Building, ratio string) {
			writes := of.Requests.Writes()
			t.AppendRow(table.Row{
				of.Name, seconds(Quantile(0.5, of.Each)), seconds(of.Last), ratio,
				number(float64(len(writes)) / float64(clusters)), number(float64(len(writes.ofAllocator())) / float64(clusters)),
			})
		}
		row(b.Typed, "")
		t.AppendRow(table.Row{"the provider alone", "", seconds(b.Provider), "", "", ""})
		t.AppendRow(table.Row{"floor: both", "", seconds(b.Floor()), "1.00", "", ""})
		t.AppendSeparator()
		for _, gate := range b.Gates {
			row(gate, number(b.Ratio(gate)))
		}
		render(out, fmt.Sprintf("%d clusters at once, until the last infrastructure exists, round %d", clusters, i+1), t)
	}
	fmt.Fprintln(out, "VIPs typed in: no claims, no allocator. The provider alone: as many claims as the clusters need, and nothing else.")
}
