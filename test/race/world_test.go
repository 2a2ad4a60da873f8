package race

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// world is what one test works in: a namespace, a range of addresses and allocators
// of its own.
type world struct {
	*environment
	t         *testing.T
	namespace string
	number    int64
	started   int
}

var worlds atomic.Int64

func newWorld(t *testing.T, labels string) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	e, err := boot()
	if err != nil {
		t.Fatalf("start the environment: %v", err)
	}
	return &world{environment: e, t: t, number: worlds.Add(1), namespace: e.Namespace(t, labels)}
}

func (w *world) apply(content string) {
	w.t.Helper()
	w.Apply(w.t, content)
}

// class makes the ClusterClass of this form in the world's namespace.
func (w *world) class(f gates.Form) {
	w.t.Helper()
	w.apply(string(gates.Class(w.namespace, f)))
	if err := observe.AwaitClass(w.t.Context(), w.Client, w.namespace, gates.ClassName); err != nil {
		w.t.Fatal(err)
	}
}

// pools makes a pool per role, which no crowd can empty.
func (w *world) pools() {
	w.t.Helper()
	for i, role := range []string{"control-plane", "ingress"} {
		w.apply(fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: %[1]s-%[2]s
  labels: {vip.capi.gorizond.io/role: %[2]s}
  annotations: {vip.capi.gorizond.io/cluster-class: %[1]s/`+gates.ClassName+`}
spec: {addresses: [10.%[3]d.%[4]d.1-10.%[3]d.%[4]d.250], prefix: 16}
`, w.namespace, role, w.number, i))
	}
}

// start starts an allocator as the chart would, with further flags.
func (w *world) start(args ...string) *allocator.Process {
	w.t.Helper()
	w.started++
	p, err := allocator.Start(w.t.Context(), allocator.Options{
		Kubeconfig: w.Kubeconfig, Args: slices.Concat(w.Chart.Args, shortLease, args),
		LogFile: filepath.Join(w.Logs, fmt.Sprintf("allocator-%s-%d.log", w.namespace, w.started)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		// In order, so that the next one need not wait for its Lease to run out.
		_, _ = p.Stop()
	})
	return p
}

// shortLease has a successor of a killed allocator wait less.
var shortLease = []string{"--leader-elect-lease-duration=4s", "--leader-elect-renew-deadline=3s", "--leader-elect-retry-period=1s"}

const clusterManifest = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: %s}
spec:
  topology: {classRef: {name: ` + gates.ClassName + `}, version: v1.36.3, controlPlane: {replicas: 1}}
`

// creators is how many Clusters are created side by side.
const creators = 16

// create creates n Clusters at once, which name no address.
func (w *world) create(n int) {
	w.t.Helper()
	group, ctx := errgroup.WithContext(w.t.Context())
	group.SetLimit(creators)
	for i := range n {
		group.Go(func() error {
			return w.Management.Apply(ctx, fmt.Appendf(nil, clusterManifest, clusterName(i), w.namespace))
		})
	}
	if err := group.Wait(); err != nil {
		w.t.Fatal(err)
	}
}

func clusterName(i int) string { return fmt.Sprintf("c%d", i) }

// built waits until the first n Clusters have infrastructure and control planes with
// all VIPs, and Cluster API has nothing more to do for them.
func (w *world) built(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d Clusters are built with their VIPs", n), func() error {
		clusters, planes := w.witness.complete(w.namespace, "DemoCluster"), w.witness.complete(w.namespace, "DemoControlPlane")
		if clusters != n || planes != n {
			return fmt.Errorf("%d DemoClusters and %d DemoControlPlanes are", clusters, planes)
		}
		return nil
	})
	w.eventually("all topologies are reconciled", func() error {
		list, err := w.Client.Resource(observe.Clusters).Namespace(w.namespace).List(w.t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range list.Items {
			if err := reconciled(&list.Items[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// some waits until n Clusters of the namespace have infrastructure, or more, and
// returns how many.
func (w *world) some(n int) (done int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d Clusters are built", n), func() error {
		if done = w.witness.complete(w.namespace, "DemoCluster"); done < n {
			return fmt.Errorf("%d are", done)
		}
		return nil
	})
	return done
}

func reconciled(cluster *unstructured.Unstructured) error {
	condition := observe.Condition(cluster, "TopologyReconciled")
	observed, _, _ := unstructured.NestedInt64(condition, "observedGeneration")
	if condition["status"] != "True" || observed != cluster.GetGeneration() {
		return fmt.Errorf("of Cluster %s TopologyReconciled is %v at generation %d of %d: %v", cluster.GetName(), condition["status"], observed, cluster.GetGeneration(), condition["message"])
	}
	return nil
}

func (w *world) get(name string) (*unstructured.Unstructured, error) {
	return w.Client.Resource(observe.Clusters).Namespace(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
}

// is waits until the Cluster is as the test says.
func (w *world) is(name, what string, check func(cluster *unstructured.Unstructured) error) {
	w.t.Helper()
	w.eventually("Cluster "+name+" "+what, func() error {
		cluster, err := w.get(name)
		if err != nil {
			return err
		}
		return check(cluster)
	})
}

func (w *world) patch(name, merge string) {
	w.t.Helper()
	_, err := w.Client.Resource(observe.Clusters).Namespace(w.namespace).
		Patch(w.t.Context(), name, types.MergePatchType, []byte(merge), metav1.PatchOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delete(name string) {
	w.t.Helper()
	if err := w.Client.Resource(observe.Clusters).Namespace(w.namespace).Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) gone(name string) {
	w.t.Helper()
	scene.Gone(w.t, patience, w.Client.Resource(observe.Clusters).Namespace(w.namespace), name)
}

// eventually waits until check returns nil; what completes "wait until".
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	scene.Until(w.t, patience, what, check)
}

// configMapResource is where the switch of the hold gate is.
var configMapResource = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// switchOff deletes the ConfigMap; it is put back after the test.
func (w *world) switchOff() {
	w.t.Helper()
	configMaps := w.Client.Resource(configMapResource).Namespace(allocator.Namespace)
	original, err := configMaps.Get(w.t.Context(), holdSwitch, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := configMaps.Delete(w.t.Context(), holdSwitch, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		original.SetResourceVersion("")
		original.SetUID("")
		// The test's own context has ended.
		if _, err := configMaps.Create(context.Background(), original, metav1.CreateOptions{}); err != nil {
			w.t.Error(err)
		}
	})
}
