package metrics

import "github.com/prometheus/client_golang/prometheus"

// Gauge is a series that is read at each scrape, so that it vanishes with what it shows.
type Gauge struct {
	desc   *prometheus.Desc
	labels []string
}

// The gauges. Those of pools, claims and classes count objects of all namespaces.
var (
	PoolsAvailable     = gauge("pools_available", "Pools that could serve a new claim now.", "cluster_class", "role")
	PoolAddressesTotal = gauge("pool_addresses_total", "Addresses of the pool.", "pool_name")
	PoolAddressesFree  = gauge("pool_addresses_free", "Addresses that the pool can still hand out.", "pool_name")
	PoolAddressesUsed  = gauge("pool_addresses_used", "Addresses of the pool that are in use.", "pool_name")

	ClaimsTotal   = gauge("claims_total", "IPAddressClaims for VIPs.", "role", "namespace")
	ClaimsReady   = gauge("claims_ready", "IPAddressClaims for VIPs that are bound.", "role", "namespace")
	ClaimsPending = gauge("claims_pending", "IPAddressClaims for VIPs that are not bound.", "role", "namespace")

	WaitingClusters = gauge("waiting_clusters", "Clusters that lack what the role needs, by what they wait for.", "role", "reason")
	OldestWaiting   = gauge("oldest_waiting_seconds", "How long the Cluster that has waited longest has lacked what the role needs.", "role", "reason")
	HeldClusters    = gauge("held_clusters", "Clusters that the hold gate keeps paused.")
	OldestHeld      = gauge("oldest_held_seconds", "Age of the oldest Cluster that the hold gate keeps paused; 0 if there is none.")

	ClassGate = gauge("class_gate", "ClusterClasses by how they hold infrastructure back for want of a VIP: gated, gatedUnlessEmpty, ungated or unclear.",
		"cluster_class", "role", "state")
)

func gauge(name, help string, labels ...string) *Gauge {
	return &Gauge{desc: prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil), labels: labels}
}

// maxLabels is as many labels as a gauge has.
const maxLabels = 3

// Readings are the values of gauges at one moment. There is one value for the same
// labels, whatever is read twice: two would cost the whole scrape.
type Readings map[reading]float64

type reading struct {
	gauge  *Gauge
	labels [maxLabels]string
}

func of(gauge *Gauge, labels []string) reading {
	r := reading{gauge: gauge}
	copy(r.labels[:], labels)
	return r
}

// Add adds to the value for the labels, which are in the gauge's order.
func (r Readings) Add(gauge *Gauge, value float64, labels ...string) {
	r[of(gauge, labels)] += value
}

// Max raises the value for the labels to this one, if it is below.
func (r Readings) Max(gauge *Gauge, value float64, labels ...string) {
	r[of(gauge, labels)] = max(r[of(gauge, labels)], value)
}

// Show has the gauges read at each scrape.
func (m *Metrics) Show(read func(Readings) error, gauges ...*Gauge) {
	m.registry.MustRegister(&collector{read: read, gauges: gauges})
}

type collector struct {
	read   func(Readings) error
	gauges []*Gauge
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, gauge := range c.gauges {
		descriptions <- gauge.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(series chan<- prometheus.Metric) {
	readings := Readings{}
	if err := c.read(readings); err != nil {
		for _, gauge := range c.gauges {
			series <- prometheus.NewInvalidMetric(gauge.desc, err)
		}
		return
	}
	for r, value := range readings {
		series <- prometheus.MustNewConstMetric(r.gauge.desc, prometheus.GaugeValue, value, r.labels[:len(r.gauge.labels)]...)
	}
}
