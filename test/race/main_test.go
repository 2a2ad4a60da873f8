package race

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

const (
	// patience bounds each wait for something that takes seconds on an idle machine.
	patience = 4 * time.Minute
	// A namespace with underHold among its labels has its new Clusters under the hold
	// gate, one with underHook under the hook gate.
	holdLabel = "hold-gate"
	hookLabel = "hook-gate"
	underHold = holdLabel + `: "on"`
	underHook = hookLabel + `: "on"`
)

var long = flag.Bool("long", false, "crowds of full size")

// environment is what all tests share.
type environment struct {
	*scene.Scene
	witness  *witness
	hookPort int
	context  context.Context // until stop
	cancel   context.CancelFunc
}

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted.context, booted.cancel = context.WithCancel(context.Background())
	return &booted, booted.start()
})

var booted environment

func TestMain(m *testing.M) {
	// The tests run one after another, since each wants the machine.
	os.Exit(scene.Run(m, 1, booted.stop))
}

func (e *environment) start() error {
	var err error
	if e.Scene, err = scene.Start(e.context, "race", management.Options{RuntimeSDK: true}); err != nil {
		return err
	}
	ports, err := loopback.FreePorts(1)
	if err != nil {
		return err
	}
	e.hookPort = ports[0]
	if err := e.Install(e.context, values(e.hookPort)); err != nil {
		return err
	}
	if e.witness, err = watchAll(e.context, e.Client); err != nil {
		return err
	}
	return e.discover(e.context, e.hookPort)
}

var extensionConfigs = schema.GroupVersionResource{Group: "runtime.cluster.x-k8s.io", Version: "v1beta2", Resource: "extensionconfigs"}

// extensionName is that of the ExtensionConfig and of its handler.
const extensionName = "vip-allocator"

// discover lets Cluster API find the hook, which it then asks for ever. There is
// nobody here to carry a Service, so the ExtensionConfig is pointed to the port.
func (e *environment) discover(ctx context.Context, port int) error {
	url := fmt.Sprintf(`{"spec":{"clientConfig":{"service":null,"url":"https://%s"}}}`, loopback.Address(port))
	configs := e.Client.Resource(extensionConfigs)
	if _, err := configs.Patch(ctx, extensionName, types.MergePatchType, []byte(url), metav1.PatchOptions{}); err != nil {
		return err
	}
	p, err := allocator.Start(ctx, allocator.Options{Kubeconfig: e.Kubeconfig, Args: e.Chart.Args, LogFile: filepath.Join(e.Logs, "allocator-discovery.log")})
	if err != nil {
		return err
	}
	defer p.Stop() //nolint:errcheck // it is only to be gone
	const interval = 50 * time.Millisecond
	return wait.PollUntilContextTimeout(ctx, interval, patience, true, func(ctx context.Context) (bool, error) {
		config, err := configs.Get(ctx, extensionName, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return conditionOf(config, "Discovered")["status"] == "True", nil
	})
}

// values are those of a chart with all gates, each for the namespaces that ask for it.
func values(port int) map[string]any {
	on := func(label string) map[string]any {
		return map[string]any{"matchLabels": map[string]any{label: "on"}}
	}
	return map[string]any{
		"logLevel": "debug",
		"holdGate": map[string]any{"enabled": true, "namespaceSelector": on(holdLabel)},
		"runtimeExtension": map[string]any{
			"enabled": true, "port": port, "extensionConfig": map[string]any{"namespaceSelector": on(hookLabel)},
		},
	}
}

func (e *environment) stop() error {
	if e.Scene != nil {
		e.cancel()
		e.Stop()
	}
	return nil
}
