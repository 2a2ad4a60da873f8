package snapshot

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics/metricstest"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// gatedClass declares the ingress variable, which a patch of it reads.
func gatedClass(namespace, name string) *clusterv1.ClusterClass {
	class := &clusterv1.ClusterClass{ObjectMeta: named(namespace, name)}
	class.Status.Conditions = []metav1.Condition{{Type: clusterv1.ClusterClassVariablesReadyCondition, Status: metav1.ConditionTrue}}
	one := int64(1)
	schema := clusterv1.VariableSchema{OpenAPIV3Schema: clusterv1.JSONSchemaProps{Type: "string", MinLength: &one}}
	class.Status.Variables = []clusterv1.ClusterClassStatusVariable{{
		Name: vip.Ingress.DefaultVariable(), Definitions: []clusterv1.ClusterClassStatusVariableDefinition{{From: "inline", Schema: schema}},
	}}
	class.Spec.Infrastructure.TemplateRef = clusterv1.ClusterClassTemplateReference{APIVersion: "x.io/v1", Kind: "T", Name: "t"}
	class.Spec.Patches = []clusterv1.ClusterClassPatch{{Name: "vip", Definitions: []clusterv1.PatchDefinition{{
		Selector: clusterv1.PatchSelector{APIVersion: "x.io/v1", Kind: "T", MatchResources: clusterv1.PatchSelectorMatch{InfrastructureCluster: new(true)}},
		JSONPatches: []clusterv1.JSONPatch{{
			Op: "add", Path: "/spec/template/spec/vip", ValueFrom: &clusterv1.JSONPatchValue{Variable: vip.Ingress.DefaultVariable()},
		}},
	}}}}
	return class
}

func TestGatesOfClassesOfOneNameAreSummedUp(t *testing.T) {
	classes := []*clusterv1.ClusterClass{gatedClass("a", "rke2"), gatedClass("b", "rke2"), gatedClass("a", "k3s"), {ObjectMeta: named("a", "cloud")}}
	o := observerOf(classes[0], classes[1], classes[2], classes[3])
	// A scrape inspects nothing.
	metricstest.Compare(t, metricstest.Scrape(t, o.showClasses, metrics.ClassGate), map[string]float64{})
	for _, class := range classes {
		view, gates := kube.Class(class), map[vip.Role]gate.Finding{}
		for _, role := range vip.Roles() {
			gates[role] = gate.Inspect(class, &view, role)
		}
		o.Views.Inspected(vip.ClassKey{Namespace: class.Namespace, Name: class.Name}, class, gates)
	}
	metricstest.Compare(t, metricstest.Scrape(t, o.showClasses, metrics.ClassGate), map[string]float64{
		"class_gate{rke2,ingress,gated}": 2, "class_gate{k3s,ingress,gated}": 1,
	})
}
