// Package management runs a real Cluster API management cluster on one machine
// without containers: etcd, kube-apiserver, kube-controller-manager, the Cluster
// API core provider with its topology controller and webhooks, and the
// in-cluster IPAM provider. Everything is compiled from Go modules and listens
// on loopback.
//
// A small set of Demo kinds (folder crds) stands in for an infrastructure and a
// control plane provider: Cluster API creates and patches real objects of these
// kinds, nothing reconciles them.
package management

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Names of the components, for Options.Without and the methods that take one.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	CAPI              = "capi"
	IPAM              = "ipam"
)

// Options say what a cluster holds and where it keeps its files. The zero value
// is a complete, silent cluster in a temporary folder.
type Options struct {
	// Dir takes data, certificates, kubeconfigs and logs. It must be empty or
	// absent. "" is a new temporary folder, which Stop removes.
	Dir string
	// KeepDir makes Stop leave the temporary folder, for a look at the logs.
	KeepDir bool
	// Progress receives one line per step; nil is silent.
	Progress io.Writer
	// Release is that of Cluster API. Clients of Config speak v1beta2 with an older one too.
	Release Release
	// RuntimeSDK turns on the feature gate of the Cluster API runtime hooks.
	RuntimeSDK bool
	// Providers run beside Cluster API.
	Providers []Provider
	// Workloads makes pods of Deployments. They stay pending: nothing runs them.
	Workloads bool
	// Without names components to leave out together with their CRDs and
	// webhooks: CAPI, IPAM, ControllerManager. StartComponent adds them later.
	// IPAM needs CAPI's kinds, so leaving out CAPI requires leaving out IPAM.
	Without []string
}

// Cluster is a running management cluster. Its methods may be called
// concurrently.
type Cluster struct {
	dir        string
	removeDir  bool
	binaries   Binaries
	authority  *authority
	launcher   *launcher
	applier    *applier     // set as soon as kube-apiserver has an address
	admin      *rest.Config // likewise
	runtimeSDK bool
	translate  atomic.Bool // whether Cluster API serves no v1beta2
	components map[string]*component
	providers  []string // names of those beside Cluster API and IPAM
	stop       sync.Once
}

// Start builds what is missing, boots a cluster and returns when all of its
// components are ready. It is all or nothing: on an error everything started is
// stopped again, and the error holds the end of the failing component's log.
// Cancelling ctx aborts Start, and has no effect once it returned.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if err := checkWithout(o.Without); err != nil {
		return nil, err
	}
	progress := newProgress(o.Progress)
	binaries, err := build(ctx, progress, o.Release, o.Providers...)
	if err != nil {
		return nil, err
	}
	c, err := newCluster(o, binaries, progress)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := c.boot(ctx, o.Without); err != nil {
		c.Stop()
		return nil, fmt.Errorf("start management cluster: %w", err)
	}
	progress.say("management cluster is ready after %.1fs", time.Since(begin).Seconds())
	return c, nil
}

func checkWithout(names []string) error {
	for _, name := range names {
		if name != CAPI && name != IPAM && name != ControllerManager {
			return fmt.Errorf("component %q cannot be left out", name)
		}
	}
	if slices.Contains(names, CAPI) && !slices.Contains(names, IPAM) {
		return fmt.Errorf("component %q needs the kinds of %q: leave out both", IPAM, CAPI)
	}
	return nil
}

func newCluster(o Options, binaries Binaries, progress *progress) (*Cluster, error) {
	dir, temporary, err := makeDir(o.Dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		dir:        dir,
		removeDir:  temporary && !o.KeepDir,
		binaries:   binaries,
		launcher:   newLauncher(),
		runtimeSDK: o.RuntimeSDK,
	}
	old, err := o.Release.onlyV1Beta1()
	if err != nil {
		return nil, err
	}
	c.translate.Store(old)
	c.components = map[string]*component{}
	components := []*component{
		c.etcd(), c.apiServer(), c.controllerManager(o.Workloads), c.capi(o.Release, o.RuntimeSDK), c.ipam(o.Release),
	}
	for _, p := range o.Providers {
		c.providers = append(c.providers, p.name)
		components = append(components, c.provider(p, binaries.Providers[p.name]))
	}
	for _, component := range components {
		component.launcher, component.logFile, component.say = c.launcher, c.LogFile(component.name), progress.say
		c.components[component.name] = component
	}
	if c.authority, err = newAuthority(filepath.Join(dir, "certificates")); err == nil {
		err = os.MkdirAll(filepath.Join(dir, "logs"), 0o755)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// makeDir returns an absolute, existing, empty folder. A used one is refused:
// its data would belong to other certificates and ports.
func makeDir(dir string) (path string, temporary bool, err error) {
	if dir == "" {
		path, err = os.MkdirTemp("", "management-")
		return path, true, err
	}
	if path, err = filepath.Abs(dir); err != nil {
		return "", false, err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", false, err
	}
	entries, err := os.ReadDir(path)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("folder %s is not empty", path)
	}
	return path, false, err
}

// boot starts etcd and kube-apiserver, installs all kinds, then starts the
// controllers side by side. The kinds come first because the garbage collector
// looks for new ones only every 30 seconds.
func (c *Cluster) boot(ctx context.Context, without []string) error {
	for _, name := range []string{Etcd, APIServer} {
		if err := c.components[name].bringUp(ctx); err != nil {
			return err
		}
	}
	if err := c.applier.awaitNamespace(ctx, metav1.NamespaceDefault); err != nil {
		return err
	}
	if err := c.installDemoKinds(ctx); err != nil {
		return err
	}
	wanted := slices.DeleteFunc(c.controllers(), func(name string) bool {
		return slices.Contains(without, name)
	})
	for _, name := range wanted {
		if err := c.components[name].prepare(ctx); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range wanted {
		group.Go(func() error { return c.components[name].bringUp(ctx) })
	}
	return group.Wait()
}

// controllers are the components that work on what is stored.
func (c *Cluster) controllers() []string {
	return append([]string{CAPI, IPAM, ControllerManager}, c.providers...)
}

// Stop stops the components, controllers first and etcd last, waits until they
// are gone, and removes the folder if it was temporary. It may be called more
// than once.
func (c *Cluster) Stop() {
	c.stop.Do(func() {
		var controllers sync.WaitGroup
		for _, name := range c.controllers() {
			controllers.Go(func() { c.components[name].shutDown(gracePeriod) })
		}
		controllers.Wait()
		c.components[APIServer].shutDown(gracePeriod)
		c.components[Etcd].shutDown(gracePeriod)
		c.launcher.close()
		if c.removeDir {
			os.RemoveAll(c.dir)
		}
	})
}

// Dir is the folder with data, certificates, kubeconfigs and logs.
func (c *Cluster) Dir() string { return c.dir }

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfigs", "admin") }

// Config returns a copy of the administrator's client configuration, without
// client-side throttling.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.admin) }

// AuditLog is the path of the audit log: one JSON object per line and request,
// metadata only. A request is logged when it is answered (stage
// ResponseComplete), a watch when it begins (stage ResponseStarted).
func (c *Cluster) AuditLog() string { return filepath.Join(c.dir, "logs", "audit.jsonl") }

// LogFile is the path of the output of a component; restarts append to it.
func (c *Cluster) LogFile(component string) string {
	return filepath.Join(c.dir, "logs", component+".log")
}
