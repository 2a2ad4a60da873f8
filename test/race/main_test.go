package race

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

const (
	// patience bounds each wait for something that takes seconds on an idle machine.
	patience = 4 * time.Minute
	interval = 50 * time.Millisecond
	// holdLabel on a namespace puts its new Clusters under the hold gate, hookLabel
	// under the hook gate.
	holdLabel = "hold-gate"
	hookLabel = "hook-gate"
)

var (
	long = flag.Bool("long", false, "crowds of full size")
	keep = flag.Bool("keep", false, "keep the folder with the logs of the management cluster and of the allocators")
)

// environment is what all tests share.
type environment struct {
	management *management.Cluster
	client     dynamic.Interface
	chart      *chart.Chart
	// kubeconfig is that of the chart's ServiceAccount.
	kubeconfig string
	witness    *witness
	logs       string          // folder
	context    context.Context // until stop
	cancel     context.CancelFunc
}

var booted *environment

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted = &environment{}
	return booted, booted.start(context.Background())
})

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if booted != nil {
		booted.stop()
	}
	os.Exit(code)
}

func (e *environment) start(ctx context.Context) error {
	var progress io.Writer
	if testing.Verbose() {
		progress = os.Stderr
	}
	ctx, e.cancel = context.WithCancel(ctx)
	e.context = ctx
	var err error
	if e.management, err = management.Start(ctx, management.Options{RuntimeSDK: true, KeepDir: *keep, Progress: progress}); err != nil {
		return err
	}
	e.logs = filepath.Dir(e.management.AuditLog())
	config := e.management.Config()
	config.UserAgent = "race"
	if e.client, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	if e.chart, err = chart.Render(ctx, values(port)); err != nil {
		return err
	}
	if e.kubeconfig, err = e.chart.Install(ctx, e.management); err != nil {
		return err
	}
	if e.witness, err = watchAll(ctx, e.client); err != nil {
		return err
	}
	return e.discover(ctx, port)
}

// discover lets Cluster API find the hook, which it then asks for ever. There is
// nobody here to carry a Service, so the ExtensionConfig is pointed to the port.
func (e *environment) discover(ctx context.Context, port int) error {
	url := fmt.Sprintf(`{"spec":{"clientConfig":{"service":null,"url":"https://127.0.0.1:%d"}}}`, port)
	configs := e.client.Resource(extensionConfigs)
	if _, err := configs.Patch(ctx, "vip-allocator", types.MergePatchType, []byte(url), metav1.PatchOptions{}); err != nil {
		return err
	}
	p, err := allocator.Start(ctx, allocator.Options{Kubeconfig: e.kubeconfig, Args: e.chart.Args, LogFile: filepath.Join(e.logs, "allocator-discovery.log")})
	if err != nil {
		return err
	}
	defer p.Stop() //nolint:errcheck // it is only to be gone
	return wait.PollUntilContextTimeout(ctx, interval, patience, true, func(ctx context.Context) (bool, error) {
		config, err := configs.Get(ctx, "vip-allocator", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return conditionOf(config, "Discovered")["status"] == "True", nil
	})
}

var extensionConfigs = schema.GroupVersionResource{Group: "runtime.cluster.x-k8s.io", Version: "v1beta2", Resource: "extensionconfigs"}

// freePort finds a port that the hook can have, now and after each restart.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
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

func (e *environment) stop() {
	if e.cancel != nil {
		e.cancel()
	}
	if e.management != nil {
		if *keep {
			fmt.Fprintln(os.Stderr, "logs:", e.logs)
		}
		e.management.Stop()
	}
}
