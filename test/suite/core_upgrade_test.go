package suite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// Cluster API is upgraded, kinds and all, while an allocator runs that knows it at
// v1beta1. The allocator ends, is started again as Kubernetes would, and goes on at
// v1beta2: no VIP has changed, nothing was built anew, and a new Cluster gets its VIPs.
func TestCoreIsUpgraded(t *testing.T) {
	if scene.Release() == "" {
		t.Skip("an upgrade begins at an older Cluster API: -release names it")
	}
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	t.Parallel()
	e := &environment{sharedLog: filepath.Join(t.TempDir(), "allocator.log")}
	if err := e.startManagement(t.Context(), management.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.management.Stop)
	ends := e.keepRunning(t)
	w := &world{environment: e, t: t, filter: sharedFilter}
	w.namespace = w.newNamespace()
	t.Cleanup(func() {
		if t.Failed() {
			w.dump()
			t.Logf("its allocator:\n%s", lastLines(e.sharedLog, "", 60))
		}
	})
	k := w.exampleClass()
	cp, in := w.pool(serving(controlPlane, k)), w.pool(serving(ingress, k))
	running, byHand := w.cluster(k), w.cluster(k, at(newIP(), 6443), annotated(ingress.enabled(), "false"))
	isServed := all(has(controlPlane, cp.address(0)), has(ingress, in.address(0)), built())
	running.becomes(isServed)
	host := byHand.becomes(reason(controlPlane, "Manual"), built()).Spec.ControlPlaneEndpoint.Host
	before := w.identities(running, byHand)

	if err := e.management.UpgradeCAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.eventually("the allocator has followed", func() error {
		if ends.Load() == 0 {
			return errors.New("it still runs")
		}
		return nil
	})
	w.cluster(k).becomes(has(controlPlane, cp.address(1)), has(ingress, in.address(1)), built())
	running.becomes(isServed)
	byHand.becomes(manual(controlPlane, host), endpoint(host, 6443))
	w.eventually("the claims name their owner at the new version", func() error {
		for _, r := range bothRoles {
			if version := running.claim(r).OwnerReferences[0].APIVersion; version != e.management.ClusterAPIVersion() {
				return fmt.Errorf("%s has %s", r.claim(running.name), version)
			}
		}
		return nil
	})
	for name, was := range before {
		if now := w.identities(running, byHand)[name]; now != was {
			t.Errorf("%s was %v, is %v", name, was, now)
		}
	}
	log, err := os.ReadFile(e.sharedLog)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{
		"Cluster API is served as cluster.x-k8s.io/v1beta1, ipam.cluster.x-k8s.io/v1beta1", "the served versions have changed",
		"Cluster API is served as cluster.x-k8s.io/v1beta2, ipam.cluster.x-k8s.io/v1beta2",
	} {
		if !strings.Contains(string(log), words) {
			t.Errorf("the log does not say %q", words)
		}
	}
}

// identity of an object and the generation of its spec.
type identity struct {
	uid        types.UID
	generation int64
}

// identities are those of the claims and the infrastructure of Clusters.
func (w *world) identities(clusters ...*cluster) map[string]identity {
	w.t.Helper()
	found := map[string]identity{}
	for _, c := range clusters {
		infrastructure := c.infrastructure()
		found["DemoCluster of "+c.name] = identity{infrastructure.GetUID(), infrastructure.GetGeneration()}
		for _, r := range bothRoles {
			if claim := c.claim(r); claim != nil {
				found[claim.Name] = identity{claim.UID, claim.Generation}
			}
		}
	}
	return found
}

// keepRunning starts an allocator again whenever it ends, and counts how often it has.
func (e *environment) keepRunning(t *testing.T) *atomic.Int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ends := new(atomic.Int64)
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	started := make(chan error, 1)
	running.Go(func() {
		for ctx.Err() == nil {
			p, err := allocator.Start(ctx, allocator.Options{
				Kubeconfig: e.kubeconfig, Args: []string{"--leader-elect", "--watch-filter=" + sharedFilter}, LogFile: e.sharedLog,
			})
			select {
			case started <- err:
			default:
			}
			if err != nil {
				ends.Add(1)
				continue
			}
			select {
			case <-p.Done():
				ends.Add(1)
			case <-ctx.Done():
				p.Kill()
			}
		}
	})
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	return ends
}
