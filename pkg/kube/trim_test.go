package kube_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

func TestTrimDropsWhatWeighsMostAndNothingElse(t *testing.T) {
	const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
	object := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{
		Name: "c1", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "x"}},
		Annotations: map[string]string{lastApplied: "big", "objectset.rio.cattle.io/id": "x", "objectset.rio.cattle.io/applied": "y"},
	}}
	trimmed, err := kube.Trim(object)
	if err != nil || trimmed != object {
		t.Fatalf("%v, %v", trimmed, err)
	}
	if object.ManagedFields != nil || object.Annotations[lastApplied] != "" {
		t.Errorf("kept: %+v", object.ObjectMeta)
	}
	// A patch must know whether there are annotations at all, and apply sets compare their own.
	if len(object.Annotations) != 3 || object.Annotations["objectset.rio.cattle.io/id"] != "x" || object.Annotations["objectset.rio.cattle.io/applied"] != "y" {
		t.Errorf("annotations %v", object.Annotations)
	}
}

// Of claims and addresses nothing is dropped; what thousands of them have in common is
// held once.
func TestTrimOfAClaimAndItsAddress(t *testing.T) {
	pool := func() ipamv1.IPPoolReference {
		return ipamv1.IPPoolReference{APIGroup: strings.Clone("ipam.cluster.x-k8s.io"), Kind: strings.Clone("InClusterIPPool"), Name: strings.Clone("vips")}
	}
	kept := metav1.ObjectMeta{
		Name: "c1", Namespace: "team-a", Finalizers: []string{"a", "b"}, Labels: map[string]string{"c": "d"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Cluster", Name: "c1", UID: "u1"}},
	}
	for _, object := range []runtime.Object{
		&ipamv1.IPAddressClaim{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1beta2", Kind: "IPAddressClaim"}, ObjectMeta: *kept.DeepCopy(),
			Spec:   ipamv1.IPAddressClaimSpec{ClusterName: "c1", PoolRef: pool()},
			Status: ipamv1.IPAddressClaimStatus{AddressRef: ipamv1.IPAddressReference{Name: "c1"}, Conditions: []metav1.Condition{{Type: "Ready"}}},
		},
		&ipamv1.IPAddress{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1beta2", Kind: "IPAddress"}, ObjectMeta: *kept.DeepCopy(),
			Spec: ipamv1.IPAddressSpec{Address: "10.0.0.1", Prefix: new(int32(24)), PoolRef: pool(), ClaimRef: ipamv1.IPAddressClaimReference{Name: "c1"}},
		},
	} {
		before := object.DeepCopyObject()
		if _, err := kube.Trim(object); err != nil {
			t.Fatal(err)
		}
		if !equality.Semantic.DeepEqual(object, before) {
			t.Errorf("it was %+v and is %+v", before, object)
		}
	}
	one, other := &ipamv1.IPAddress{Spec: ipamv1.IPAddressSpec{PoolRef: pool()}}, &ipamv1.IPAddressClaim{Spec: ipamv1.IPAddressClaimSpec{PoolRef: pool()}}
	for _, object := range []runtime.Object{one, other} {
		if _, err := kube.Trim(object); err != nil {
			t.Fatal(err)
		}
	}
	if unsafe.StringData(one.Spec.PoolRef.Name) != unsafe.StringData(other.Spec.PoolRef.Name) {
		t.Error("each holds the name of the pool on its own")
	}
}

func TestTrimLetsTombstonesPass(t *testing.T) {
	tombstone := cache.DeletedFinalStateUnknown{Key: "team-a/c1", Obj: &clusterv1.Cluster{}}
	if got, err := kube.Trim(tombstone); err != nil || got != any(tombstone) {
		t.Errorf("%v, %v", got, err)
	}
}

// Of a Cluster everything stays that a pass reads, and each condition in its place: a
// patch of ours names that.
func TestTrimOfACluster(t *testing.T) {
	text := `{
"metadata": {"namespace": "team-a", "name": "c1", "uid": "u1", "resourceVersion": "7", "generation": 2, "labels": {"vip.capi.gorizond.io/ingress-vip": "10.0.0.2"}},
"spec": {
  "clusterNetwork": {"serviceDomain": "cluster.local"},
  "controlPlaneEndpoint": {"host": "10.0.0.1", "port": 6443},
  "infrastructureRef": {"apiGroup": "infrastructure.cluster.x-k8s.io", "kind": "DemoCluster", "name": "c1-x"},
  "topology": {
    "classRef": {"name": "demo", "namespace": "classes"}, "version": "v1.36.3",
    "controlPlane": {"replicas": 3}, "workers": {"machineDeployments": [{"class": "worker", "name": "general"}]},
    "variables": [{"name": "clusterVip", "value": "10.0.0.1"}]
  }
},
"status": {
  "initialization": {"infrastructureProvisioned": true}, "workers": {"replicas": 3}, "controlPlane": {"replicas": 3},
  "conditions": [
    {"type": "Available", "status": "True", "reason": "Available", "message": "m", "lastTransitionTime": "2026-01-05T08:00:00Z"},
    {"type": "ControlPlaneVIPReady", "status": "True", "reason": "Allocated", "message": "m", "observedGeneration": 1, "lastTransitionTime": "2026-01-05T08:00:00Z"},
    {"type": "Deleting", "status": "False", "reason": "NotDeleting", "message": "m", "lastTransitionTime": "2026-01-05T08:00:00Z"},
    {"type": "IngressVIPReady", "status": "False", "reason": "NoPool", "message": "m", "observedGeneration": 2, "lastTransitionTime": "2026-01-05T08:00:00Z"}
  ]
}}`
	whole, trimmed := &clusterv1.Cluster{}, &clusterv1.Cluster{}
	for _, cluster := range []*clusterv1.Cluster{whole, trimmed} {
		if err := json.Unmarshal([]byte(text), cluster); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kube.Trim(trimmed); err != nil {
		t.Fatal(err)
	}
	if got, want := kube.Cluster(trimmed), kube.Cluster(whole); !reflect.DeepEqual(got, want) {
		t.Errorf("a pass sees\n%+v\ninstead of\n%+v", got, want)
	}
	for i, want := range whole.Status.Conditions {
		got := trimmed.Status.Conditions[i]
		ours := strings.HasSuffix(want.Type, "VIPReady")
		if ours && !reflect.DeepEqual(got, want) {
			t.Errorf("our condition was %+v and is %+v", want, got)
		}
		if !ours && !reflect.DeepEqual(got, metav1.Condition{Type: want.Type}) {
			t.Errorf("of condition %s there is left %+v", want.Type, got)
		}
	}
	if trimmed.Status.Workers != nil || trimmed.Status.ControlPlane != nil || len(trimmed.Spec.Topology.Workers.MachineDeployments) > 0 {
		t.Errorf("kept: %+v", trimmed)
	}
}

// What is left out of the cache is nothing that the planner asks for.
func TestTheViewOfATrimmedCluster(t *testing.T) {
	whole := parse[clusterv1.Cluster](t, `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: c1, namespace: team-a, uid: u1, labels: {a: b}, annotations: {c: d}, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  paused: true
  clusterNetwork: {apiServerPort: 8443, pods: {cidrBlocks: [10.244.0.0/16]}}
  controlPlaneEndpoint: {host: 10.0.0.1, port: 8443}
  infrastructureRef: {apiGroup: i, kind: I, name: i}
  topology: {version: v1.36.3, classRef: {name: rke2, namespace: classes}, variables: [{name: clusterVip, value: 10.0.0.1}]}
status:
  initialization: {infrastructureProvisioned: true}
  conditions: [{type: ControlPlaneVIPReady, status: "True", reason: Allocated, message: m, lastTransitionTime: "2026-01-01T00:00:00Z"}]
`)
	want := kube.Cluster(whole)
	if _, err := kube.Trim(whole); err != nil {
		t.Fatal(err)
	}
	if got := kube.Cluster(whole); !reflect.DeepEqual(got, want) || got.APIServerPort != 8443 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
