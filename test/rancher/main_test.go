package rancher

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

const (
	// patience bounds each wait for something that takes a second on an idle machine.
	patience = time.Minute
	interval = 20 * time.Millisecond
	// sharedFilter is the watch-filter value of the Clusters that the shared allocator serves.
	sharedFilter = "shared"
	// workspaces are namespaces whose Fleet Clusters may ask for VIPs.
	workspaces = 40
)

var (
	long = flag.Bool("long", false, "fight for a minute")
	keep = flag.Bool("keep", false, "keep the folder with the logs of the management cluster and of the allocators")
)

//go:embed crds/*.yaml
var crds embed.FS

// environment is what all tests share.
type environment struct {
	management *management.Cluster
	client     dynamic.Interface
	audit      audit.Log
	chart      *chart.Chart
	kubeconfig string // of the chart's ServiceAccount
	shared     *allocator.Process
	logs       string // folder
}

var booted *environment

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted = &environment{}
	return booted, booted.start(context.Background())
})

func TestMain(m *testing.M) {
	flag.Parse()
	if given := false; true {
		flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
		if !given {
			_ = flag.Set("test.parallel", "20") // they wait more than they work
		}
	}
	code := m.Run()
	if booted != nil {
		if err := booted.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

func (e *environment) start(ctx context.Context) error {
	var progress io.Writer
	if testing.Verbose() {
		progress = os.Stderr
	}
	var err error
	if e.management, err = management.Start(ctx, management.Options{KeepDir: *keep, Progress: progress}); err != nil {
		return err
	}
	e.audit, e.logs = audit.Log(e.management.AuditLog()), filepath.Dir(e.management.AuditLog())
	config := e.management.Config()
	config.UserAgent = "test"
	if e.client, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	var names []any // as the schema of the values has it
	for i := range workspaces {
		names = append(names, workspace(i))
	}
	if e.chart, err = chart.Render(ctx, map[string]any{
		"watchFilter": sharedFilter, "logLevel": "debug",
		"propagation": map[string]any{"enabled": true, "fleetWorkspaces": names},
	}); err != nil {
		return err
	}
	if e.kubeconfig, err = e.chart.Install(ctx, e.management); err != nil {
		return err
	}
	e.shared, err = allocator.Start(ctx, allocator.Options{Kubeconfig: e.kubeconfig, Args: e.chart.Args, LogFile: e.sharedLog()})
	return err
}

func workspace(i int) string { return fmt.Sprintf("workspace-%d", i) }

func (e *environment) sharedLog() string { return filepath.Join(e.logs, "allocator.log") }

// install applies a file of crds.
func (e *environment) install(ctx context.Context, file string) error {
	content, err := crds.ReadFile("crds/" + file)
	if err != nil {
		return err
	}
	return e.management.Apply(ctx, content)
}

// stop ends everything. The shared allocator must have lived through all tests
// without a panic, and end when it is told to.
func (e *environment) stop() error {
	var err error
	if e.shared != nil {
		err = errors.Join(e.noPanic(), e.endShared())
	}
	if e.management != nil {
		if *keep {
			fmt.Fprintln(os.Stderr, "logs:", e.logs)
		}
		e.management.Stop()
	}
	return err
}

func (e *environment) endShared() error {
	select {
	case <-e.shared.Done():
		return fmt.Errorf("the shared allocator ended by itself; end of its log:\n%s", e.shared.LogTail())
	default:
	}
	code, err := e.shared.Stop()
	if code != 0 {
		err = errors.Join(err, fmt.Errorf("the shared allocator ended with code %d", code))
	}
	return err
}

func (e *environment) noPanic() error {
	log, err := os.ReadFile(e.sharedLog())
	if err != nil {
		return err
	}
	if _, trace, found := strings.Cut(string(log), "Recovered from a panic"); found {
		return fmt.Errorf("the shared allocator panicked: %.4000s", trace)
	}
	return nil
}
