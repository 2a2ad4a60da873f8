// Package metrics holds the allocator's own Prometheus series. Their names and
// labels are public: dashboards and alerts of earlier releases use them.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Result is how one pass over a Cluster ended.
type Result string

// The results. Requeued means that the Cluster waits for something.
const (
	Success  Result = "success"
	Error    Result = "error"
	Skipped  Result = "skipped"
	Requeued Result = "requeued"
)

// Failure is why an allocation did not get on.
type Failure string

// The failures.
const (
	ClaimCreationFailed Failure = "claim_creation_failed"
	IPResolutionFailed  Failure = "ip_resolution_failed"
	ClusterPatchFailed  Failure = "cluster_patch_failed"
)

const namespace = "capi_vip_allocator"

// Metrics counts what the controllers do.
type Metrics struct {
	allocations       *prometheus.CounterVec
	errors            *prometheus.CounterVec
	duration          *prometheus.HistogramVec
	reconciles        *prometheus.CounterVec
	reconcileDuration *prometheus.HistogramVec
	panics            prometheus.Counter
	registry          prometheus.Registerer
}

// New registers the series with the registry.
func New(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		allocations: counters("allocations_total", "VIPs published from a claim.", "role", "cluster_class"),
		errors:      counters("allocation_errors_total", "Failed steps of allocations.", "role", "cluster_class", "reason"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "allocation_duration_seconds",
			Help:    "Time from a Cluster first being seen without a VIP until the VIP was written.",
			Buckets: append(append([]float64{}, prometheus.DefBuckets...), 30, 60, 300),
		}, []string{"role", "cluster_class"}),
		reconciles: counters("reconcile_total", "Passes over Clusters.", "cluster_class", "result"),
		reconcileDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "reconcile_duration_seconds",
			Help: "Duration of passes over Clusters.", Buckets: prometheus.DefBuckets,
		}, []string{"cluster_class"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "panics_total", Help: "Panics that were recovered while handling a Cluster.",
		}),
	}
	m.registry = registry
	registry.MustRegister(m.allocations, m.errors, m.duration, m.reconciles, m.reconcileDuration, m.panics)
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// Allocated counts a VIP that was published, after waiting so long for it.
func (m *Metrics) Allocated(role vip.Role, class string, waited time.Duration) {
	m.allocations.WithLabelValues(string(role), class).Inc()
	m.duration.WithLabelValues(string(role), class).Observe(waited.Seconds())
}

// Failed counts a failed step.
func (m *Metrics) Failed(role vip.Role, class string, reason Failure) {
	m.errors.WithLabelValues(string(role), class, string(reason)).Inc()
}

// Reconciled counts one pass over a Cluster.
func (m *Metrics) Reconciled(class string, result Result, took time.Duration) {
	m.reconciles.WithLabelValues(class, string(result)).Inc()
	m.reconcileDuration.WithLabelValues(class).Observe(took.Seconds())
}

// Collect adds series that are read from the caches at each scrape.
func (m *Metrics) Collect(c prometheus.Collector) { m.registry.MustRegister(c) }

// ClassGate describes the gauge of how classes hold infrastructure back.
func ClassGate() *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_class_gate",
		"ClusterClasses by how they hold infrastructure back for want of a VIP: gated, gatedUnlessEmpty or ungated.",
		[]string{"cluster_class", "role", "state"}, nil)
}

// Panicked counts a recovered panic.
func (m *Metrics) Panicked() { m.panics.Inc() }
