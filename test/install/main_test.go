// Package install installs what users are given, in each way that they are told, on a
// real management cluster: by Helm, by clusterctl, by what the README says.
package install

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

const (
	// root is the folder of the repository.
	root = "../.."
	// patience bounds each wait for something that takes a second on an idle machine.
	patience = 2 * time.Minute
)

// environment is what the tests share. All ways to install use the same names, so the
// tests run one after another, and each leaves nothing behind.
type environment struct {
	*scene.Scene
	typed  kubernetes.Interface
	cancel context.CancelFunc
}

// boot starts the management cluster when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	ctx, cancel := context.WithCancel(context.Background())
	booted.cancel = cancel
	var err error
	if booted.Scene, err = scene.Start(ctx, "install", management.Options{RuntimeSDK: true, Workloads: true}); err != nil {
		return nil, err
	}
	if booted.typed, err = kubernetes.NewForConfig(booted.Management.Config()); err != nil {
		return nil, err
	}
	return &booted, startKubelet(ctx, booted.typed)
})

var booted environment

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	e, err := boot()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestMain(m *testing.M) {
	// Helm and clusterctl keep what they find out about API servers.
	cache, err := os.MkdirTemp("", "install-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, name := range []string{"KUBECACHEDIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"} {
		os.Setenv(name, filepath.Join(cache, name))
	}
	code := scene.Run(m, 1, func() error {
		if booted.cancel != nil {
			booted.cancel()
		}
		if booted.Scene != nil {
			booted.Stop()
		}
		return os.RemoveAll(cache) // with the release in it
	})
	os.Exit(code)
}

// makeRelease returns the folder with the files of a release, with binaries of this
// platform only: those of others take minutes.
var makeRelease = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(os.Getenv("KUBECACHEDIR")), "release")
	out, err := script("release", "OUT_DIR="+dir, "PLATFORMS="+platform())
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// script runs one of scripts/ and returns what it prints.
func script(name string, env ...string) (string, error) {
	cmd := exec.Command(filepath.Join("scripts", name))
	cmd.Dir = root
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// released returns the content of a file of the release.
func released(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(releaseDir(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func releaseDir(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles")
	}
	dir, err := makeRelease()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
