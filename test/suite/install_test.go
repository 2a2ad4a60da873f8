package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

// An allocator that is installed before Cluster API and the IPAM provider waits for
// them, and needs no restart.
func TestProcessInstalledFirst(t *testing.T) {
	w := newWorld(t)
	e := &environment{}
	t.Cleanup(func() {
		if e.management != nil {
			e.management.Stop()
		}
	})
	if err := e.startManagement(t.Context(), management.Options{Without: []string{management.CAPI, management.IPAM}}); err != nil {
		t.Fatal(err)
	}
	e.sharedLog = filepath.Join(t.TempDir(), "allocator.log")
	started := make(chan error, 1)
	go func() {
		var err error
		e.shared, err = allocator.Start(t.Context(), allocator.Options{
			Kubeconfig: e.kubeconfig, Args: []string{"--leader-elect", "--watch-filter=" + sharedFilter}, LogFile: e.sharedLog,
		})
		started <- err
	}()
	w.eventually("it waits for Cluster API", func() error {
		log, _ := os.ReadFile(e.sharedLog)
		if !strings.Contains(string(log), "Waiting for Cluster API") {
			return fmt.Errorf("the log is %s", log)
		}
		return nil
	})
	if err := e.management.StartComponent(management.CAPI); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.shared.Kill)

	other := &world{environment: e, t: t, filter: sharedFilter}
	other.namespace = other.newNamespace()
	t.Cleanup(func() {
		if t.Failed() {
			other.dump()
			t.Logf("its allocator:\n%s", lastLines(e.sharedLog, "", 60))
		}
	})
	k := other.class(declares("clusterVip", text))
	c := other.cluster(k)
	c.becomes(reason(controlPlane, "NoPool"))
	if err := e.management.StartComponent(management.IPAM); err != nil {
		t.Fatal(err)
	}
	p := other.pool(serving(controlPlane, k))
	c.becomes(has(controlPlane, p.address(0)))
	local := other.pool(namespaced(), serving(controlPlane, k), annotated(poolPriority, "1"))
	other.cluster(k).becomes(has(controlPlane, local.address(0)))
}

// While version 0.7.1 runs in its own namespace, nothing is written. It runs alone:
// other tests start allocators meanwhile.
func TestProcessOldControllerRunning(t *testing.T) {
	w := newLonelyWorld(t)
	const namespace = "capi-system"
	w.apply(fmt.Sprintf(oldDeployment, chart.ManagerName, namespace))
	p := w.startAllocator("--leader-elect", "--leader-election-id="+w.namespace)
	k := w.class(declares("clusterVip", text))
	w.pool(serving(controlPlane, k))
	since := w.mark()
	c := w.cluster(k)
	w.eventually("it says so", func() error { return mentions(p, "OldControllerRunning") })
	own := w.filter
	w.filter = sharedFilter
	c.untouched(since)
	w.filter = own
	change(w, deployments, namespace, chart.ManagerName, func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, int64(0), "spec", "replicas")
	})
	c.becomes(reason(controlPlane, "Allocated"))
	w.remove(deployments, namespace, chart.ManagerName, metav1.DeleteOptions{})
}

const oldDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  replicas: 1
  selector: {matchLabels: {control-plane: %[1]s}}
  template:
    metadata: {labels: {control-plane: %[1]s}}
    spec: {containers: [{name: manager, image: example.com/old}]}
`

func mentions(p *allocator.Process, text string) error {
	if !strings.Contains(p.LogTail(), text) {
		return fmt.Errorf("the log does not name %q", text)
	}
	return nil
}
