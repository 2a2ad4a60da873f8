package monitoring

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

const (
	// patience bounds each wait. What is waited for takes seconds on an idle machine.
	patience = 2 * time.Minute
	interval = 100 * time.Millisecond
)

// scene is a management cluster with the chart installed, its gates for the namespaces
// that ask for them.
type scene struct {
	t          *testing.T
	management *management.Cluster
	client     dynamic.Interface
	chart      *chart.Chart
	kubeconfig string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	s := &scene{t: t}
	var err error
	if s.management, err = management.Start(t.Context(), management.Options{RuntimeSDK: true, Progress: t.Output()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.management.Stop)
	if s.client, err = dynamic.NewForConfig(s.management.Config()); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	s.chart, err = chart.Render(t.Context(), values{
		"holdGate": values{"enabled": true, "namespaceSelector": on("hold-gate")},
		"runtimeExtension": values{
			"enabled": true, "port": port, "extensionConfig": values{"namespaceSelector": on("hook-gate")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.kubeconfig, err = s.chart.Install(t.Context(), s.management); err != nil {
		t.Fatal(err)
	}
	// Nobody carries its Service here.
	url := fmt.Sprintf(`{"spec":{"clientConfig":{"service":null,"url":"https://127.0.0.1:%d"}}}`, port)
	_, err = s.client.Resource(extensions).Patch(t.Context(), "vip-allocator", types.MergePatchType, []byte(url), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.play("classes.yaml")
	for _, class := range []string{"gated", "open", "crowded", "strict", "shared", "poolless"} {
		if err := observe.AwaitClass(t.Context(), s.client, metav1.NamespaceDefault, class); err != nil {
			t.Fatal(err)
		}
	}
	s.play("pools.yaml")
	return s
}

var extensions = schema.GroupVersionResource{Group: "runtime.cluster.x-k8s.io", Version: "v1beta2", Resource: "extensionconfigs"}

func on(label string) values { return values{"matchLabels": values{label: "on"}} }

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// play applies a file of testdata/scene.
func (s *scene) play(file string) {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "scene", file))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.management.Apply(s.t.Context(), content); err != nil {
		s.t.Fatal(err)
	}
}

// start starts an allocator as the chart does, with further flags.
func (s *scene) start(args ...string) *allocator.Process {
	s.t.Helper()
	p, err := allocator.Start(s.t.Context(), allocator.Options{
		Kubeconfig: s.kubeconfig, Args: append(append([]string{}, s.chart.Args...), args...),
		LogFile: filepath.Join(s.t.TempDir(), "allocator.log"),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if p.Kill(); s.t.Failed() {
			s.t.Logf("an allocator:\n%s", p.LogTail())
		}
	})
	return p
}

// discovered waits until Cluster API asks the hook.
func (s *scene) discovered() {
	s.t.Helper()
	s.eventually("Cluster API has discovered the hook", func() error {
		object, err := s.client.Resource(extensions).Get(s.t.Context(), "vip-allocator", metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
		for _, item := range conditions {
			if condition, _ := item.(values); condition["type"] == "Discovered" && condition["status"] == "True" {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %v", conditions)
	})
}

// shows waits until the allocator has these series, each at least that high.
func (s *scene) shows(p *allocator.Process, want map[string]float64) {
	s.t.Helper()
	s.eventually("the metrics are as expected", func() error {
		series, err := p.Series(s.t.Context())
		if err != nil {
			return err
		}
		for name, value := range want {
			if got, exists := series["capi_vip_allocator_"+name]; !exists || got < value {
				return fmt.Errorf("%s is %v (shown: %t), want %v", name, got, exists, value)
			}
		}
		return nil
	})
}

// look scrapes the allocators, which are called a, b and so on.
func (s *scene) look(all ...*allocator.Process) []scrape {
	s.t.Helper()
	var scrapes []scrape
	for i, p := range all {
		text, err := p.Scrape(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		scrapes = append(scrapes, scrape{instance: string(rune('a' + i)), text: text})
	}
	return scrapes
}

func (s *scene) eventually(what string, check func() error) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("wait until %s: not within %s: %v", what, patience, err)
		}
		select {
		case <-time.After(interval):
		case <-s.t.Context().Done():
			s.t.Fatal(s.t.Context().Err())
		}
	}
}
