package hook

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// fakeObserver knows classes and pools, and no claims.
type fakeObserver struct {
	classes  map[string]*clusterv1.ClusterClass
	pools    []vip.Pool
	claims   map[vip.Role]*vip.Claim
	settings vip.Settings
	err      error
	panics   bool
}

func (f *fakeObserver) Observe(cluster *clusterv1.Cluster) (*vip.Snapshot, *clusterv1.ClusterClass, error) {
	if f.panics {
		panic("on purpose")
	}
	if f.err != nil {
		return nil, nil, f.err
	}
	class := f.classes[cluster.Spec.Topology.ClassRef.Name]
	return &vip.Snapshot{
		Cluster: kube.Cluster(cluster), Class: kube.Class(class), Pools: f.pools, Claims: f.claims, Settings: f.settings,
	}, class, nil
}

// fakeMeter counts calls by hook and result.
type fakeMeter struct {
	mu     sync.Mutex
	calls  map[string]int
	panics int
}

func (m *fakeMeter) Called(hook, result string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calls == nil {
		m.calls = map[string]int{}
	}
	if took <= 0 {
		result += " in no time"
	}
	m.calls[hook+" "+result]++
}

func (m *fakeMeter) Panicked() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.panics++
}

const classHead = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {namespace: default, name: %s, generation: 1}
status:
  observedGeneration: 1
  conditions: [{type: VariablesReady, status: "True"}]
`

// newClass has a variable for each of the names, with the default "", and a patch
// that reads it.
func newClass(t testing.TB, name string, variables ...string) *clusterv1.ClusterClass {
	t.Helper()
	class := &clusterv1.ClusterClass{}
	decode(t, fmt.Sprintf(classHead, name), class)
	for _, variable := range variables {
		schema := fmt.Sprintf(`{name: %s, definitions: [{from: inline, schema: {openAPIV3Schema: {type: string, default: ""}}}]}`, variable)
		definition := clusterv1.ClusterClassStatusVariable{}
		decode(t, schema, &definition)
		class.Status.Variables = append(class.Status.Variables, definition)
		class.Spec.Patches = append(class.Spec.Patches, clusterv1.ClusterClassPatch{
			Name: variable, Definitions: []clusterv1.PatchDefinition{{JSONPatches: []clusterv1.JSONPatch{
				{Op: "add", Path: "/spec/template/spec/host", ValueFrom: &clusterv1.JSONPatchValue{Variable: variable}},
			}}},
		})
	}
	return class
}

// newPool serves the class by name in the role.
func newPool(t testing.TB, class string, role vip.Role) vip.Pool {
	t.Helper()
	return vip.Pool{
		Ref: vip.PoolRef{Group: "ipam.cluster.x-k8s.io", Kind: "GlobalInClusterIPPool", Name: "pool-" + string(role)},
		Serves: vip.ParseServes(nil, map[string]string{
			vip.PoolClassKey: class, vip.PoolRoleKey: string(role),
		}),
	}
}

func newCluster(class string, options ...func(*clusterv1.Cluster)) *clusterv1.Cluster {
	cluster := &clusterv1.Cluster{
		TypeMeta:   metav1.TypeMeta{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one", UID: "u-1"},
	}
	cluster.Spec.Topology = clusterv1.Topology{Version: "v1.36.3", ClassRef: clusterv1.ClusterClassRef{Name: class}}
	for _, option := range options {
		option(cluster)
	}
	return cluster
}

func withEndpoint(host string) func(*clusterv1.Cluster) {
	return func(c *clusterv1.Cluster) {
		c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: host, Port: 6443}
	}
}

func withVariable(name, value string) func(*clusterv1.Cluster) {
	return func(c *clusterv1.Cluster) {
		data, _ := json.Marshal(value)
		entry := clusterv1.ClusterVariable{Name: name}
		entry.Value.Raw = data
		c.Spec.Topology.Variables = append(c.Spec.Topology.Variables, entry)
	}
}

func withAnnotation(key, value string) func(*clusterv1.Cluster) {
	return func(c *clusterv1.Cluster) {
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[key] = value
	}
}

func decode(t testing.TB, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}
