package rancher

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
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
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

const (
	// patience bounds each wait for something that takes a second on an idle machine.
	patience = time.Minute
	// sharedFilter is the watch-filter value of the Clusters that the shared allocator serves.
	sharedFilter = "shared"
	// workspaces are namespaces whose Fleet Clusters may ask for VIPs.
	workspaces = 40
)

var long = flag.Bool("long", false, "fight for a minute, and carry the VIPs of a crowd")

//go:embed crds/*.yaml
var crds embed.FS

// environment is what all tests share.
type environment struct {
	scene      *scene.Scene
	management *management.Cluster // the scene's, like the next four
	client     dynamic.Interface
	chart      *chart.Chart
	kubeconfig string // of the chart's ServiceAccount
	logs       string // folder
	audit      audit.Log
	shared     *allocator.Process
}

var booted *environment

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted = &environment{}
	return booted, booted.start(context.Background())
})

func TestMain(m *testing.M) {
	const parallel = 20 // they wait more than they work
	os.Exit(scene.Run(m, parallel, func() error {
		if booted == nil {
			return nil
		}
		return booted.stop()
	}))
}

func (e *environment) start(ctx context.Context) error {
	var err error
	if e.scene, err = scene.Start(ctx, "test", management.Options{}); err != nil {
		return err
	}
	var names []any // as the schema of the values has it
	for i := range workspaces {
		names = append(names, workspace(i))
	}
	if err := e.scene.Install(ctx, map[string]any{
		"watchFilter": sharedFilter, "logLevel": "debug",
		"propagation": map[string]any{"enabled": true, "fleetWorkspaces": names},
	}); err != nil {
		return err
	}
	e.management, e.client, e.chart, e.kubeconfig, e.logs = e.scene.Management, e.scene.Client, e.scene.Chart, e.scene.Kubeconfig, e.scene.Logs
	e.audit = audit.Log(e.management.AuditLog())
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
	if e.scene != nil {
		e.scene.Stop()
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
