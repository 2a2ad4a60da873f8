package chart_test

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// Secure metrics take the place of the open ones wherever these are named, and Prometheus
// is told how to ask.
func TestSecureMetrics(t *testing.T) {
	for _, secure := range []bool{false, true} {
		c, err := chart.Render(t.Context(), values{"metrics": values{"secure": values{"enabled": secure}, "serviceMonitor": values{"enabled": true}}})
		if err != nil {
			t.Fatal(err)
		}
		port := map[bool]int64{false: 8080, true: 8443}[secure]
		container := deploymentOf(t, c).Spec.Template.Spec.Containers[0]
		if got := container.Ports[0]; got.Name != "metrics" || int64(got.ContainerPort) != port {
			t.Errorf("secure %t: the container has port %+v", secure, got)
		}
		for arg, want := range map[string]bool{"--metrics-bind-address=:8080": !secure, "--metrics-bind-address=0": secure, "--diagnostics-address=:8443": secure} {
			if slices.Contains(container.Args, arg) != want {
				t.Errorf("secure %t: the arguments are %q", secure, container.Args)
			}
		}
		for _, o := range objectsOf(t, c.Manifests) {
			switch o.GetKind() {
			case "Service":
				ports, _, _ := unstructured.NestedSlice(o.Object, "spec", "ports")
				if got := ports[0].(map[string]any); got["name"] != "metrics" || fmt.Sprint(got["port"]) != fmt.Sprint(port) || got["targetPort"] != "metrics" {
					t.Errorf("secure %t: the Service has %v", secure, got)
				}
			case "ServiceMonitor":
				endpoints, _, _ := unstructured.NestedSlice(o.Object, "spec", "endpoints")
				endpoint := endpoints[0].(map[string]any)
				skips, _, _ := unstructured.NestedBool(endpoint, "tlsConfig", "insecureSkipVerify")
				if (endpoint["scheme"] == "https") != secure || (endpoint["bearerTokenFile"] != nil) != secure || skips != secure {
					t.Errorf("secure %t: the ServiceMonitor has %v", secure, endpoint)
				}
			}
		}
	}
}
