package suite

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// setting is a block of docs/gitops.md that tells a tool what to leave alone. Each kind
// of document has its own of these fields.
type setting struct {
	Diff struct {
		ComparePatches []struct {
			APIVersion   string   `json:"apiVersion"`
			Kind         string   `json:"kind"`
			JSONPointers []string `json:"jsonPointers"`
		} `json:"comparePatches"`
	} `json:"diff"` // a fleet.yaml

	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		SyncPolicy struct {
			SyncOptions []string `json:"syncOptions"`
		} `json:"syncPolicy"`
		IgnoreDifferences []struct {
			Group             string   `json:"group"`
			Kind              string   `json:"kind"`
			JSONPointers      []string `json:"jsonPointers"`
			JQPathExpressions []string `json:"jqPathExpressions"`
		} `json:"ignoreDifferences"` // an Application
		Ignore []struct {
			Target struct {
				Group string `json:"group"`
				Kind  string `json:"kind"`
			} `json:"target"`
			Paths []string `json:"paths"`
		} `json:"ignore"` // a Kustomization
	} `json:"spec"`
}

// documentedSettings are the blocks, by the tool that reads them.
func documentedSettings(t *testing.T) map[string][]setting {
	t.Helper()
	examples, err := allocator.Examples(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(examples, "..", "docs", "gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]setting{}
	for _, block := range regexp.MustCompile("(?s)\n```yaml\n(.*?)```\n").FindAllSubmatch(page, -1) {
		var s setting
		if err := yaml.UnmarshalStrict(block[1], &s); err != nil {
			t.Fatalf("%v in\n%s", err, block[1])
		}
		tool := s.Kind
		if len(s.Diff.ComparePatches) > 0 {
			tool = "Fleet"
		}
		found[tool] = append(found[tool], s)
	}
	return found
}

// left is what the tool leaves of a Cluster for comparison.
func (s setting) left(t *testing.T, object map[string]any) map[string]any {
	t.Helper()
	this := schema.FromAPIVersionAndKind(observe.Clusters.GroupVersion().String(), "Cluster")
	var pointers, queries []string
	for _, entry := range s.Diff.ComparePatches {
		if schema.FromAPIVersionAndKind(entry.APIVersion, entry.Kind).GroupKind() == this.GroupKind() {
			pointers = append(pointers, entry.JSONPointers...)
		}
	}
	for _, entry := range s.Spec.IgnoreDifferences {
		if entry.Group == this.Group && entry.Kind == this.Kind {
			pointers, queries = append(pointers, entry.JSONPointers...), append(queries, entry.JQPathExpressions...)
		}
	}
	for _, entry := range s.Spec.Ignore {
		if entry.Target.Group == this.Group && entry.Target.Kind == this.Kind {
			pointers = append(pointers, entry.Paths...)
		}
	}
	data := encode(t, object)
	for _, pointer := range pointers {
		patch, err := jsonpatch.DecodePatch(encode(t, []map[string]string{{"op": "remove", "path": pointer}}))
		if err != nil {
			t.Fatal(err)
		}
		// A path that is not there is passed over.
		if without, err := patch.Apply(data); err == nil {
			data = without
		}
	}
	result := decode(t, data)
	for _, query := range queries {
		parsed, err := gojq.Parse("del(" + query + ")")
		if err != nil {
			t.Fatal(err)
		}
		value, ok := parsed.Run(result).Next()
		without, isObject := value.(map[string]any)
		if !ok || !isObject {
			t.Fatalf("%s leaves %v", query, value)
		}
		result = without
	}
	return result
}

// drift is what a tool that compares like kubectl would apply to the live object, or
// report. Fleet and Argo CD have one and the same code for that.
func drift(t *testing.T, manifest, live map[string]any) string {
	t.Helper()
	config := encode(t, manifest)
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(config, config, encode(t, live))
	if err != nil {
		t.Fatal(err)
	}
	return string(patch)
}

// The documented settings make a Cluster that has its VIPs equal to its manifest.
// Without them it would not be, or there would be no need for them.
func TestGitOpsSettings(t *testing.T) {
	w := newWorld(t)
	c := w.commit("apply")
	var manifest map[string]any
	if err := yaml.Unmarshal([]byte(c.manifest("small")), &manifest); err != nil {
		t.Fatal(err)
	}
	object, err := w.in(observe.Clusters, c.namespace).Get(t.Context(), c.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	live := decode(t, encode(t, object.Object))
	if found := drift(t, manifest, live); !strings.Contains(found, `"variables"`) {
		t.Errorf("without any setting the drift is %s", found)
	}
	settings := documentedSettings(t)
	for tool, least := range map[string]int{"Fleet": 1, "Application": 2, "Kustomization": 1, "Cluster": 1} {
		if len(settings[tool]) < least {
			t.Errorf("%s has %d blocks", tool, len(settings[tool]))
		}
	}
	for tool, list := range settings {
		for _, s := range list {
			if tool == "Cluster" {
				continue // the tool's settings are annotations there
			}
			if found := drift(t, s.left(t, manifest), s.left(t, live)); found != "{}" {
				t.Errorf("%s sees %s with %+v", tool, found, s)
			}
		}
	}
	// What the user changes in Git is still seen where only our entries are left out.
	var changed map[string]any
	if err := yaml.Unmarshal([]byte(c.manifest("large")), &changed); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, s := range settings["Application"] {
		if strings.Contains(drift(t, s.left(t, changed), s.left(t, live)), `"large"`) {
			seen++
		}
	}
	if seen != 1 {
		t.Errorf("%d settings of Argo CD see a change of the user's, want 1", seen)
	}
}

// Server-side apply, as Flux and Argo CD have it, finds nothing to do on a Cluster that
// has its VIPs; not even where kubectl made it.
func TestGitOpsServerSideDryRun(t *testing.T) {
	w := newWorld(t)
	c := w.commit("apply")
	for _, manager := range []string{"kustomize-controller", "argocd-controller"} {
		wanted := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(c.manifest("small")), &wanted.Object); err != nil {
			t.Fatal(err)
		}
		clusters := w.in(observe.Clusters, c.namespace)
		would, err := clusters.Apply(t.Context(), c.name, wanted, metav1.ApplyOptions{FieldManager: manager, Force: true, DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			t.Fatal(err)
		}
		live, err := clusters.Get(t.Context(), c.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []*unstructured.Unstructured{would, live} {
			o.SetManagedFields(nil)
			o.SetResourceVersion("")
		}
		if a, b := encode(t, would.Object), encode(t, live.Object); !bytes.Equal(a, b) {
			t.Errorf("%s would make\n%s\nof\n%s", manager, a, b)
		}
	}
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// decode reads numbers as those who compare JSON do.
func decode(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	return object
}
