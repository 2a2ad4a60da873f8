// Package metrics holds the allocator's own Prometheus series. Their names and
// labels are public: dashboards and alerts of earlier releases use them.
//
//	metrics.go  what is counted as it happens
//	gauges.go   what is read from the caches at each scrape
package metrics

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/gorizond/capi-vip-allocator/pkg/version"
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

// The failures. DuplicateRefused is a claim bound to an address that somebody else
// uses already; the others are requests that failed, and are tried again.
const (
	ClaimCreationFailed Failure = "claim_creation_failed"
	ClaimReleaseFailed  Failure = "claim_release_failed"
	IPResolutionFailed  Failure = "ip_resolution_failed"
	DuplicateRefused    Failure = "duplicate_refused"
	LeaseFailed         Failure = "lease_failed"
	ClusterPatchFailed  Failure = "cluster_patch_failed"
)

const namespace = "capi_vip_allocator"

// Metrics counts what the process does.
type Metrics struct {
	allocations       *prometheus.CounterVec
	errors            *prometheus.CounterVec
	duration          *prometheus.HistogramVec
	timeToVIP         *prometheus.HistogramVec
	reconciles        *prometheus.CounterVec
	reconcileDuration *prometheus.HistogramVec
	hookCalls         *prometheus.CounterVec
	hookDuration      *prometheus.HistogramVec
	unreadable        *prometheus.GaugeVec
	panics            prometheus.Counter
	leader            prometheus.Gauge
	registry          prometheus.Registerer

	mu sync.RWMutex
	// exists tells whether there is a ClusterClass of that name.
	exists func(class string) bool
}

// New registers the series with the registry.
func New(registry prometheus.Registerer) *Metrics {
	// A VIP may have to wait for an address, which takes longer than any request.
	waits := append(append([]float64{}, prometheus.DefBuckets...), 30, 60, 300)
	m := &Metrics{
		allocations:       counters("allocations_total", "VIPs published from a claim.", "role", "cluster_class"),
		errors:            counters("allocation_errors_total", "Failed or refused steps of allocations.", "role", "cluster_class", "reason"),
		duration:          histograms("allocation_duration_seconds", "Time from a Cluster first being seen without a VIP until the VIP was written.", waits, "role", "cluster_class"),
		timeToVIP:         histograms("time_to_vip_seconds", "Time from the creation of a Cluster, which is known to the second, until its VIP was written.", waits, "role", "cluster_class"),
		reconciles:        counters("reconcile_total", "Passes over Clusters; requeued means that the Cluster waits for something.", "cluster_class", "result"),
		reconcileDuration: histograms("reconcile_duration_seconds", "Duration of passes over Clusters.", prometheus.DefBuckets, "cluster_class"),
		hookCalls:         counters("hook_calls_total", "Calls of the runtime extension by Cluster API.", "hook", "result"),
		hookDuration:      histograms("hook_call_duration_seconds", "Duration of calls of the runtime extension.", prometheus.DefBuckets, "hook"),
		unreadable: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "propagation_unreadable", Help: "1 for a kind of targets that is served and may not be listed, so that no VIPs are carried there.",
		}, []string{"kind"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "panics_total", Help: "Panics that were recovered while handling a Cluster.",
		}),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "leader", Help: "1 on the replica that allocates, 0 on those that stand by.",
		}),
		registry: registry, exists: func(string) bool { return true },
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version.Version, "revision": version.Revision(), "go_version": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(m.allocations, m.errors, m.duration, m.timeToVIP, m.reconciles, m.reconcileDuration,
		m.hookCalls, m.hookDuration, m.unreadable, m.panics, m.leader, build)
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

// Allocated counts a VIP that was published, so long after it was first missed and
// at that age of its Cluster.
func (m *Metrics) Allocated(role vip.Role, class string, waited, age time.Duration) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	class = m.known(class)
	m.allocations.WithLabelValues(string(role), class).Inc()
	m.duration.WithLabelValues(string(role), class).Observe(waited.Seconds())
	// The API server's clock may be ahead of ours.
	m.timeToVIP.WithLabelValues(string(role), class).Observe(max(age, 0).Seconds())
}

// Failed counts a failed step.
func (m *Metrics) Failed(role vip.Role, class string, reason Failure) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.errors.WithLabelValues(string(role), m.known(class), string(reason)).Inc()
}

// Reconciled counts one pass over a Cluster.
func (m *Metrics) Reconciled(class string, result Result, took time.Duration) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	class = m.known(class)
	m.reconciles.WithLabelValues(class, string(result)).Inc()
	m.reconcileDuration.WithLabelValues(class).Observe(took.Seconds())
}

// Classes says which ClusterClasses exist, by name. Clusters may name any, and a name that
// no class has would be a series for ever: it is shown as the empty value.
func (m *Metrics) Classes(exists func(class string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exists = exists
}

func (m *Metrics) known(class string) string {
	if class != "" && m.exists(class) {
		return class
	}
	return ""
}

// ForgetClass drops the series of the name if no ClusterClass has it any more.
func (m *Metrics) ForgetClass(class string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known(class) != "" {
		return
	}
	for _, series := range []interface {
		DeletePartialMatch(labels prometheus.Labels) int
	}{m.allocations, m.errors, m.duration, m.timeToVIP, m.reconciles, m.reconcileDuration} {
		series.DeletePartialMatch(prometheus.Labels{"cluster_class": class})
	}
}

// Called counts one call of a hook of the runtime extension.
func (m *Metrics) Called(hook, result string, took time.Duration) {
	m.hookCalls.WithLabelValues(hook, result).Inc()
	m.hookDuration.WithLabelValues(hook).Observe(took.Seconds())
}

// Panicked counts a recovered panic.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Recovered turns a panic over an object into an error, and counts and logs it: one object
// must not cost all others their controller. It is to be deferred.
func (m *Metrics) Recovered(object string, err *error) {
	if cause := recover(); cause != nil {
		m.panics.Inc()
		logrus.WithField("panic", cause).Errorf("Recovered from a panic over %s\n%s", object, debug.Stack())
		*err = fmt.Errorf("panic while handling %s: %v", object, cause)
	}
}

// Unreadable says of a kind of Rancher or Fleet Clusters whether it is served and may not
// be listed.
func (m *Metrics) Unreadable(kind string, unreadable bool) {
	value := 0.0
	if unreadable {
		value = 1
	}
	m.unreadable.WithLabelValues(kind).Set(value)
}

// Leading says whether this replica allocates.
func (m *Metrics) Leading(leads bool) {
	m.leader.Set(0)
	if leads {
		m.leader.Set(1)
	}
}
