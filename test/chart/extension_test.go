package chart_test

import (
	"bytes"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// The ExtensionConfig comes only where it is asked for, and reaches no further than
// the manager does.
func TestRuntimeExtension(t *testing.T) {
	type selector = map[string]any
	own := selector{"matchLabels": map[string]any{"gated": "yes"}}
	for _, test := range []struct {
		name     string
		values   map[string]any
		flag     bool
		config   bool
		selector any
	}{
		{name: "off", values: map[string]any{}},
		{name: "on", values: map[string]any{"runtimeExtension": map[string]any{"enabled": true}}, flag: true, config: true},
		{
			name: "on, without ExtensionConfig", flag: true,
			values: map[string]any{"runtimeExtension": map[string]any{"enabled": true, "extensionConfig": map[string]any{"create": false}}},
		},
		{
			name: "one namespace", flag: true, config: true, selector: selector{"matchLabels": map[string]any{"kubernetes.io/metadata.name": "team"}},
			values: map[string]any{"watchNamespace": "team", "runtimeExtension": map[string]any{"enabled": true}},
		},
		{
			name: "a selector of the user's", flag: true, config: true, selector: own,
			values: map[string]any{"watchNamespace": "team", "runtimeExtension": map[string]any{"enabled": true, "extensionConfig": map[string]any{"namespaceSelector": own}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := chart.Render(t.Context(), test.values)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(strings.Join(c.Args, " "), "--enable-runtime-extension"); got != test.flag {
				t.Errorf("the flag is given: %v", got)
			}
			manifests := string(c.Manifests)
			if got := strings.Contains(manifests, "capi-vip-allocator-runtime-extension-tls"); got != test.flag {
				t.Errorf("the right to the Secret is given: %v", got)
			}
			config := extensionConfig(t, manifests)
			if (config != nil) != test.config {
				t.Fatalf("the ExtensionConfig is %v", config)
			}
			if config == nil {
				return
			}
			got, _ := yaml.Marshal(config["spec"].(map[string]any)["namespaceSelector"])
			want, _ := yaml.Marshal(test.selector)
			if !bytes.Equal(got, want) {
				t.Errorf("the selector is %s, want %s", got, want)
			}
		})
	}
	for _, wrong := range []map[string]any{{"port": 0}, {"name": "a.b"}, {"enabled": "yes"}, {"certificate": "mine"}} {
		if _, err := chart.Render(t.Context(), map[string]any{"runtimeExtension": wrong}); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

func extensionConfig(t *testing.T, manifests string) map[string]any {
	t.Helper()
	for part := range strings.SplitSeq(manifests, "\n---\n") {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(part), &object); err != nil {
			t.Fatalf("%v in %s", err, part)
		}
		if object["kind"] == "ExtensionConfig" {
			return object
		}
	}
	return nil
}

// The ExtensionConfig is of the version that the API server has. One that is not known
// has the newest.
func TestRuntimeExtensionOfOlderClusterAPI(t *testing.T) {
	const group = "runtime.cluster.x-k8s.io/"
	for want, served := range map[string][]string{
		group + "v1alpha1": {group + "v1alpha1"},
		group + "v1beta2":  {group + "v1alpha1", group + "v1beta2"},
	} {
		for _, served := range [][]string{served, nil} {
			if served == nil {
				want = group + "v1beta2"
			}
			c, err := chart.Render(t.Context(), map[string]any{"runtimeExtension": map[string]any{"enabled": true}}, served...)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(c.Manifests, []byte("\napiVersion: "+want+"\nkind: ExtensionConfig\n")) {
				t.Errorf("with %q there is no ExtensionConfig of %s", served, want)
			}
		}
	}
}
