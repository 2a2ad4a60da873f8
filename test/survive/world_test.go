package survive

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// world is what one test works in: a namespace, addresses, and an installation of the
// allocator with a proxy before it.
type world struct {
	*environment
	t          *testing.T
	namespace  string
	subnet     string // the first three numbers of a /24 that nobody else uses
	proxy      *fault.Proxy
	kubeconfig string // leads to the proxy
	guard      *guard
	env        []string // of allocators to come
	started    int
}

var subnets atomic.Int64

// newWorld makes a world whose test runs beside others. Labels are those of its
// namespace, in YAML.
func newWorld(t *testing.T, labels string) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	e, err := boot()
	if err != nil {
		t.Fatalf("start the environment: %v", err)
	}
	n := subnets.Add(1)
	w := &world{environment: e, t: t, namespace: e.Namespace(t, labels), subnet: fmt.Sprintf("10.%d.%d", 100+n/250, n%250)}
	w.guard = &guard{world: w, inUse: map[string]string{}}
	w.install()
	w.proxy, w.kubeconfig = w.newProxy()
	t.Cleanup(w.judge)
	return w
}

// install copies what the chart keeps in its own namespace, so that the world's
// allocators have their Leases and their switch of the hold gate for themselves.
func (w *world) install() {
	w.t.Helper()
	for _, resource := range []schema.GroupVersionResource{
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
		{Version: "v1", Resource: "configmaps"},
	} {
		list, err := w.Client.Resource(resource).Namespace(allocator.Namespace).List(w.t.Context(), metav1.ListOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range list.Items {
			object := &list.Items[i]
			if object.GetName() == "kube-root-ca.crt" {
				continue // each namespace has one already
			}
			object.SetNamespace(w.namespace)
			object.SetUID("")
			object.SetResourceVersion("")
			if _, err := w.Client.Resource(resource).Namespace(w.namespace).Create(w.t.Context(), object, metav1.CreateOptions{}); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// newProxy starts a proxy whose user is the chart's ServiceAccount.
func (w *world) newProxy() (proxy *fault.Proxy, kubeconfig string) {
	w.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.Kubeconfig)
	if err != nil {
		w.t.Fatal(err)
	}
	if proxy, err = fault.Start(config); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(proxy.Close)
	w.guard.watch(proxy)
	if kubeconfig, err = proxy.WriteKubeconfig(w.t.TempDir()); err != nil {
		w.t.Fatal(err)
	}
	return proxy, kubeconfig
}

// start starts an allocator behind the world's proxy, which serves the world's
// Clusters alone, with further flags. It is killed at the end of the test.
func (w *world) start(args ...string) *allocator.Process {
	w.t.Helper()
	return w.startAt(w.kubeconfig, args...)
}

func (w *world) startAt(kubeconfig string, args ...string) *allocator.Process {
	w.t.Helper()
	p, err := w.tryStart(kubeconfig, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) tryStart(kubeconfig string, args ...string) (*allocator.Process, error) {
	w.t.Helper()
	w.started++
	log := filepath.Join(w.Logs, fmt.Sprintf("allocator-%s-%d.log", w.namespace, w.started))
	p, err := allocator.Start(w.t.Context(), allocator.Options{
		Kubeconfig: kubeconfig,
		Args:       slices.Concat(w.Chart.Args, []string{"--leader-elect=false", "--watch-filter=" + w.namespace}, args),
		LogFile:    log,
		Env:        append([]string{"POD_NAMESPACE=" + w.namespace}, w.env...),
	})
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() {
		p.Kill()
		if w.t.Failed() {
			w.t.Logf("an allocator of this test, %q:\n%s", args, ending(log))
		}
	})
	return p, nil
}

// ending is the last lines of a log.
func ending(log string) string {
	const most = 60
	content, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

func (w *world) apply(content string) {
	w.t.Helper()
	w.Apply(w.t, content)
}

// eventually waits until check returns nil; what completes "wait until".
func (w *world) eventually(what string, check func() error) {
	w.t.Helper()
	scene.Until(w.t, patience, what, check)
}

// happened tells whether the rule has applied.
func happened(rule *fault.Armed) bool {
	select {
	case <-rule.Hit():
		return true
	default:
		return false
	}
}

// awaitHit waits until the rule has applied.
func (w *world) awaitHit(rule *fault.Armed) {
	w.t.Helper()
	w.eventually("the fault happens", func() error {
		if !happened(rule) {
			return fmt.Errorf("%d requests match", rule.Seen())
		}
		return nil
	})
}
