package monitoring

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// values are chart values, or a part of them.
type values = map[string]any

// metrics are the values of one part of the monitoring, switched on.
func metrics(part string, more values) values {
	all := values{"enabled": true}
	for key, value := range more {
		all[key] = value
	}
	return values{"metrics": values{part: all}}
}

// render returns the objects of the chart by kind and name.
func render(t *testing.T, v values) map[string]*unstructured.Unstructured {
	t.Helper()
	c, err := chart.Render(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(string(c.Manifests)), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			objects[object.GetKind()+" "+object.GetName()] = object
		}
	}
}

const (
	serviceMonitor = "ServiceMonitor " + chart.ManagerName
	prometheusRule = "PrometheusRule " + chart.ManagerName
	dashboard      = "ConfigMap capi-vip-allocator-dashboard"
)

// Nothing of it comes unasked: its kinds may not exist.
func TestChartOff(t *testing.T) {
	objects := render(t, nil)
	for _, name := range []string{serviceMonitor, prometheusRule, dashboard} {
		if objects[name] != nil {
			t.Errorf("there is a %s", name)
		}
	}
}

// Each object goes where it is found, with the labels that it is found by.
func TestChartPlaces(t *testing.T) {
	for part, name := range map[string]string{"serviceMonitor": serviceMonitor, "prometheusRule": prometheusRule, "dashboard": dashboard} {
		t.Run(part, func(t *testing.T) {
			if object := render(t, metrics(part, nil))[name]; object.GetNamespace() != "capi-vip-allocator-system" {
				t.Errorf("it is in %q", object.GetNamespace())
			}
			object := render(t, metrics(part, values{
				"namespace": "elsewhere", "labels": values{"release": "prometheus"}, "annotations": values{"grafana_folder": "CAPI"},
			}))[name]
			got := fmt.Sprintf("%s, %s, %v", object.GetNamespace(), object.GetLabels()["release"], object.GetAnnotations())
			if want := "elsewhere, prometheus, map[grafana_folder:CAPI]"; got != want {
				t.Errorf("it is %s, want %s", got, want)
			}
			if part == "dashboard" && object.GetLabels()["grafana_dashboard"] != "1" {
				t.Error("Grafana does not find it")
			}
		})
	}
}

// The ServiceMonitor selects the Service of the metrics, wherever it is itself.
func TestServiceMonitorFindsTheService(t *testing.T) {
	objects := render(t, metrics("serviceMonitor", values{"namespace": "elsewhere", "interval": "15s", "scrapeTimeout": "5s"}))
	monitor, service := objects[serviceMonitor], objects["Service "+chart.ManagerName+"-metrics"]
	selector, _, _ := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
	for key, value := range selector {
		if service.GetLabels()[key] != value {
			t.Errorf("the Service lacks %s=%s", key, value)
		}
	}
	namespaces, _, _ := unstructured.NestedStringSlice(monitor.Object, "spec", "namespaceSelector", "matchNames")
	if len(selector) == 0 || fmt.Sprint(namespaces) != "["+service.GetNamespace()+"]" {
		t.Errorf("it selects %v in %v", selector, namespaces)
	}
	endpoints, _, _ := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	ports, _, _ := unstructured.NestedSlice(service.Object, "spec", "ports")
	want := values{"port": ports[0].(values)["name"], "interval": "15s", "scrapeTimeout": "5s", "honorLabels": true}
	if len(endpoints) != 1 || fmt.Sprint(endpoints[0]) != fmt.Sprint(want) {
		t.Errorf("its endpoints are %v, want %v", endpoints, want)
	}
}

// What nobody reads is refused, before it is missed.
func TestChartRefusesValues(t *testing.T) {
	alert := func(name string, v values) values {
		return metrics("prometheusRule", values{"alerts": values{name: v}})
	}
	for name, wrong := range map[string]values{
		"part":              {"metrics": values{"podMonitor": values{"enabled": true}}},
		"monitor key":       metrics("serviceMonitor", values{"port": "metrics"}),
		"monitor interval":  metrics("serviceMonitor", values{"interval": "30"}),
		"no interval":       metrics("serviceMonitor", values{"interval": ""}),
		"rule key":          metrics("prometheusRule", values{"groups": []any{}}),
		"dashboard key":     metrics("dashboard", values{"folder": "CAPI"}),
		"dashboard label":   metrics("dashboard", values{"labels": values{"grafana_dashboard": 1}}),
		"unknown alert":     alert("CAPIVIPPoolsLow", values{"enabled": false}),
		"alert key":         alert("CAPIVIPPoolExhausted", values{"duration": "5m"}),
		"needless limit":    alert("CAPIVIPPoolExhausted", values{"threshold": 3}),
		"share above one":   alert("CAPIVIPPoolLowFreeAddresses", values{"threshold": 20}),
		"limit as text":     alert("CAPIVIPClustersWaitingTooLong", values{"threshold": "900"}),
		"above all buckets": alert("CAPIVIPReconcileSlowLoop", values{"threshold": 60}),
		"for":               alert("CAPIVIPPoolExhausted", values{"for": "5 minutes"}),
	} {
		if _, err := chart.Render(t.Context(), wrong); err == nil {
			t.Errorf("%s: %v is taken", name, wrong)
		}
	}
}
