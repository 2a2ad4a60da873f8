package neighbours

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// patience bounds each wait for something that takes a second on an idle machine.
const patience = 3 * time.Minute

// environment is what all tests share.
type environment struct {
	*scene.Scene
	allocator *allocator.Process
	context   context.Context // until stop
	cancel    context.CancelFunc
}

var booted environment

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted.context, booted.cancel = context.WithCancel(context.Background())
	return &booted, booted.start(booted.context)
})

func TestMain(m *testing.M) {
	const parallel = 10 // they wait more than they work
	os.Exit(scene.Run(m, parallel, booted.stop))
}

func (e *environment) start(ctx context.Context) error {
	kinds := []management.Kinds{management.DockerKinds, management.VSphereKinds}
	if err := stayAtHome(ctx, kinds); err != nil {
		return err
	}
	var err error
	if e.Scene, err = scene.Start(ctx, "neighbours", management.Options{Providers: management.Neighbours()}); err != nil {
		return err
	}
	for _, k := range kinds {
		if err := e.Management.InstallKindsOf(ctx, k); err != nil {
			return err
		}
	}
	if err := e.Management.Apply(ctx, []byte(playedKinds())); err != nil {
		return err
	}
	if err := e.Install(ctx, map[string]any{
		"logLevel": "debug", "propagation": map[string]any{"enabled": true, "fleetWorkspaces": []any{workspace}},
	}); err != nil {
		return err
	}
	if e.allocator, err = allocator.Start(ctx, allocator.Options{
		Kubeconfig: e.Kubeconfig, Args: e.Chart.Args, LogFile: filepath.Join(e.Logs, "allocator.log"),
	}); err != nil {
		return err
	}
	return e.play(ctx)
}

func (e *environment) stop() error {
	if e.Scene == nil {
		return nil
	}
	var err error
	if e.allocator != nil {
		code, stopped := e.allocator.Stop()
		if err = stopped; code != 0 && err == nil {
			err = fmt.Errorf("the allocator ended with code %d; end of its log:\n%s", code, e.allocator.LogTail())
		}
	}
	e.cancel()
	e.Stop()
	return err
}

// stayAtHome has the programs reach nothing but loopback: the providers look for API servers at
// the VIPs, and whatever has those addresses in the network around is not to be asked. What the
// programs are built from is fetched before.
func stayAtHome(ctx context.Context, kinds []management.Kinds) error {
	if _, err := management.Build(ctx, nil, scene.Release(), append(management.Neighbours(), management.Fleet)...); err != nil {
		return err
	}
	for _, k := range kinds {
		if _, err := k.Fetch(ctx); err != nil {
			return err
		}
	}
	for name, value := range map[string]string{"HTTPS_PROXY": nowhere, "https_proxy": nowhere, "HTTP_PROXY": nowhere, "http_proxy": nowhere, "NO_PROXY": "", "no_proxy": ""} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// nowhere is a proxy that does not exist. Loopback itself is never asked for through one.
const nowhere = "http://127.0.0.1:1"

// playedKinds are infrastructure kinds of providers whose own cannot be had. They take
// anything.
func playedKinds() string {
	var all strings.Builder
	for version, prefixes := range map[string][]string{"v1beta2": {"Metal3"}, "v1beta1": {"Harvester"}, "v1alpha1": {"Proxmox"}} {
		for _, prefix := range prefixes {
			for _, suffix := range []string{"Cluster", "ClusterTemplate", "Machine", "MachineTemplate"} {
				fmt.Fprintf(&all, playedKind, prefix+suffix, strings.ToLower(prefix+suffix)+"s", version)
			}
		}
	}
	return all.String()
}

const playedKind = `
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[2]s.infrastructure.cluster.x-k8s.io
  labels: {cluster.x-k8s.io/v1beta1: %[3]s, cluster.x-k8s.io/v1beta2: %[3]s}
spec:
  group: infrastructure.cluster.x-k8s.io
  scope: Namespaced
  names: {kind: %[1]s, plural: %[2]s}
  versions:
  - name: %[3]s
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`
