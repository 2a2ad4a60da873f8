package chart_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// question is one of the form of Rancher Apps.
type question struct {
	Variable, Label, Type string
	Default               any
	Subquestions          []question
}

// What Rancher asks for is what the chart has, with the same defaults, and the chart takes the
// answers.
func TestQuestions(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "charts", "capi-vip-allocator", "questions.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var form struct{ Questions []question }
	if err := yaml.Unmarshal(content, &form); err != nil {
		t.Fatal(err)
	}
	if len(form.Questions) == 0 {
		t.Fatal("nothing is asked")
	}
	answers := map[string]any{"string": "x", "boolean": true, "int": 1}
	for _, asked := range form.Questions {
		for _, q := range append(asked.Subquestions, asked) {
			value, found := lookup(defaults(t), q.Variable)
			if !found || fmt.Sprint(value) != fmt.Sprint(q.Default) || q.Label == "" {
				t.Errorf("%s: it asks with the default %v, the chart has %v (%v)", q.Variable, q.Default, value, found)
			}
			answer, known := answers[q.Type]
			if !known {
				t.Errorf("%s: Rancher has no answer of type %q", q.Variable, q.Type)
			}
			if _, err := chart.Render(t.Context(), nested(strings.Split(q.Variable, "."), answer)); err != nil {
				t.Errorf("%s: the chart refuses the answer %v: %v", q.Variable, answer, err)
			}
		}
	}
}

// The icon is shown from the main branch, so it must be there.
func TestIcon(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "charts", "capi-vip-allocator", "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var metadata struct{ Icon string }
	if err := yaml.Unmarshal(content, &metadata); err != nil {
		t.Fatal(err)
	}
	folder, _, found := strings.Cut(metadata.Icon, "/charts/capi-vip-allocator/")
	if !found || folder != "https://raw.githubusercontent.com/gorizond/capi-vip-allocator/main" {
		t.Errorf("the icon is %s", metadata.Icon)
	}
	icon, err := os.ReadFile(filepath.Join(root, "charts", "capi-vip-allocator", path.Base(metadata.Icon)))
	if err != nil || !strings.HasPrefix(string(icon), "<svg ") {
		t.Errorf("it is no picture: %v", err)
	}
}
