package metrics

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var gauges = []*Gauge{
	PoolsAvailable, PoolAddressesTotal, PoolAddressesFree, PoolAddressesUsed, ClaimsTotal, ClaimsReady, ClaimsPending,
	WaitingClusters, OldestWaiting, HeldClusters, OldestHeld, ClassGate,
}

// readAll gives each gauge one value.
func readAll(r Readings) error {
	for _, gauge := range gauges {
		r.Add(gauge, 1, gauge.labels...)
	}
	return nil
}

// Names, types and labels are what dashboards and alerts of users are built on.
func TestThePublicSeries(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := New(registry)
	m.Allocated(vip.Ingress, "rke2", time.Second, time.Second)
	m.Failed(vip.Ingress, "rke2", DuplicateRefused)
	m.Reconciled("rke2", Success, time.Second)
	m.Called("Discovery", "proceed", time.Second)
	m.Unreadable("Fleet Cluster", true)
	m.Show(readAll, gauges...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, family := range families {
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		got[strings.TrimPrefix(family.GetName(), "capi_vip_allocator_")] = fmt.Sprint(strings.ToLower(family.GetType().String()), " ", strings.Join(labels, ","))
	}
	want := map[string]string{
		"allocations_total":           "counter cluster_class,role",
		"allocation_errors_total":     "counter cluster_class,reason,role",
		"allocation_duration_seconds": "histogram cluster_class,role",
		"time_to_vip_seconds":         "histogram cluster_class,role",
		"pools_available":             "gauge cluster_class,role",
		"pool_addresses_total":        "gauge pool_name",
		"pool_addresses_free":         "gauge pool_name",
		"pool_addresses_used":         "gauge pool_name",
		"claims_total":                "gauge namespace,role",
		"claims_ready":                "gauge namespace,role",
		"claims_pending":              "gauge namespace,role",
		"waiting_clusters":            "gauge reason,role",
		"oldest_waiting_seconds":      "gauge reason,role",
		"held_clusters":               "gauge ",
		"oldest_held_seconds":         "gauge ",
		"class_gate":                  "gauge cluster_class,role,state",
		"reconcile_total":             "counter cluster_class,result",
		"reconcile_duration_seconds":  "histogram cluster_class",
		"hook_calls_total":            "counter hook,result",
		"hook_call_duration_seconds":  "histogram hook",
		"propagation_unreadable":      "gauge kind",
		"panics_total":                "counter ",
		"leader":                      "gauge ",
		"build_info":                  "gauge go_version,revision,version",
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is a %q, want %q", name, got[name], want[name])
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("there are also %v", got)
	}
}

// The waits of users are longer than those of requests.
func TestBucketsOfWaits(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	New(registry).Allocated(vip.Ingress, "rke2", 31*time.Second, -time.Second)
	for name, want := range map[string]float64{"allocation_duration_seconds": 31, "time_to_vip_seconds": 0} {
		histogram := gathered(t, registry, name).GetHistogram()
		var bounds []float64
		for _, bucket := range histogram.GetBucket() {
			bounds = append(bounds, bucket.GetUpperBound())
		}
		if !slices.Equal(bounds, []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}) {
			t.Errorf("%s has buckets %v", name, bounds)
		}
		if got := histogram.GetSampleSum(); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func gathered(t *testing.T, registry *prometheus.Registry, name string) *dto.Metric {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "capi_vip_allocator_"+name {
			return family.GetMetric()[0]
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// Two objects with the same labels are one series: two would fail the whole scrape.
func TestWhatIsReadTwiceIsOneSeries(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	reads := 0
	New(registry).Show(func(r Readings) error {
		reads++
		r.Add(ClaimsTotal, 1, "ingress", "a")
		r.Add(ClaimsTotal, 2, "ingress", "a")
		r.Add(ClaimsTotal, 4, "ingress", "b")
		r.Max(OldestWaiting, 3, "ingress", "NoPool")
		r.Max(OldestWaiting, 5, "ingress", "NoPool")
		r.Max(OldestWaiting, 4, "ingress", "NoPool")
		if reads > 1 {
			clear(r)
		}
		return nil
	}, ClaimsTotal, OldestWaiting)
	const want = `# HELP capi_vip_allocator_claims_total IPAddressClaims for VIPs.
# TYPE capi_vip_allocator_claims_total gauge
capi_vip_allocator_claims_total{namespace="a",role="ingress"} 3
capi_vip_allocator_claims_total{namespace="b",role="ingress"} 4
# HELP capi_vip_allocator_oldest_waiting_seconds How long the Cluster that has waited longest has lacked what the role needs.
# TYPE capi_vip_allocator_oldest_waiting_seconds gauge
capi_vip_allocator_oldest_waiting_seconds{reason="NoPool",role="ingress"} 5
`
	names := []string{"capi_vip_allocator_claims_total", "capi_vip_allocator_oldest_waiting_seconds"}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	if left, err := testutil.GatherAndCount(registry, names...); left != 0 || err != nil {
		t.Errorf("%d series outlive what they show; %v", left, err)
	}
}

// What cannot be read is an error of the scrape, not a value of zero.
func TestWhatCannotBeReadIsNotShown(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	New(registry).Show(func(r Readings) error {
		r.Add(HeldClusters, 1)
		return errors.New("no cache")
	}, HeldClusters, OldestHeld)
	families, err := registry.Gather()
	if err == nil || !strings.Contains(err.Error(), "no cache") {
		t.Errorf("the error is %v", err)
	}
	for _, family := range families {
		if strings.Contains(family.GetName(), "held") {
			t.Errorf("%s is shown", family.GetName())
		}
	}
}

func TestOneReplicaLeads(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := New(registry)
	for _, leads := range []bool{false, true, false} {
		if leads {
			m.Leading(true)
		}
		if got := gathered(t, registry, "leader").GetGauge().GetValue(); (got == 1) != leads {
			t.Errorf("leads %v: %v", leads, got)
		}
		m.Leading(false)
	}
}
