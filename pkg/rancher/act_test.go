package rancher

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata/fake"
	kubetesting "k8s.io/client-go/testing"
)

// Only what the API server will say again is its last word.
func TestRefusalsAreToldFromWhatPasses(t *testing.T) {
	clusters := schema.GroupResource{Group: "management.cattle.io", Resource: "clusters"}
	for name, c := range map[string]struct {
		answer error
		passes bool
	}{
		"forbidden": {answer: apierrors.NewForbidden(clusters, "c-aaaaa", errors.New("no"))},
		"invalid":   {answer: apierrors.NewInvalid(schema.GroupKind{Group: clusters.Group, Kind: "Cluster"}, "c-aaaaa", nil)},
		// The API server tries a patch five times before it says so.
		"conflict": {answer: apierrors.NewConflict(clusters, "c-aaaaa", errors.New("the object has been modified")), passes: true},
		"timeout":  {answer: apierrors.NewServerTimeout(clusters, "patch", 1), passes: true},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := fake.NewTestScheme()
			if err := metav1.AddMetaToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			client := fake.NewSimpleMetadataClient(scheme)
			client.PrependReactor("patch", "*", func(kubetesting.Action) (bool, runtime.Object, error) { return true, nil, c.answer })
			p := &propagator{writes: t.Context(), client: client, memory: newMemory(), ration: newRation()}
			patch := labelPatch("key", "value")
			block, err := p.send(patch, "cause")
			if (err != nil) != c.passes || (block == "") != c.passes {
				t.Errorf("block %q, error %v", block, err)
			}
			kept, _ := p.ration.cut(patch, "cause")
			if (kept == "") != c.passes || patch.Empty() == c.passes {
				t.Errorf("the next try is kept back by %q: %+v", kept, patch)
			}
		})
	}
}
