package scale

import (
	"context"
	"embed"
	"fmt"
	"io"
	"time"

	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

const (
	// patience is how long anything may take before the measurement is given up.
	patience = 3 * time.Minute
	// writers is how many requests are under way at once while the world is filled.
	writers = 8
)

//go:embed manifests/*.yaml
var manifests embed.FS

// world is an API server with nobody on it but the allocator and this process, which
// plays the users, Cluster API, the IPAM provider and the garbage collector.
type world struct {
	management *management.Cluster
	client     dynamic.Interface
	audit      audit.Log
	tenants    []*tenant
	pools      map[string]*pool // by name
	mould      *mould
	clusters   int // how many converged Clusters there are
	samples    int // how many new ones were made so far
	edits      int // how many labels were edited so far
	progress   io.Writer
}

// newWorld fills an API server with all but the Clusters.
func newWorld(ctx context.Context, progress io.Writer) (*world, error) {
	cluster, err := management.Start(ctx, management.Options{
		Progress: progress, Without: []string{management.CAPI, management.IPAM, management.ControllerManager},
	})
	if err != nil {
		return nil, err
	}
	w := &world{management: cluster, audit: audit.Log(cluster.AuditLog()), pools: map[string]*pool{}, progress: progress}
	if err := w.furnish(ctx); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *world) furnish(ctx context.Context) error {
	config := w.management.Config()
	config.UserAgent = "capi-vip-bench"
	var err error
	if w.client, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	if err := w.management.InstallKinds(ctx, management.CAPI, management.IPAM); err != nil {
		return err
	}
	if err := w.createNamespace(ctx, allocator.Namespace); err != nil {
		return err
	}
	if w.mould, err = w.makeMould(ctx); err != nil {
		return fmt.Errorf("make the first cluster: %w", err)
	}
	return w.makeTenants(ctx)
}

func (w *world) stop() { w.management.Stop() }

func (w *world) createNamespace(ctx context.Context, name string) error {
	return w.management.Apply(ctx, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: "+name+"}}"))
}

func (w *world) say(format string, values ...any) {
	if w.progress != nil {
		fmt.Fprintf(w.progress, format+"\n", values...)
	}
}

// manifest reads one of our files.
func manifest(name string) (map[string]any, error) {
	content, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	if err := yaml.Unmarshal(content, &object); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return object, nil
}
