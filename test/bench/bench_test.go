package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"

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
		claim.Labels = map[string]string{clusterv1.ClusterNameLabel: "c", observe.RoleLabel: role}
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
	crowd := Crowd{clusters: r.timelines("n")}
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

func TestReportHoldsEverything(t *testing.T) {
	crowd := Crowd{Total: 2 * time.Second, clusters: []timeline{{}}}
	write := audit.Event{Verb: "patch", UserAgent: observe.UserAgent + "/dev"}
	write.Object.Resource, write.Response.Code = "clusters", 200
	ours := crowd
	ours.Total, ours.Requests = 3*time.Second, Requests{write}
	report := Report{
		Options: Options{Clusters: 1, Alone: 1, Quiet: time.Second},
		Rounds:  []Round{{Floor: crowd, Ours: ours, Usage: allocator.Usage{PeakRSS: 64 << 20}}, {Floor: crowd, Ours: ours}},
		Alone:   Alone{Script: []time.Duration{2 * time.Second}, Ours: []time.Duration{time.Second}},
	}
	var out bytes.Buffer
	report.Print(&out)
	for _, want := range []string{"1.50", "0.50", "64.0 MiB", "patch clusters", "none", "median 1.50"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
