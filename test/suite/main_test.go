package suite

import (
	"context"
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
	// sharedFilter is the watch-filter value of the Clusters that the shared
	// allocator serves.
	sharedFilter = "shared"
	// parallel is how many tests run side by side unless -parallel says otherwise.
	// They wait more than they work, so it is more than there are CPUs.
	parallel = "10"
)

// environment is what all tests share.
type environment struct {
	management *management.Cluster
	client     dynamic.Interface
	audit      audit.Log
	chart      *chart.Chart
	// kubeconfig is that of the chart's ServiceAccount.
	kubeconfig string
	shared     *allocator.Process
	sharedLog  string // path
}

var keep = flag.Bool("keep", false, "keep the folder with the logs of the management cluster and of the allocators")

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValue(func() *environment {
	booted = &environment{}
	if err := booted.start(context.Background()); err != nil {
		// Once is enough: every test would say the same.
		fmt.Fprintln(os.Stderr, "start the environment:", err)
		return nil
	}
	return booted
})

// booted is what boot has started, nil as long as no test asked.
var booted *environment

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", parallel) // a flag and a value that package testing knows
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

// start boots a management cluster with a shared allocator.
func (e *environment) start(ctx context.Context) error {
	var progress io.Writer
	if testing.Verbose() {
		progress = os.Stderr
	}
	if err := e.startManagement(ctx, management.Options{KeepDir: *keep, Progress: progress}); err != nil {
		return err
	}
	e.sharedLog = filepath.Join(filepath.Dir(e.management.AuditLog()), "allocator.log")
	var err error
	e.shared, err = allocator.Start(ctx, allocator.Options{Kubeconfig: e.kubeconfig, Args: e.chart.Args, LogFile: e.sharedLog})
	return err
}

// startManagement boots a management cluster with the chart's rights.
func (e *environment) startManagement(ctx context.Context, o management.Options) error {
	var err error
	if e.management, err = management.Start(ctx, o); err != nil {
		return err
	}
	if e.client, err = e.clientOf("suite"); err != nil {
		return err
	}
	e.audit = audit.Log(e.management.AuditLog())
	if e.chart, err = chart.Render(ctx, map[string]any{"watchFilter": sharedFilter, "logLevel": "debug"}); err != nil {
		return err
	}
	e.kubeconfig, err = e.chart.Install(ctx, e.management)
	return err
}

func (e *environment) clientOf(userAgent string) (dynamic.Interface, error) {
	config := e.management.Config()
	config.UserAgent = userAgent
	return dynamic.NewForConfig(config)
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
			fmt.Fprintln(os.Stderr, "logs:", filepath.Dir(e.management.AuditLog()))
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
	log, err := os.ReadFile(e.sharedLog)
	if err != nil {
		return err
	}
	if _, trace, found := strings.Cut(string(log), "Recovered from a panic"); found {
		return fmt.Errorf("the shared allocator panicked: %.4000s", trace)
	}
	return nil
}

const (
	// patience bounds each wait. What is waited for takes a second or two; a
	// machine busy with other builds and tests takes longer.
	patience = time.Minute
	interval = 50 * time.Millisecond
)
