package security

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/provider"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// patience bounds each wait for something that takes a second or two on an idle machine.
const patience = 3 * time.Minute

// environment is what all tests share: one allocator that serves every Cluster.
type environment struct {
	*scene.Scene
	allocator *allocator.Process
	log       string // path
	// secure is the address of its secure metrics.
	secure string
}

var booted *environment

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted = &environment{}
	return booted, booted.start(context.Background())
})

func TestMain(m *testing.M) {
	const parallel = 12 // they wait more than they work
	os.Exit(scene.Run(m, parallel, func() error {
		if booted == nil {
			return nil
		}
		return booted.stop()
	}))
}

func (e *environment) start(ctx context.Context) error {
	var err error
	if e.Scene, err = scene.Start(ctx, "security", management.Options{}); err != nil {
		return err
	}
	if err := e.Install(ctx, map[string]any{
		"logLevel": "debug", "poolKinds": []any{provider.Pools.GroupResource().String()},
		"rbac":    map[string]any{"reservers": true},
		"metrics": map[string]any{"secure": map[string]any{"enabled": true}},
	}); err != nil {
		return err
	}
	roles, err := example(ctx, "tenant-role.yaml")
	if err != nil {
		return err
	}
	if err := e.Management.Apply(ctx, append(append(roles, "\n---\n"...), provider.CRD...)); err != nil {
		return err
	}
	ports, err := loopback.FreePorts(1)
	if err != nil {
		return err
	}
	e.secure = loopback.Address(ports[0])
	e.log = filepath.Join(e.Logs, "allocator.log")
	e.allocator, err = allocator.Start(ctx, allocator.Options{
		Kubeconfig: e.Kubeconfig, Args: append(e.Chart.Args, "--diagnostics-address="+e.secure), LogFile: e.log,
	})
	return err
}

// example reads a file of the examples.
func example(ctx context.Context, name string) ([]byte, error) {
	folder, err := allocator.Examples(ctx)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(folder, name))
}

// stop ends everything. The allocator must have lived through all tests without a panic,
// and end when it is told to.
func (e *environment) stop() error {
	var err error
	if e.allocator != nil {
		log, errRead := os.ReadFile(e.log)
		err = errRead
		if _, trace, found := strings.Cut(string(log), "Recovered from a panic"); found {
			err = fmt.Errorf("the allocator panicked: %.4000s", trace)
		}
		if code, errStop := e.allocator.Stop(); code != 0 || errStop != nil {
			err = errors.Join(err, errStop, fmt.Errorf("the allocator ended with code %d:\n%s", code, e.allocator.LogTail()))
		}
	}
	if e.Scene != nil {
		e.Stop()
	}
	return err
}
