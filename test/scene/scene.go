// Package scene sets up what the tests of a package share, a management cluster with
// the allocator's chart on it, and what each of them needs there.
package scene

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

var (
	keep    = flag.Bool("keep", false, "keep the folder with the logs of the management cluster and of the allocators")
	release = flag.String("release", "", `of Cluster API, such as "v1.10"; the newest one if empty`)
)

// Release is the release of Cluster API that the tests are to run with.
func Release() management.Release { return management.Release(*release) }

// Scene is a management cluster.
type Scene struct {
	Management *management.Cluster
	Client     dynamic.Interface // the administrator's
	Logs       string            // the folder of all logs

	// Chart is what Install has installed, Kubeconfig that of its ServiceAccount.
	Chart      *chart.Chart
	Kubeconfig string
}

// Start boots a management cluster. The Client calls itself userAgent.
func Start(ctx context.Context, userAgent string, o management.Options) (*Scene, error) {
	if testing.Verbose() {
		o.Progress = os.Stderr
	}
	o.KeepDir = *keep
	o.Release = cmp.Or(o.Release, Release())
	cluster, err := management.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	config := cluster.Config()
	config.UserAgent = userAgent
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		cluster.Stop()
		return nil, err
	}
	return &Scene{Management: cluster, Client: client, Logs: filepath.Dir(cluster.AuditLog())}, nil
}

// Install installs the chart with the values. No allocator runs yet.
func (s *Scene) Install(ctx context.Context, values map[string]any) error {
	var err error
	if s.Chart, err = chart.Render(ctx, values, s.Management.RuntimeVersion()); err != nil {
		return err
	}
	s.Kubeconfig, err = s.Chart.Install(ctx, s.Management)
	return err
}

// Stop stops the management cluster.
func (s *Scene) Stop() {
	if *keep {
		fmt.Fprintln(os.Stderr, "logs:", s.Logs)
	}
	s.Management.Stop()
}

// Run runs the tests of a package, so many side by side unless -parallel says
// otherwise, then end, and returns the exit code.
func Run(m *testing.M, parallel int, end func() error) int {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", fmt.Sprint(parallel)) // a flag and a value that package testing knows
	}
	code := m.Run()
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		code = max(code, 1)
	}
	return code
}
