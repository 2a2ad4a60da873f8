package monitoring

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/gorizond/capi-vip-allocator/test/management"
)

// sensitive are limits that seconds are enough for.
var sensitive = values{"alerts": values{
	"CAPIVIPClustersWaitingTooLong": values{"threshold": 0.1},
	"CAPIVIPClustersHeldTooLong":    values{"threshold": 0.1},
	"CAPIVIPAllocationHighLatency":  values{"threshold": 0.0001},
	"CAPIVIPReconcileSlowLoop":      values{"threshold": 0.0001},
}}

// The allocator itself is brought into every state that there is an alert for, short of
// a panic. Prometheus scrapes it and is asked each query of the alerts and of the dashboard.
func TestOnARealAllocator(t *testing.T) {
	t.Parallel()
	s, p := newScene(t), newPrometheus(t)
	leader := s.start()
	s.shows(leader, map[string]float64{"leader": 1})
	standby := s.start(fmt.Sprintf("--runtime-extension-port=%d", freePort(t)))
	s.discovered()
	p.record(10*time.Minute, s.look(leader, standby)...)

	s.play("1-healthy.yaml")
	s.shows(leader, map[string]float64{published("gated", "control-plane"): 1, published("gated", "ingress"): 1, used("small"): 1})
	p.record(12*time.Hour, s.look(leader, standby)...)
	s.play("2-another.yaml")
	s.shows(leader, map[string]float64{published("gated", "control-plane"): 2, published("gated", "ingress"): 2, used("small"): 2})
	p.record(10*time.Hour, s.look(leader, standby)...)
	// The classes and pools exist; what is wrong with them concerns nobody yet.
	p.fires(nil, map[string][]string{
		"CAPIVIPNoPoolsAvailable": {`cluster_class="poolless"`},
		"CAPIVIPClassUngated":     {`cluster_class="open"`},
	})

	s.play("3-trouble.yaml")
	s.shows(leader, map[string]float64{
		published("gated", "ingress"): 4, published("open", "control-plane"): 1, used("small"): 4, used("tiny"): 1,
		waiting("PoolExhausted"): 1, waiting("NoPool"): 2, waiting("PatchRefused"): 1, waiting("AddressInUse"): 1,
		"oldest_held_seconds": 0.2, "held_clusters": 1, `hook_calls_total{hook="BeforeClusterCreate",result="proceed"}`: 1,
		failed("strict", "cluster_patch_failed"): 1, failed("shared", "duplicate_refused"): 1,
	})
	p.record(20*time.Minute, s.look(leader, standby)...)

	if err := s.management.StopComponent(management.IPAM); err != nil {
		t.Fatal(err)
	}
	s.play("4-provider-down.yaml")
	s.shows(leader, map[string]float64{
		`claims_pending{namespace="default",role="ingress"}`: 1, waiting("ClaimPending"): 1, failed("strict", "cluster_patch_failed"): 2,
		`hook_calls_total{hook="BeforeClusterCreate",result="wait"}`: 1,
	})
	p.record(6*time.Minute, s.look(leader, standby)...)
	p.fires(sensitive, map[string][]string{
		"CAPIVIPPoolLowFreeAddresses":   {`pool_name="tiny"`},
		"CAPIVIPPoolExhausted":          {`pool_name="tiny"`},
		"CAPIVIPPoolExhaustedSoon":      {`pool_name="small"`},
		"CAPIVIPNoPoolsAvailable":       {`cluster_class="crowded"`, `cluster_class="poolless"`},
		"CAPIVIPClustersWaitingTooLong": {`reason="AddressInUse"`, `reason="NoPool"`, `reason="PatchRefused"`, `reason="PoolExhausted"`},
		"CAPIVIPClustersHeldTooLong":    {""},
		"CAPIVIPClaimsPendingTooLong":   {`namespace="default", role="control-plane"`, `namespace="default", role="ingress"`},
		"CAPIVIPAllocatorHighErrorRate": {`cluster_class="strict"`},
		"CAPIVIPAllocationHighLatency":  {`cluster_class="gated", role="ingress"`},
		"CAPIVIPDuplicateRefused":       {`cluster_class="shared"`},
		"CAPIVIPClassUngated":           {`cluster_class="open"`},
		"CAPIVIPReconcileSlowLoop":      {`cluster_class="gated"`},
	})
	t.Run("dashboard", func(t *testing.T) { p.draws(t, readDashboard(t)) })

	// It crashes, and the standby waits until the Lease has run out.
	leader.Kill()
	orphan := s.look(standby)
	orphan[0].instance = "b"
	p.record(10*time.Minute, orphan...)
	p.fires(nil, map[string][]string{"CAPIVIPAllocatorNoLeader": {""}})
	p.now = p.now.Add(10 * time.Minute)
	p.fires(nil, map[string][]string{"CAPIVIPAllocatorDown": {""}})

	if err := s.management.StartComponent(management.IPAM); err != nil {
		t.Fatal(err)
	}
	t.Run("runbook", s.runbook)
}

func published(class, role string) string {
	return fmt.Sprintf("allocations_total{cluster_class=%q,role=%q}", class, role)
}

func used(pool string) string { return fmt.Sprintf("pool_addresses_used{pool_name=%q}", pool) }

func waiting(reason string) string {
	return fmt.Sprintf(`waiting_clusters{reason=%q,role="control-plane"}`, reason)
}

func failed(class, reason string) string {
	return fmt.Sprintf(`allocation_errors_total{cluster_class=%q,reason=%q,role="control-plane"}`, class, reason)
}

// fires asks the expressions of all alerts, rendered with the given values. Those that
// are wanted must return a series for each of the labels, the others none.
func (p *prometheus) fires(more values, want map[string][]string) {
	p.t.Helper()
	for name, rule := range alerts(p.t, more) {
		result, err := p.ask(rule.Expr, p.latest())
		if err != nil {
			p.t.Errorf("%s: %v", name, err)
		}
		if wanted, ok := want[name]; !ok && len(result) > 0 {
			p.t.Errorf("%s fires: %s", name, result)
		} else if err := covers(result, wanted); err != nil {
			p.t.Errorf("%s: %v", name, err)
		}
	}
}

// covers expects a series with each of the groups of labels.
func covers(result promql.Vector, wanted []string) error {
	for _, group := range wanted {
		fits := func(s promql.Sample) bool {
			for pair := range strings.SplitSeq(group, ", ") {
				if !strings.Contains(s.Metric.String(), pair) {
					return false
				}
			}
			return true
		}
		if !slices.ContainsFunc(result, fits) {
			return fmt.Errorf("no series has %s: %s", group, result)
		}
	}
	return nil
}
