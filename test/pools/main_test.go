package pools

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/checker"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/provider"
)

const (
	// patience bounds each wait for something that takes seconds on an idle machine.
	patience = time.Minute
	interval = 50 * time.Millisecond
	// parallel is how many tests run side by side unless -parallel says otherwise.
	parallel = "6"
)

var (
	long = flag.Bool("long", false, "crowds of full size")
	seed = flag.Uint64("seed", 0, "of what happens at random; 0 takes a new one")
	keep = flag.Bool("keep", false, "keep the folder with the logs of the management cluster and of the allocators")
)

// environment is what all tests share.
type environment struct {
	management *management.Cluster
	client     dynamic.Interface
	audit      audit.Log
	checker    *checker.Checker
	logs       string // folder
	cancel     context.CancelFunc
	// example starts the second provider, once.
	example func() error
}

var booted *environment

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	e := &environment{}
	booted = e
	return e, e.start(context.Background())
})

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", parallel) // a flag and a value that package testing knows
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
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
	var err error
	if e.management, err = management.Start(ctx, management.Options{KeepDir: *keep, Progress: progress}); err != nil {
		return err
	}
	e.audit = audit.Log(e.management.AuditLog())
	e.logs = filepath.Dir(e.management.AuditLog())
	config := e.management.Config()
	config.UserAgent = "pools"
	if e.client, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	home := "{apiVersion: v1, kind: Namespace, metadata: {name: " + allocator.Namespace + "}}"
	if err := e.management.Apply(ctx, []byte(home)); err != nil {
		return err
	}
	e.example = sync.OnceValue(func() error {
		if err := e.management.Apply(ctx, provider.CRD); err != nil {
			return err
		}
		return provider.Start(ctx, e.management.Config())
	})
	e.checker, err = checker.Start(ctx, e.client)
	return err
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
