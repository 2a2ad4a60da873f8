package scene

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// tell logs what a failed test leaves in its namespace: a wait that ended too late says
// what did not come, and only the objects and the logs say why.
func (s *Scene) tell(t *testing.T, namespace string) {
	t.Helper()
	// The test's own context has ended.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, resource := range []schema.GroupVersionResource{observe.Clusters, observe.Claims, observe.Addresses} {
		list, err := s.Client.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Logf("list %s: %v", resource.Resource, err)
			continue
		}
		const most = 20
		for i, object := range list.Items {
			if i == most {
				t.Logf("and %d more %s", len(list.Items)-most, resource.Resource)
				break
			}
			object.SetManagedFields(nil)
			text, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Log(err)
			}
			t.Logf("%s", text)
		}
	}
	logs, err := filepath.Glob(filepath.Join(s.Logs, "*.log"))
	if err != nil {
		t.Log(err)
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Log(err)
		}
		lines := slices.DeleteFunc(bytes.Split(text, []byte("\n")), func(line []byte) bool {
			return !bytes.Contains(line, []byte(namespace))
		})
		const most = 60
		lines = lines[max(0, len(lines)-most):]
		if len(lines) > 0 {
			t.Logf("the last lines about %s in %s:\n%s", namespace, filepath.Base(log), bytes.Join(lines, []byte("\n")))
		}
	}
}
