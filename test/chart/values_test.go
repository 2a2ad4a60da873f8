package chart_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/chart"
)

type values = map[string]any

// root is the folder of the repository.
const root = "../.."

// defaults are the values of the chart.
func defaults(t *testing.T) values {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "charts", "capi-vip-allocator", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := values{}
	if err := yaml.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// open are the values whose keys belong to users, to Rancher, or to Kubernetes.
var open = []string{
	"global", "global.cattle", "nodeSelector", "podAnnotations", "podLabels", "resources.requests", "resources.limits",
}

// A value that is written wrong is refused, wherever it stands.
func TestUnknownValuesAreRefused(t *testing.T) {
	tried := 0
	var walk func(path []string, node values)
	walk = func(path []string, node values) {
		name := strings.Join(path, ".")
		leaf := ""
		if len(path) > 0 {
			leaf = path[len(path)-1]
		}
		free := slices.Contains(open, name) || leaf == "labels" || leaf == "annotations" || leaf == "alertLabels"
		if !free {
			tried++
			if _, err := chart.Render(t.Context(), nested(append(slices.Clone(path), "noSuchValue"), "x")); err == nil {
				t.Errorf("%q takes a key that nobody knows", name)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			if below, ok := node[key].(map[string]any); ok {
				walk(append(slices.Clone(path), key), below)
			}
		}
	}
	walk(nil, defaults(t))
	const least = 25
	if tried < least {
		t.Errorf("only %d places were tried", tried)
	}
}

// nested is {a: {b: {c: value}}} for the path a, b, c.
func nested(path []string, value any) values {
	for _, key := range slices.Backward(path) {
		value = values{key: value}
	}
	return value.(values)
}

func TestWrongValuesAreRefused(t *testing.T) {
	for _, wrong := range []values{
		{"replicas": -1},
		{"replicas": "2"},
		{"image": values{"tag": 1}},
		{"image": values{"pullPolicy": "Sometimes"}},
		{"rbac": values{"scope": "some"}},
		{"rbac": values{"scope": "namespace"}}, // of which namespace?
		{"podDisruptionBudget": values{"maxUnavailable": 0}},
		{"podDisruptionBudget": values{"maxUnavailable": "0%"}},
		{"networkPolicy": values{"enabled": true, "metricsFrom": []any{values{}}}},
		{"networkPolicy": values{"enabled": true, "metricsFrom": []any{values{"podSelector": values{"app": "prometheus"}}}}},
		{"networkPolicy": values{"enabled": true, "hookFrom": []any{"capi-system"}}},
		{"holdGate": values{"namespaceSelector": values{"gated": "yes"}}},
		{"topologySpreadConstraints": []any{values{"maxSkew": 1}}},
		{"tolerations": []any{values{"key": "a", "effect": "Never"}}},
		{"extraArgs": []any{"log-level=debug"}},
		{"extraEnv": []any{values{"value": "a"}}},
		{"extraEnv": []any{values{"name": "A", "valueFrom": values{"secret": values{}}}}},
		{"nodeSelector": values{"a": 1}},
		{"affinity": values{"nodeAntiAffinity": values{}}},
		{"watchNamespace": "A b"},
		{"poolKinds": []any{"ippools"}},
	} {
		if _, err := chart.Render(t.Context(), wrong); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

// Every value has its line in the reference, by its full name.
func TestEveryValueIsDocumented(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	const alerts = "metrics.prometheusRule.alerts."
	var walk func(path string, node any)
	walk = func(path string, node any) {
		below, _ := node.(map[string]any)
		if len(below) > 0 && !slices.Contains([]string{"resources", "nodeSelector", "metrics.dashboard.labels"}, path) {
			for _, key := range slices.Sorted(maps.Keys(below)) {
				walk(strings.TrimPrefix(path+"."+key, "."), below[key])
			}
			return
		}
		if rest, found := strings.CutPrefix(path, alerts); found {
			_, value, _ := strings.Cut(rest, ".")
			path = alerts + "NAME." + value
		}
		if !strings.Contains(string(content), "`"+path+"`") {
			t.Errorf("docs/reference.md does not name %s", path)
		}
	}
	walk("", defaults(t))
}

// What stands in the list of values is what the chart has.
func TestDocumentedDefaults(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for line := range strings.SplitSeq(string(content), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		stated := strings.Trim(strings.TrimSpace(cells[2]), "`")
		value, found := lookup(defaults(t), strings.Trim(strings.TrimSpace(cells[1]), "`"))
		if !found || strings.Contains(stated, " ") {
			continue
		}
		compared++
		var want any
		if err := yaml.Unmarshal([]byte(stated), &want); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		if fmt.Sprint(want) != fmt.Sprint(value) {
			t.Errorf("the default is %v in: %s", value, line)
		}
	}
	const least = 25
	if compared < least {
		t.Errorf("only %d lines were found", compared)
	}
}

func lookup(node any, path string) (any, bool) {
	for key := range strings.SplitSeq(path, ".") {
		below, _ := node.(map[string]any)
		value, found := below[key]
		if !found {
			return nil, false
		}
		node = value
	}
	return node, true
}
