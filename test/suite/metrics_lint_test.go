package suite

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// knownProblems are what `promtool check metrics` says of our series, all of them
// names that are public since version 0.7.1, and of those of the libraries.
var knownProblems = []string{
	`capi_vip_allocator_claims_total: non-counter metrics should not have "_total" suffix`,
	`capi_vip_allocator_pool_addresses_total: non-counter metrics should not have "_total" suffix`,
	`lasso_controller_total_handler_execution: counter metrics should have "_total" suffix`,
}

// The series are what Prometheus recommends, those of the libraries are among them,
// and no series is named after a Cluster: there may be thousands.
func TestMetricsAreWellFormed(t *testing.T) {
	w := newWorld(t)
	k := w.vipClass()
	cp := w.pool(serving(controlPlane, k), size(1))
	p := w.startAllocator()
	const name = "unmistakable"
	w.cluster(k, named(name)).becomes(has(controlPlane, cp.address(0)))
	w.cluster(k).becomes(reason(controlPlane, "PoolExhausted"))
	text, err := p.Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if at := strings.Index(text, name); at >= 0 {
		t.Errorf("a Cluster is named: %.200s", text[max(0, at-100):])
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, problem := range problems {
		found = append(found, problem.Metric+": "+problem.Text)
	}
	slices.Sort(found)
	if !slices.Equal(found, knownProblems) {
		t.Errorf("promlint says\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(knownProblems, "\n"))
	}
	for _, series := range []string{
		`go_goroutines`, `process_start_time_seconds`,
		`lasso_controller_total_handler_execution{*handler_name="cluster-vip",has_error="false"}`,
		`lasso_controller_reconcile_time_seconds_count{*handler_name="cluster-vip",has_error="false"}`,
		`lasso_controller_total_cached_object{*kind="Cluster",version="v1beta2"}`,
		`workqueue_depth{*}`, `workqueue_adds_total{name="address-leases"}`, `workqueue_retries_total{*}`, `workqueue_work_duration_seconds_count{*}`,
		`rest_client_requests_total{code="201",*method="POST"}`, `rest_client_requests_total{code="200",*method="PATCH"}`,
		`rest_client_request_duration_seconds_count{*verb="PATCH"}`, `rest_client_rate_limiter_duration_seconds_count{*verb="GET"}`,
	} {
		if !like(w.series(p), series) {
			t.Errorf("there is no %s", series)
		}
	}
}
