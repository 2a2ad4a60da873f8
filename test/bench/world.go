package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

const (
	// patience is how long anything may take before the measurement is given up.
	patience = 5 * time.Minute
	// settling is what Cluster API and the allocator get to finish after the last
	// VIP: the requests of that time belong to the measurement too.
	settling = 3 * time.Second
)

// The pools are far larger than any number of Clusters: filling one is not the subject.
const pools = `
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: control-plane
  labels: {` + observe.RoleLabel + `: control-plane, ` + observe.ClassLabel + `: ` + gates.ClassName + `}
spec: {addresses: [10.64.0.1-10.64.255.254], prefix: 16}
---
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: ingress
  labels: {` + observe.RoleLabel + `: ingress, ` + observe.ClassLabel + `: ` + gates.ClassName + `}
spec: {addresses: [10.65.0.1-10.65.255.254], prefix: 16}
`

// scriptAgent is the user agent of the script.
const scriptAgent = "capi-vip-bench-script"

// world is what both sides of a comparison share.
type world struct {
	management *management.Cluster
	client     dynamic.Interface // for looking and cleaning up
	recorder   *recorder
	script     *script
	audit      audit.Log
	class      []byte // manifest of the example class and its templates
	progress   io.Writer
}

func newWorld(ctx context.Context, cluster *management.Cluster, progress io.Writer) (*world, error) {
	w := &world{
		management: cluster,
		recorder:   newRecorder(),
		audit:      audit.Log(cluster.AuditLog()),
		progress:   progress,
	}
	var err error
	if w.client, err = clientOf(cluster.Config(), "capi-vip-bench"); err != nil {
		return nil, err
	}
	scriptClient, err := clientOf(cluster.Config(), scriptAgent)
	if err != nil {
		return nil, err
	}
	w.script = &script{client: scriptClient, recorder: w.recorder}
	examples, err := allocator.Examples(ctx)
	if err != nil {
		return nil, err
	}
	if w.class, err = os.ReadFile(filepath.Join(examples, "clusterclass.yaml")); err != nil {
		return nil, err
	}
	if err := cluster.Apply(ctx, []byte(pools)); err != nil {
		return nil, err
	}
	if err := w.createNamespace(ctx, allocator.Namespace, ""); err != nil {
		return nil, err
	}
	return w, w.recorder.watch(ctx, w.client)
}

func clientOf(config *rest.Config, userAgent string) (dynamic.Interface, error) {
	config.UserAgent = userAgent
	return dynamic.NewForConfig(config)
}

func (w *world) startAllocator(ctx context.Context) (*allocator.Process, error) {
	return allocator.Start(ctx, allocator.Options{
		Kubeconfig: w.management.Kubeconfig(),
		Args:       []string{"--leader-elect"},
		LogFile:    w.logFile(),
	})
}

func (w *world) logFile() string {
	return filepath.Join(filepath.Dir(w.management.AuditLog()), "allocator.log")
}

// createNamespace makes a namespace with labels in YAML.
func (w *world) createNamespace(ctx context.Context, name, labels string) error {
	return w.management.Apply(ctx, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: "+name+", labels: {"+labels+"}}}"))
}

// classOf makes the class of a namespace and waits until Cluster API has read it.
func (w *world) classOf(ctx context.Context, namespace string, manifest []byte) error {
	if err := w.management.Apply(ctx, manifest); err != nil {
		return err
	}
	return observe.AwaitClass(ctx, w.client, namespace, gates.ClassName)
}

// prepare makes a namespace with the class, and runs one Cluster through it: what
// happens only the first time is not the subject.
func (w *world) prepare(ctx context.Context, namespace string, create creator) error {
	if err := w.createNamespace(ctx, namespace, ""); err != nil {
		return err
	}
	class, err := inNamespace(w.class, namespace)
	if err != nil {
		return fmt.Errorf("read the example class: %w", err)
	}
	if err := w.classOf(ctx, namespace, class); err != nil {
		return err
	}
	if _, err := w.crowd(ctx, namespace, 1, 1, create); err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	return w.clear(ctx, namespace)
}

// clear deletes all Clusters of a namespace and waits until their addresses are
// back in the pools.
func (w *world) clear(ctx context.Context, namespace string) error {
	clusters := w.client.Resource(observe.Clusters).Namespace(namespace)
	list, err := clusters.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the clusters of %s: %w", namespace, err)
	}
	// One by one: a busy API server may not get a whole collection done in the time
	// that it gives a request.
	group, groupContext := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range list.Items {
		name := list.Items[i].GetName()
		group.Go(func() error {
			err := clusters.Delete(groupContext, name, metav1.DeleteOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("delete cluster %s/%s: %w", namespace, name, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := w.recorder.await(ctx, func() bool { return w.recorder.empty(namespace) }); err != nil {
		return fmt.Errorf("clusters or claims of %s are left: %w", namespace, err)
	}
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, w.poolsUnused)
}

func (w *world) poolsUnused(ctx context.Context) (bool, error) {
	list, err := w.client.Resource(observe.GlobalPools).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, err
	}
	for _, pool := range list.Items {
		status, _ := pool.Object["status"].(map[string]any)
		counts, _ := status["ipAddresses"].(map[string]any)
		if used, _ := counts["used"].(int64); used > 0 {
			return false, nil
		}
	}
	return true, nil
}

func (w *world) say(format string, values ...any) {
	if w.progress != nil {
		fmt.Fprintf(w.progress, format+"\n", values...)
	}
}
