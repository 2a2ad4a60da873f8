package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Second
	}
	for name, test := range map[string]struct {
		p         float64
		durations []time.Duration
		want      time.Duration
	}{
		"nothing":         {0.5, nil, 0},
		"one":             {0.95, []time.Duration{time.Second}, time.Second},
		"p50 of hundred":  {0.5, hundred, 50 * time.Second},
		"p95 of hundred":  {0.95, hundred, 95 * time.Second},
		"most of hundred": {1, hundred, 100 * time.Second},
	} {
		if got := Quantile(test.p, test.durations); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// TestDone sends the events of one Cluster to a recorder: it is done when the
// last of claims and Cluster is.
func TestDone(t *testing.T) {
	key := types.NamespacedName{Namespace: "n", Name: "c"}
	begin := time.Now()
	r := newRecorder()
	cluster := newCluster(key)
	r.onCluster(observe.Event[clusterv1.Cluster]{At: begin, Object: cluster})
	for i, role := range roles {
		claim := &ipamv1.IPAddressClaim{}
		claim.Namespace, claim.Name = "n", role
		claim.OwnerReferences = []metav1.OwnerReference{{Kind: "Cluster", Name: "c"}}
		claim.Labels = map[string]string{observe.RoleLabel: role}
		claim.Status.AddressRef.Name = role
		r.onClaim(observe.Event[ipamv1.IPAddressClaim]{At: begin.Add(time.Duration(i+1) * time.Second), Object: claim})
	}
	if r.finished("n") != 0 {
		t.Error("done before the cluster carries its VIPs")
	}
	carry(cluster, map[string]string{observe.ControlPlane: "10.0.0.1", observe.Ingress: "10.0.1.1"})
	r.onCluster(observe.Event[clusterv1.Cluster]{At: begin.Add(4 * time.Second), Object: cluster})
	if r.finished("n") != 1 {
		t.Fatal("not done with everything in place")
	}
	crowd := Crowd{clusters: []timeline{r.timelines("n")[key]}}
	if got := crowd.ToDone()[0]; got != 4*time.Second {
		t.Errorf("done after %s, want 4s", got)
	}
	if got := Quantile(1, crowd.BoundToPublished()); got != 3*time.Second {
		t.Errorf("claim bound to published took %s, want 3s", got)
	}
	r.onCluster(observe.Event[clusterv1.Cluster]{Deleted: true, Object: cluster})
	if r.empty("n") {
		t.Error("empty with claims left")
	}
}

// TestLateWatch has a watch show the Cluster's VIPs a minute after they were written:
// what counts is the write that it showed, neither a refused one nor a later one.
func TestLateWatch(t *testing.T) {
	begin := time.Now()
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	write := func(agent, verb, resource, name string, code, answered int) audit.Event {
		event := audit.Event{Verb: verb, UserAgent: agent + "/dev", Received: at(answered - 1), Answered: at(answered)}
		event.Object.Resource, event.Object.Namespace, event.Object.Name = resource, "n", name
		event.Response.Code = code
		return event
	}
	key := types.NamespacedName{Namespace: "n", Name: "c"}
	claim := ipamv1.IPAddressClaim{}
	claim.OwnerReferences = []metav1.OwnerReference{{Kind: "Cluster", Name: "c"}}
	claim.Labels = map[string]string{observe.RoleLabel: observe.Ingress}
	r := newRecorder()
	r.claims[types.NamespacedName{Namespace: "n", Name: "claim"}] = claim
	timelines := map[types.NamespacedName]timeline{key: {
		created: at(10), carried: at(60),
		published: map[string]time.Time{observe.Ingress: at(60)}, bound: map[string]time.Time{observe.Ingress: at(30)},
	}}
	r.written(timelines, Requests{
		write(scriptAgent, "create", "clusters", "c", 201, 1),
		write("ipam", "patch", "ipaddressclaims", "claim", 200, 3),
		write(observe.UserAgent, "patch", "clusters", "c", 422, 4),
		write(observe.UserAgent, "patch", "clusters", "c", 200, 5),
		write("kubectl", "patch", "clusters", "c", 200, 7),
		write(observe.UserAgent, "patch", "clusters", "c", 200, 90),
	})
	got := timelines[key]
	for name, test := range map[string]struct{ got, want time.Time }{
		"created": {got.created, at(1)}, "carried": {got.carried, at(5)},
		"published": {got.published[observe.Ingress], at(5)}, "bound": {got.bound[observe.Ingress], at(3)},
	} {
		if !test.got.Equal(test.want) {
			t.Errorf("%s at %s, want %s", name, test.got.Sub(begin), test.want.Sub(begin))
		}
	}
}

func TestReportHoldsEverything(t *testing.T) {
	crowd := Crowd{Total: 2 * time.Second, clusters: []timeline{{}}}
	write := audit.Event{Verb: "patch", UserAgent: observe.UserAgent + "/dev"}
	write.Object.Resource, write.Response.Code = "clusters", 200
	ours := crowd
	ours.Total, ours.Requests = 3*time.Second, Requests{write}
	report := Report{
		Options: Options{Clusters: 1, Alone: 1, Backlog: 1, Built: true, Quiet: time.Second},
		Rounds:  []Round{{Floor: crowd, Ours: ours, Usage: allocator.Usage{PeakRSS: 64 << 20}}, {Floor: crowd, Ours: ours}},
		Alone:   Alone{Script: []time.Duration{2 * time.Second}, Ours: []time.Duration{time.Second}},
		Backlog: []Backlog{
			{Provider: 10 * time.Second, Served: []Served{{Gate: "one", Bound: 8 * time.Second, Ours: 12 * time.Second}}},
			{Provider: 10 * time.Second, Served: []Served{{Gate: "one", Bound: 8 * time.Second, Ours: 14 * time.Second}}},
		},
	}
	report.Built = []Built{{
		Typed: Building{Name: "typed", Last: 6 * time.Second}, Provider: 4 * time.Second,
		Gates: []Building{{Name: "gated", Each: []time.Duration{time.Second, 7 * time.Second, 9 * time.Second}, Last: 17 * time.Second, Requests: Requests{write, write}}},
	}}
	var out bytes.Buffer
	report.Print(&out)
	for _, want := range []string{"1.50", "0.50", "64.0 MiB", "patch clusters", "none", "median 1.50", "1.20", "1.40", "1.30", "1.62", "10.000s", "7.000s", "17.000s", "1.70", "2.00"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
