package kube_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1" //nolint:staticcheck // the version that old management clusters serve
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const clusterMeta = `
metadata:
  name: c1
  namespace: team-a
  uid: uid-1
  generation: 3
  labels: {cluster.x-k8s.io/cluster-name: c1}
  annotations: {example.com/owner: me}
  ownerReferences:
  - {apiVersion: fleet.example.com/v1, kind: Cluster, name: x, uid: other}
`

const clusterV1Beta2 = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster` + clusterMeta + `
spec:
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: DemoCluster, name: c1}
  topology:
    classRef: {name: rke2, namespace: classes}
    version: v1.34.1
    variables:
    - {name: first, value: {port: 8443, ratio: 0.5}}
    - {name: last, value: "10.0.0.9"}
status:
  initialization: {infrastructureProvisioned: true}
  conditions:
  - {type: Ready, status: "True", reason: R, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}
  - {type: IngressVIPReady, status: "False", reason: NoPool, message: none, lastTransitionTime: "2026-01-01T00:00:00Z"}
`

const clusterV1Beta1 = `
apiVersion: cluster.x-k8s.io/v1beta1
kind: Cluster` + clusterMeta + `
spec:
  controlPlaneEndpoint: {host: "", port: 0}
  infrastructureRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta1, kind: DemoCluster, name: c1}
  topology:
    class: rke2
    classNamespace: classes
    version: v1.34.1
    variables:
    - {name: first, value: {port: 8443, ratio: 0.5}}
    - {name: last, value: "10.0.0.9"}
status:
  infrastructureReady: true
  v1beta2:
    conditions:
    - {type: Ready, status: "True", reason: R, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}
    - {type: IngressVIPReady, status: "False", reason: NoPool, message: none, lastTransitionTime: "2026-01-01T00:00:00Z"}
`

func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
		t.Fatal(err)
	}
	return object
}

// viewOfV1Beta1 reads the Cluster as the API server would send it.
func viewOfV1Beta1(t *testing.T, text string) vip.Cluster {
	t.Helper()
	cluster, err := kube.DecodeCluster(must(yaml.YAMLToJSON([]byte(text))))
	if err != nil {
		t.Fatal(err)
	}
	return kube.Cluster(cluster)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err) // the test's own literal
	}
	return value
}

func TestBothAPIVersionsGiveTheSameView(t *testing.T) {
	old := viewOfV1Beta1(t, clusterV1Beta1)
	current := kube.Cluster(parse[clusterv1.Cluster](t, clusterV1Beta2))
	if want := any(map[string]any{"host": "", "port": 0}); !reflect.DeepEqual(old.AbsentEndpoint, want) || current.AbsentEndpoint != nil {
		t.Errorf("an unset endpoint looks like %v and %v", old.AbsentEndpoint, current.AbsentEndpoint)
	}
	if old.ClassField != "/spec/topology/class" || current.ClassField != "/spec/topology/classRef/name" {
		t.Errorf("the class stands at %s and %s", old.ClassField, current.ClassField)
	}
	old.AbsentEndpoint, old.ClassField, old.APIVersion = nil, current.ClassField, current.APIVersion
	if !reflect.DeepEqual(old, current) {
		t.Errorf("v1beta1: %+v\nv1beta2: %+v", old, current)
	}
	if !current.HasTopology || current.Class != (vip.ClassKey{Namespace: "classes", Name: "rke2"}) || current.Paused != nil || current.Deleting ||
		!current.HasInfrastructure || !current.InfrastructureProvisioned || current.OwnedByRancher || len(current.Variables) != 2 || current.UID != "uid-1" {
		t.Errorf("view: %+v", current)
	}
	wantConditions := map[string]vip.Condition{"IngressVIPReady": {Reason: vip.NoPool, Message: "none"}}
	if !reflect.DeepEqual(current.Conditions, wantConditions) {
		t.Errorf("conditions %+v, want %+v", current.Conditions, wantConditions)
	}
}

func TestClusterViewOf(t *testing.T) {
	for _, test := range []struct {
		name  string
		edit  func(*clusterv1.Cluster, *clusterv1beta1.Cluster)
		check func(vip.Cluster) bool
	}{
		{
			"a paused Cluster",
			func(c *clusterv1.Cluster, o *clusterv1beta1.Cluster) { c.Spec.Paused, o.Spec.Paused = new(true), true },
			func(v vip.Cluster) bool { return v.Paused != nil && *v.Paused },
		},
		{
			"a Cluster without topology",
			func(c *clusterv1.Cluster, o *clusterv1beta1.Cluster) {
				c.Spec.Topology, o.Spec.Topology = clusterv1.Topology{}, nil
			},
			func(v vip.Cluster) bool { return !v.HasTopology && v.Class == vip.ClassKey{} && v.Variables == nil },
		},
		{
			"a class in the Cluster's own namespace",
			func(c *clusterv1.Cluster, o *clusterv1beta1.Cluster) {
				c.Spec.Topology.ClassRef.Namespace, o.Spec.Topology.ClassNamespace = "", ""
			},
			func(v vip.Cluster) bool { return v.Class == vip.ClassKey{Namespace: "team-a", Name: "rke2"} },
		},
		{
			"a Cluster before infrastructure",
			func(c *clusterv1.Cluster, o *clusterv1beta1.Cluster) {
				c.Spec.InfrastructureRef, o.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{}, nil
				c.Status.Initialization.InfrastructureProvisioned, o.Status.InfrastructureReady = new(false), false
			},
			func(v vip.Cluster) bool { return !v.HasInfrastructure && !v.InfrastructureProvisioned },
		},
		{
			"a host without port",
			func(c *clusterv1.Cluster, o *clusterv1beta1.Cluster) {
				c.Spec.ControlPlaneEndpoint.Host, o.Spec.ControlPlaneEndpoint.Host = "10.0.0.1", "10.0.0.1"
			},
			func(v vip.Cluster) bool { return v.Endpoint == vip.Endpoint{Host: "10.0.0.1"} },
		},
		{
			"a Cluster of Rancher's provisioning",
			func(c *clusterv1.Cluster, o *clusterv1beta1.Cluster) {
				c.OwnerReferences[0].APIVersion, o.OwnerReferences[0].APIVersion = "provisioning.cattle.io/v1", "provisioning.cattle.io/v1"
			},
			func(v vip.Cluster) bool { return v.OwnedByRancher },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			current, old := parse[clusterv1.Cluster](t, clusterV1Beta2), parse[clusterv1beta1.Cluster](t, clusterV1Beta1)
			test.edit(current, old)
			for _, view := range []vip.Cluster{kube.Cluster(current), viewOfV1Beta1(t, string(must(json.Marshal(old))))} {
				if !test.check(view) {
					t.Errorf("%+v", view)
				}
			}
		})
	}
}

// bound is a Snapshot in which both roles can be published on the Cluster.
func bound(cluster vip.Cluster) *vip.Snapshot {
	class := vip.Class{Exists: true, Ready: true, Declares: map[string]bool{"first": true, "ingressVip": true}, Roles: map[vip.Role]vip.ClassVariable{
		vip.ControlPlane: {Path: "first.host", Declared: true}, vip.Ingress: {Path: "ingressVip", Declared: true},
	}}
	cluster.HasInfrastructure = false
	pool := vip.Pool{Ref: vip.PoolRef{Kind: "P", Name: "p"}, Serves: vip.Serves{Classes: []vip.ClassEntry{{Name: "*"}}, Roles: []vip.Role{vip.ControlPlane, vip.Ingress}}}
	s := &vip.Snapshot{Cluster: cluster, Class: class, Pools: []vip.Pool{pool}, Claims: map[vip.Role]*vip.Claim{}, Settings: vip.Settings{DefaultPort: 6443}}
	for role, text := range map[vip.Role]string{vip.ControlPlane: "10.0.0.1", vip.Ingress: "fd00::2"} {
		name := role.ClaimName(cluster.Name)
		s.Claims[role] = &vip.Claim{
			Name: name, OwnerUIDs: []string{cluster.UID}, Role: role, Pool: pool.Ref, Bound: true,
			Address: &vip.Address{Name: name, Text: text, Claim: name, Pool: pool.Ref},
		}
	}
	return s
}

// The JSON that the API server holds, patched the way it patches, and read again.
func TestThePatchRoundTripsInBothAPIVersions(t *testing.T) {
	for name, version := range map[string]struct {
		text string
		view func(text string) vip.Cluster
	}{
		"v1beta2": {clusterV1Beta2, func(text string) vip.Cluster { return kube.Cluster(parse[clusterv1.Cluster](t, text)) }},
		"v1beta1": {clusterV1Beta1, func(text string) vip.Cluster { return viewOfV1Beta1(t, text) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := bound(version.view(version.text))
			d := vip.Plan(s)
			// These objects do have infrastructure; bound only plays it down.
			patched := applyTo(t, version.text, withoutTest(d.Patch, "/spec/infrastructureRef"))
			view := version.view(patched)
			if view.Endpoint != (vip.Endpoint{Host: "10.0.0.1", Port: 8443}) {
				t.Errorf("endpoint %v", view.Endpoint)
			}
			wantVariables := []vip.Variable{{Name: "first"}, {Name: "last", Value: []byte(`"10.0.0.9"`)}, {Name: "ingressVip", Value: []byte(`"fd00::2"`)}}
			for i, want := range wantVariables {
				got := view.Variables[i]
				if got.Name != want.Name || (want.Value != nil && string(got.Value) != string(want.Value)) {
					t.Errorf("variable %d is %s %s", i, got.Name, got.Value)
				}
			}
			var first map[string]any
			if err := json.Unmarshal(view.Variables[0].Value, &first); err != nil || !maps.Equal(first, map[string]any{"port": 8443.0, "ratio": 0.5, "host": "10.0.0.1"}) {
				t.Errorf("variable first is %s", view.Variables[0].Value)
			}
			for _, role := range vip.Roles() {
				if view.Annotations[role.Stamp()] != s.Claims[role].Address.Text || view.Labels[role.StampedLabel()] != "true" || view.Annotations[role.WrittenAnnotation()] != s.Class.Roles[role].Path {
					t.Errorf("role %s: %v %v", role, view.Annotations, view.Labels)
				}
			}
			if view.Annotations["example.com/owner"] != "me" || view.Labels["cluster.x-k8s.io/cluster-name"] != "c1" {
				t.Errorf("foreign keys are lost: %v %v", view.Annotations, view.Labels)
			}
			if again := vip.Plan(bound(view)); len(again.Patch) > 0 {
				t.Errorf("the next pass would patch again: %v", again.Patch)
			}
		})
	}
}

func withoutTest(ops []vip.PatchOp, path string) []vip.PatchOp {
	var kept []vip.PatchOp
	for _, op := range ops {
		if op.Op != "test" || op.Path != path {
			kept = append(kept, op)
		}
	}
	return kept
}

func applyTo(t *testing.T, text string, ops []vip.PatchOp) string {
	t.Helper()
	document, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(ops)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(document)
	if err != nil {
		t.Fatalf("the patch does not apply: %v\n%s", err, raw)
	}
	return string(patched)
}
