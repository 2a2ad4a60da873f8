package management

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What a test writes at v1beta2 comes back as it was, through a form without the words
// of v1beta2.
func TestTranslation(t *testing.T) {
	for _, file := range []string{"class.yaml", "cluster.yaml", "claim.yaml"} {
		content, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := decode(content)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			gvk := object.GroupVersionKind()
			if oldest[gvk.Group] == "" || gvk.Version != newest {
				continue
			}
			data, _ := json.Marshal(object.Object)
			older, err := translated(data, false)
			if err != nil {
				t.Fatal(err)
			}
			newer, err := translated(older, true)
			if err != nil {
				t.Fatal(err)
			}
			var before, after unstructured.Unstructured
			if err := json.Unmarshal(older, &before.Object); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(newer, &after.Object); err != nil {
				t.Fatal(err)
			}
			if version := before.GroupVersionKind().Version; version != oldest[gvk.Group] {
				t.Errorf("%s: %s", file, version)
			}
			if err := contains(after.Object["spec"], object.Object["spec"]); err != "" {
				t.Errorf("%s: %s\nbefore %s\nolder  %s\nafter  %s", file, err, data, older, newer)
			}
		}
	}
}

// contains says what of the part is missing in the whole.
func contains(whole, part any) string {
	want, isMap := part.(map[string]any)
	if !isMap {
		if list, isList := part.([]any); isList {
			got, _ := whole.([]any)
			for i := range list {
				if i >= len(got) {
					return "a list is shorter"
				}
				if err := contains(got[i], list[i]); err != "" {
					return err
				}
			}
			return ""
		}
		a, _ := json.Marshal(whole)
		b, _ := json.Marshal(part)
		if !reflect.DeepEqual(a, b) {
			return string(a) + " instead of " + string(b)
		}
		return ""
	}
	got, _ := whole.(map[string]any)
	for key, value := range want {
		if err := contains(got[key], value); err != "" {
			return key + ": " + err
		}
	}
	return ""
}
