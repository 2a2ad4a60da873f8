// Package gates has every form of gate that keeps Cluster API from building before the
// VIPs are known, for tests and the benchmark.
package gates

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A namespace with UnderHold among its labels has its new Clusters under the hold gate,
// one with UnderHook under the hook gate, if the chart has these Values.
const (
	holdLabel = "hold-gate"
	hookLabel = "hook-gate"
	UnderHold = holdLabel + `: "on"`
	UnderHook = hookLabel + `: "on"`
)

// Gate is a form of gate: a class, and the namespace labels that put its Clusters
// under one of the allocator's own gates.
type Gate struct {
	Name   string
	Class  Form
	Labels string // in YAML
}

// The gates that users choose from.
var (
	Variable = Gate{Name: "class, by variable", Class: ByVariable}
	Guard    = Gate{Name: "class, by guard", Class: ByGuard}
	Hold     = Gate{Name: "hold", Class: Open, Labels: UnderHold}
	Hook     = Gate{Name: "hook", Class: Open, Labels: UnderHook}
)

// Values are those of a chart with all gates, each for the namespaces that ask for it.
// The hook listens on the port.
func Values(port int) map[string]any {
	on := func(label string) map[string]any {
		return map[string]any{"matchLabels": map[string]any{label: "on"}}
	}
	return map[string]any{
		"holdGate": map[string]any{"enabled": true, "namespaceSelector": on(holdLabel)},
		"runtimeExtension": map[string]any{
			"enabled": true, "port": port, "extensionConfig": map[string]any{"namespaceSelector": on(hookLabel)},
		},
	}
}

// ExtensionName is that of the hook's ExtensionConfig and of its handler.
const ExtensionName = "vip-allocator"

// ExtensionConfigs is the resource of such configs.
var ExtensionConfigs = schema.GroupVersionResource{Group: "runtime.cluster.x-k8s.io", Version: "v1beta2", Resource: "extensionconfigs"}

// Discover lets Cluster API find the hook, which it then asks for ever: an allocator
// runs until it has. There is nobody here to carry a Service, so the chart's
// ExtensionConfig is pointed to the port.
func Discover(ctx context.Context, client dynamic.Interface, port int, o allocator.Options) error {
	url := fmt.Sprintf(`{"spec":{"clientConfig":{"service":null,"url":"https://%s"}}}`, loopback.Address(port))
	configs := client.Resource(ExtensionConfigs)
	if _, err := configs.Patch(ctx, ExtensionName, types.MergePatchType, []byte(url), metav1.PatchOptions{}); err != nil {
		return err
	}
	p, err := allocator.Start(ctx, o)
	if err != nil {
		return err
	}
	defer p.Stop() //nolint:errcheck // it is only to be gone
	const interval, patience = 50 * time.Millisecond, 4 * time.Minute
	return wait.PollUntilContextTimeout(ctx, interval, patience, true, func(ctx context.Context) (bool, error) {
		config, err := configs.Get(ctx, ExtensionName, metav1.GetOptions{})
		return err == nil && observe.Condition(config, "Discovered")["status"] == "True", err
	})
}
