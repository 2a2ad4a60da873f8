package pools

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// dumpLimit keeps the report of a failed crowd readable.
const dumpLimit = 6

// dump logs some of the world's objects and the end of its allocators' logs.
func (w *world) dump(ctx context.Context) {
	for _, resource := range []schema.GroupVersionResource{
		observe.Clusters, observe.Claims, observe.Addresses, observe.GlobalPools, inClusterPools, leases, coreEvents,
	} {
		list, err := w.client.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			w.t.Logf("list %s: %v", resource.Resource, err)
			continue
		}
		shown := 0
		for _, object := range list.Items {
			holder := object.GetAnnotations()[prefix+"cluster"]
			if object.GetNamespace() != w.namespace && !strings.HasPrefix(object.GetName(), w.namespace) && !strings.HasPrefix(holder, w.namespace+"/") {
				continue
			}
			if shown++; shown > dumpLimit {
				continue
			}
			object.SetManagedFields(nil)
			if resource == coreEvents {
				w.t.Logf("event %v %v: %v", object.Object["type"], object.Object["reason"], object.Object["message"])
				continue
			}
			w.keepOwnConditions(object.Object)
			text, _ := yaml.Marshal(object.Object)
			w.t.Logf("%s\n%s", resource.Resource, text)
		}
		if shown > dumpLimit {
			w.t.Logf("and %d more %s", shown-dumpLimit, resource.Resource)
		}
	}
	for _, path := range w.logs {
		w.t.Log(lastLines(path, 60))
	}
}

// keepOwnConditions drops the many conditions of Cluster API.
func (w *world) keepOwnConditions(object map[string]any) {
	conditions, _, _ := unstructured.NestedSlice(object, "status", "conditions")
	var own []any
	for _, entry := range conditions {
		condition, _ := entry.(map[string]any)
		if kind := fmt.Sprint(condition["type"]); strings.Contains(kind, "VIP") || kind == "Ready" || kind == "TopologyReconciled" {
			own = append(own, condition)
		}
	}
	if len(conditions) > 0 {
		_ = unstructured.SetNestedSlice(object, own, "status", "conditions") // it was one before
	}
}

func lastLines(path string, limit int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return fmt.Sprintf("%s:\n%s", path, bytes.Join(lines[max(0, len(lines)-limit):], []byte("\n")))
}
