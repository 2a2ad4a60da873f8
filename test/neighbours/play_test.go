package neighbours

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

// infrastructures are the kinds of infrastructure clusters, by class of the examples.
var infrastructures = map[string]schema.GroupVersionResource{
	"docker":    infrastructure("v1beta2", "devclusters"),
	"harvester": infrastructure("v1beta1", "harvesterclusters"),
	"metal3":    infrastructure("v1beta2", "metal3clusters"),
	"proxmox":   infrastructure("v1alpha1", "proxmoxclusters"),
	"vsphere":   infrastructure("v1beta1", "vsphereclusters"),
}

func infrastructure(version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "infrastructure.cluster.x-k8s.io", Version: version, Resource: resource}
}

// play says of every infrastructure cluster that it is provisioned, until ctx ends.
func (e *environment) play(ctx context.Context) error {
	factory := dynamicinformer.NewDynamicSharedInformerFactory(e.Client, 0)
	for _, resource := range infrastructures {
		provision := func(object any) {
			o, ok := object.(*unstructured.Unstructured)
			if !ok {
				return
			}
			provisioned, _, _ := unstructured.NestedBool(o.Object, "status", "initialization", "provisioned")
			ready, _, _ := unstructured.NestedBool(o.Object, "status", "ready")
			if provisioned || ready {
				return
			}
			// Each contract has its own field.
			field := `{"initialization":{"provisioned":true}}`
			if resource.Version != "v1beta2" {
				field = `{"ready":true,"initialization":{"provisioned":true}}`
			}
			// It fails only if the object has gone.
			_, _ = e.Client.Resource(resource).Namespace(o.GetNamespace()).Patch(ctx, o.GetName(), types.MergePatchType,
				[]byte(`{"status":`+field+`}`), metav1.PatchOptions{}, "status")
		}
		informer := factory.ForResource(resource).Informer()
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: provision, UpdateFunc: func(_, current any) { provision(current) },
		}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	syncing, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var missing []string
	for resource, synced := range factory.WaitForCacheSync(syncing.Done()) {
		if !synced {
			missing = append(missing, resource.Resource)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("nobody plays %s", strings.Join(missing, ", "))
	}
	return nil
}
