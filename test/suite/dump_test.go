package suite

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// dumpLimit keeps the report of a failed crowd readable.
const dumpLimit = 10

// dump logs the world's objects and what the shared allocator said about it.
func (w *world) dump() {
	// The test's own context has ended.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, resource := range []schema.GroupVersionResource{
		observe.Clusters, observe.Claims, observe.Addresses, observe.GlobalPools, namespacedPools, leases, coreEvents,
	} {
		list, err := w.client.Resource(resource).List(ctx, metav1.ListOptions{})
		if err != nil {
			w.t.Logf("list %s: %v", resource.Resource, err)
			continue
		}
		shown := 0
		for _, object := range list.Items {
			holder := object.GetAnnotations()[prefix+"cluster"] // of a Lease
			if object.GetNamespace() != w.namespace && !strings.HasPrefix(object.GetName(), w.namespace) && !strings.HasPrefix(holder, w.namespace+"/") {
				continue
			}
			if shown++; shown > dumpLimit {
				continue
			}
			object.SetManagedFields(nil)
			shorten(object.Object)
			if resource == coreEvents {
				w.t.Logf("event %v %v: %v", object.Object["type"], object.Object["reason"], object.Object["message"])
				continue
			}
			text, _ := yaml.Marshal(object.Object)
			w.t.Logf("%s\n%s", resource.Resource, text)
		}
		if shown > dumpLimit {
			w.t.Logf("and %d more %s", shown-dumpLimit, resource.Resource)
		}
	}
	w.t.Logf("the shared allocator on %s:\n%s", w.namespace, lastLines(w.sharedLog, w.namespace, 60))
}

// lastLines returns the last lines of a log that contain the text.
func lastLines(path, text string, limit int) []byte {
	log, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	var lines [][]byte
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(text)) {
			lines = append(lines, line)
		}
	}
	return bytes.Join(lines[max(0, len(lines)-limit):], nil)
}

// shorten leaves out the conditions of others, but for that of the topology.
func shorten(object map[string]any) {
	status, _ := object["status"].(map[string]any)
	delete(status, "deprecated")
	conditions, _ := status["conditions"].([]any)
	if len(conditions) == 0 {
		return
	}
	status["conditions"] = slices.DeleteFunc(conditions, func(c any) bool {
		condition, _ := c.(map[string]any)
		kind, _ := condition["type"].(string)
		return !strings.HasSuffix(kind, "VIPReady") && kind != "TopologyReconciled"
	})
}
