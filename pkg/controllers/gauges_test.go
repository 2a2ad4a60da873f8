package controllers

import (
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rancher/wrangler/v3/pkg/generic"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
)

// observerOf reads the objects as if they stood in its caches.
func observerOf(objects ...any) *observer {
	clusters, classes, claims := newIndexer(), newIndexer(), newIndexer()
	for _, object := range objects {
		indexer := clusters
		switch object.(type) {
		case *clusterv1.ClusterClass:
			indexer = classes
		case *ipamv1.IPAddressClaim:
			indexer = claims
		}
		if err := indexer.Add(object); err != nil {
			panic(err) // the test's own object
		}
	}
	o := newTestObserver(false, clusters, newIndexer())
	o.classes = generic.NewCache[*clusterv1.ClusterClass](classes, schema.GroupResource{Resource: "clusterclasses"})
	o.claims = generic.NewCache[*ipamv1.IPAddressClaim](claims, schema.GroupResource{Resource: "ipaddressclaims"})
	return o
}

// scrape registers the gauges and reads them as Prometheus would: what a scrape
// fails of fails the test. Series are named "name{label,label}" without our prefix.
func scrape(t *testing.T, read func(metrics.Readings) error, gauges ...*metrics.Gauge) map[string]float64 {
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

func compare(t *testing.T, got, want map[string]float64) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}
