package kube_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

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

func TestTrimLetsTombstonesPass(t *testing.T) {
	tombstone := cache.DeletedFinalStateUnknown{Key: "team-a/c1", Obj: &clusterv1.Cluster{}}
	if got, err := kube.Trim(tombstone); err != nil || got != any(tombstone) {
		t.Errorf("%v, %v", got, err)
	}
}
