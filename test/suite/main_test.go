package suite

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
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
	"github.com/gorizond/capi-vip-allocator/test/checker"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// sharedFilter is the watch-filter value of the Clusters that the shared allocator
// serves.
const sharedFilter = "shared"

var (
	long = flag.Bool("long", false, "crowds of full size")
	seed = flag.Uint64("seed", rand.Uint64(), "of what happens at random")
)

// environment is what all tests share.
type environment struct {
	scene      *scene.Scene
	management *management.Cluster // the scene's, like the next three
	client     dynamic.Interface
	chart      *chart.Chart
	kubeconfig string // of the chart's ServiceAccount
	audit      audit.Log
	shared     *allocator.Process
	sharedLog  string // path
	checker    *checker.Checker
	// beacon is the class of all barriers, once there was one.
	beacon     *class
	beaconLock sync.Mutex
	// example installs and starts the provider of package provider, once.
	example func() error

	context context.Context // until stop
	cancel  context.CancelFunc
}

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValue(func() *environment {
	booted = &environment{}
	if err := booted.start(); err != nil {
		// Once is enough: every test would say the same.
		fmt.Fprintln(os.Stderr, "start the environment:", err)
		return nil
	}
	return booted
})

// booted is what boot has started, nil as long as no test asked.
var booted *environment

func TestMain(m *testing.M) {
	const parallel = 10
	os.Exit(scene.Run(m, parallel, func() error {
		if booted == nil {
			return nil
		}
		return booted.stop()
	}))
}

// start boots a management cluster with a shared allocator.
func (e *environment) start() error {
	e.context, e.cancel = context.WithCancel(context.Background())
	if err := e.startManagement(e.context, management.Options{}); err != nil {
		return err
	}
	if err := e.watch(); err != nil {
		return err
	}
	e.example = sync.OnceValue(e.startExample)
	e.sharedLog = filepath.Join(e.scene.Logs, "allocator.log")
	var err error
	e.shared, err = allocator.Start(e.context, allocator.Options{Kubeconfig: e.kubeconfig, Args: e.chart.Args, LogFile: e.sharedLog})
	return err
}

// startManagement boots a management cluster with the chart's rights.
func (e *environment) startManagement(ctx context.Context, o management.Options) error {
	var err error
	if e.scene, err = scene.Start(ctx, "suite", o); err != nil {
		return err
	}
	if err := e.scene.Install(ctx, map[string]any{"watchFilter": sharedFilter, "logLevel": "debug", "rbac": map[string]any{"reservers": true}}); err != nil {
		return err
	}
	e.management, e.client, e.chart, e.kubeconfig = e.scene.Management, e.scene.Client, e.scene.Chart, e.scene.Kubeconfig
	e.audit = audit.Log(e.management.AuditLog())
	return nil
}

// watch starts a checker. None lives through a restart of the API server, which
// forgets the past.
func (e *environment) watch() error {
	var err error
	e.checker, err = checker.Start(e.context, e.client)
	return err
}

// stop ends everything. The shared allocator must have lived through all tests
// without a panic, and end when it is told to.
func (e *environment) stop() error {
	var err error
	if e.shared != nil {
		err = errors.Join(e.noPanic(), e.endShared())
	}
	e.cancel()
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
	log, err := os.ReadFile(e.sharedLog)
	if err != nil {
		return err
	}
	if _, trace, found := strings.Cut(string(log), "Recovered from a panic"); found {
		return fmt.Errorf("the shared allocator panicked: %.4000s", trace)
	}
	return nil
}

// patience bounds each wait. What is waited for takes a second or two; a machine busy
// with other builds and tests takes longer.
const patience = time.Minute
