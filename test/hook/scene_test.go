// Package hook tests the runtime extension on a real management cluster: Cluster API
// discovers it, asks it, and builds nothing for a Cluster that has no VIP.
package hook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

const (
	// patience bounds each wait. What is waited for takes seconds on an idle machine.
	patience = time.Minute
	interval = 50 * time.Millisecond

	secretName    = "capi-vip-allocator-runtime-extension-tls"
	extensionName = "vip-allocator"
	className     = "ungated"
	subnet        = "10.77.0"
)

var (
	extensions    = schema.GroupVersionResource{Group: "runtime.cluster.x-k8s.io", Version: "v1beta2", Resource: "extensionconfigs"}
	secrets       = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	controlPlanes = schema.GroupVersionResource{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta2", Resource: "democontrolplanes"}
)

// scene is a management cluster with the chart installed, and no allocator running.
type scene struct {
	t          *testing.T
	management *management.Cluster
	client     dynamic.Interface
	args       []string
	kubeconfig string
	port       int
	births     *births
}

func newScene(t *testing.T) *scene {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	s := &scene{t: t, port: freePort(t)}
	var err error
	if s.management, err = management.Start(t.Context(), management.Options{RuntimeSDK: true, Progress: t.Output()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.management.Stop)
	if s.client, err = dynamic.NewForConfig(s.management.Config()); err != nil {
		t.Fatal(err)
	}
	s.births = s.watchBirths()
	s.apply(fmt.Sprintf(ungatedClass, className))
	if err := observe.AwaitClass(t.Context(), s.client, metav1.NamespaceDefault, className); err != nil {
		t.Fatal(err)
	}
	return s
}

// install installs the chart. Its ExtensionConfig names a Service, which nobody
// carries here, so it is pointed to the port itself.
func (s *scene) install() {
	s.t.Helper()
	c, err := chart.Render(s.t.Context(), map[string]any{
		"logLevel": "debug", "runtimeExtension": map[string]any{"enabled": true, "port": s.port},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.kubeconfig, err = c.Install(s.t.Context(), s.management); err != nil {
		s.t.Fatal(err)
	}
	s.args = c.Args
	url := fmt.Sprintf(`{"spec":{"clientConfig":{"service":null,"url":"https://127.0.0.1:%d"}}}`, s.port)
	if _, err := s.client.Resource(extensions).Patch(s.t.Context(), extensionName, types.MergePatchType, []byte(url), metav1.PatchOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

// start starts an allocator as the chart does, with further flags.
func (s *scene) start(args ...string) *allocator.Process {
	s.t.Helper()
	log := filepath.Join(s.t.TempDir(), "allocator.log")
	p, err := allocator.Start(s.t.Context(), allocator.Options{Kubeconfig: s.kubeconfig, Args: append(append([]string{}, s.args...), args...), LogFile: log})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if p.Kill(); s.t.Failed() {
			s.t.Logf("an allocator %q:\n%s", args, p.LogTail())
		}
	})
	return p
}

func (s *scene) stop(p *allocator.Process) {
	s.t.Helper()
	if code, err := p.Stop(); code != 0 || err != nil {
		s.t.Fatalf("the allocator ended with code %d: %v", code, err)
	}
}

func (s *scene) apply(content string) {
	s.t.Helper()
	if err := s.management.Apply(s.t.Context(), []byte(content)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) pools() {
	s.t.Helper()
	s.apply(fmt.Sprintf(pools, className, subnet))
}

// create makes a Cluster of the class.
func (s *scene) create(name string) {
	s.t.Helper()
	s.apply(fmt.Sprintf(cluster, name, className))
}

func (s *scene) cluster(name string) *clusterv1.Cluster {
	s.t.Helper()
	object, err := s.client.Resource(observe.Clusters).Namespace(metav1.NamespaceDefault).Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	typed := &clusterv1.Cluster{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, typed); err != nil {
		s.t.Fatal(err)
	}
	return typed
}

// discovered waits until Cluster API has called the extension.
func (s *scene) discovered() {
	s.t.Helper()
	s.eventually("the extension is discovered", func() error {
		object, err := s.client.Resource(extensions).Get(s.t.Context(), extensionName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		handlers, _, _ := unstructured.NestedSlice(object.Object, "status", "handlers")
		conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
		for _, item := range conditions {
			condition, _ := item.(map[string]any)
			if condition["type"] == "Discovered" && condition["status"] == "True" && len(handlers) == 1 {
				return nil
			}
		}
		return fmt.Errorf("handlers %v, conditions %v", handlers, conditions)
	})
}

// says waits until the condition TopologyReconciled contains the text.
func (s *scene) says(name, text string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("Cluster %s says %q", name, text), func() error {
		condition := meta.FindStatusCondition(s.cluster(name).Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
		if condition == nil {
			return errors.New("there is no condition TopologyReconciled")
		}
		if !strings.Contains(condition.Message, text) {
			return fmt.Errorf("it says %s, %q", condition.Status, condition.Message)
		}
		return nil
	})
}

// built waits for infrastructure and control plane, and returns how long that took.
func (s *scene) built(name string) time.Duration {
	s.t.Helper()
	begin := time.Now()
	s.eventually("Cluster "+name+" is built", func() error {
		if c := s.cluster(name); c.Spec.InfrastructureRef.Name == "" || c.Spec.ControlPlaneRef.Name == "" {
			return errors.New("it is not")
		}
		return nil
	})
	return time.Since(begin)
}

func (s *scene) unbuilt(name string) {
	s.t.Helper()
	if of := s.births.of(name); len(of) > 0 {
		s.t.Errorf("Cluster %s is built: %v", name, of)
	}
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
		time.Sleep(interval)
	}
}

// births holds every version of what was built, as a watch saw it.
type births struct {
	mu       sync.Mutex
	versions map[string][]string // Cluster -> "Kind: VIPs"
	lost     map[string][]string // Cluster -> versions that lacked a VIP
}

type demoControlPlane struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		TLSSANs []string `json:"tlsSANs"`
	} `json:"spec"`
}

func (s *scene) watchBirths() *births {
	s.t.Helper()
	b := &births{versions: map[string][]string{}, lost: map[string][]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	err := observe.Watch(ctx, s.client, observe.DemoClusters, func(e observe.Event[observe.DemoCluster]) {
		host, ingress := e.Object.Spec.ControlPlaneEndpoint.Host, e.Object.Spec.IngressVIP
		b.saw(e.Object.Labels, fmt.Sprintf("DemoCluster: %q, %q", host, ingress), host != "" && ingress != "")
	})
	if err != nil {
		s.t.Fatal(err)
	}
	err = observe.Watch(ctx, s.client, controlPlanes, func(e observe.Event[demoControlPlane]) {
		sans := e.Object.Spec.TLSSANs
		b.saw(e.Object.Labels, fmt.Sprintf("DemoControlPlane: %q", sans), len(sans) == 2 && sans[1] != "")
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (b *births) saw(labels map[string]string, version string, carries bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := labels[clusterv1.ClusterNameLabel]
	b.versions[name] = append(b.versions[name], version)
	if !carries {
		b.lost[name] = append(b.lost[name], version)
	}
}

func (b *births) of(name string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.versions[name]...)
}

func (b *births) without(name string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.lost[name]...)
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// ungatedClass is what earlier releases told users to write: nothing in it keeps
// Cluster API from building with empty VIPs.
const ungatedClass = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DemoClusterTemplate
metadata: {name: blank, namespace: default}
spec: {template: {spec: {controlPlaneEndpoint: {port: 6443}}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: DemoControlPlaneTemplate
metadata: {name: blank, namespace: default}
spec: {template: {spec: {tlsSANs: [localhost]}}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: %s, namespace: default}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}
  variables:
    - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, default: ""}}}
    - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, default: ""}}}
  patches:
    - name: endpoint
      definitions:
        - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
          jsonPatches:
            - {op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}
            - {op: add, path: /spec/template/spec/ingressVIP, valueFrom: {variable: ingressVip}}
        - selector: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, matchResources: {controlPlane: true}}
          jsonPatches:
            - {op: add, path: /spec/template/spec/tlsSANs/-, valueFrom: {variable: clusterVip}}
`

const cluster = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: default}
spec: {topology: {version: v1.36.3, classRef: {name: %s}, controlPlane: {replicas: 1}}}
`

const pools = `
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: vips
  annotations: {vip.capi.gorizond.io/cluster-class: %s, vip.capi.gorizond.io/role: "control-plane,ingress"}
spec: {addresses: ["%s.10-%[2]s.200"], prefix: 24}
`
