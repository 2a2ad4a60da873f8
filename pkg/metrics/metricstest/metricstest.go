// Package metricstest reads gauges as Prometheus would, for tests.
package metricstest

import (
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
)

// Scrape registers the gauges and reads them: what a scrape fails of fails the test. Series
// are named "name{label,label}" without our prefix.
func Scrape(t *testing.T, read func(metrics.Readings) error, gauges ...*metrics.Gauge) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	metrics.New(registry).Show(read, gauges...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	result := map[string]float64{}
	for _, family := range families {
		name := strings.TrimPrefix(family.GetName(), "capi_vip_allocator_")
		if name == "leader" || name == "build_info" {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			if metric.GetGauge() != nil {
				result[name+"{"+strings.Join(labels, ",")+"}"] = metric.GetGauge().GetValue()
			}
		}
	}
	return result
}

// Compare fails the test unless both are the same.
func Compare(t *testing.T, got, want map[string]float64) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
