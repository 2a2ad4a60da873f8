package install

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// inventory is every object of the management cluster by "Kind namespace/name". Left
// out are events, old forms of other objects, and what Cluster API makes of a Cluster.
func (e *environment) inventory(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	lists, err := e.typed.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*unstructured.Unstructured{}
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list"}}, lists) {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.APIResources {
			if slices.Contains([]string{"events", "endpoints", "componentstatuses"}, resource.Name) {
				continue
			}
			objects, err := e.Client.Resource(version.WithResource(resource.Name)).List(t.Context(), metav1.ListOptions{})
			if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
				continue // the kind went away meanwhile
			}
			if err != nil {
				t.Fatalf("list %s: %v", resource.Name, err)
			}
			for i := range objects.Items {
				o := &objects.Items[i]
				if _, topology := o.GetLabels()["topology.cluster.x-k8s.io/owned"]; !topology {
					all[fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())] = o
				}
			}
		}
	}
	return all
}

// newSince are the names of what was not there before, in order.
func (e *environment) newSince(t *testing.T, before map[string]*unstructured.Unstructured) []string {
	t.Helper()
	var names []string
	for name := range e.inventory(t) {
		if before[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// leaves waits until exactly these objects are new.
func (e *environment) leaves(t *testing.T, before map[string]*unstructured.Unstructured, want ...string) {
	t.Helper()
	slices.Sort(want)
	scene.Until(t, patience, "nothing else is left", func() error {
		if got := e.newSince(t, before); !slices.Equal(got, want) {
			return fmt.Errorf("there are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
}
