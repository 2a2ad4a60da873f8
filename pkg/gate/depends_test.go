package gate

import (
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func TestWhichTemplatesDependOnTheVIP(t *testing.T) {
	for template, want := range map[string]bool{
		"":                                       false,
		"true":                                   false,
		"{{ range until 100000 }}{{ end }}x":     false,
		"{{ .other }}":                           false,
		`{{ .builtin.cluster.name }}`:            false,
		`{{ range .files }}{{ .path }}{{ end }}`: false,
		"{{ .clusterVip }}":                      true,
		`{{ index . "cluster" }}`:                true, // what is looked up may be put together
		"{{ toJson . }}":                         true,
		"{{ .|toJson }}":                         true,
		"{{.}}":                                  true,
		"{{ (.).x }}":                            true,
		"{{ $x := $ }}{{ $x.y }}":                true,
		"{{ with .builtin }}{{ .x }}{{ end }}":   true,
		"{{ toJson .builtin.cluster}}":           true,
		`{{ dig "a" "" .builtin.cluster.metadata }}`: true,
	} {
		if got := depends(template, "clusterVip"); got != want {
			t.Errorf("%q: %v", template, got)
		}
	}
	for variable, want := range map[string]bool{"": false, "other": false, "builtin.cluster.name": false, "clusterVip": true, "builtin": true, "builtin.cluster": true, "builtin.cluster.metadata.labels": true} {
		if got := variableDepends(variable, "clusterVip"); got != want {
			t.Errorf("variable %q: %v", variable, got)
		}
	}
}

// A question holds of a Cluster what its patches can see, and no more.
func TestAQuestionHoldsWhatCanBeSeen(t *testing.T) {
	cluster := &vip.Cluster{
		Namespace: "n", Name: "a", UID: "u", Annotations: map[string]string{"x": "y"},
		Variables: []vip.Variable{{Name: "clusterVip"}, {Name: "size"}, {Name: "other"}},
	}
	patch := func(enabledIf, template string) clusterv1.ClusterClassPatch {
		return clusterv1.ClusterClassPatch{EnabledIf: enabledIf, Definitions: []clusterv1.PatchDefinition{{
			JSONPatches: []clusterv1.JSONPatch{{ValueFrom: &clusterv1.JSONPatchValue{Template: template}}},
		}}}
	}
	for _, test := range []struct {
		name      string
		patches   []clusterv1.ClusterClassPatch
		variables int
		cluster   bool
	}{
		{"nothing of a patch without the VIP", []clusterv1.ClusterClassPatch{patch("{{ .size }}", "{{ .other }}")}, 0, false},
		{"the VIP", []clusterv1.ClusterClassPatch{patch("", "{{ .clusterVip }}")}, 1, false},
		{"what stands beside it", []clusterv1.ClusterClassPatch{patch("{{ .size }}", "{{ .clusterVip }}")}, 2, false},
		{"the Cluster", []clusterv1.ClusterClassPatch{patch("{{ .builtin.cluster.name }}", "{{ .clusterVip }}")}, 1, true},
		{"everything", []clusterv1.ClusterClassPatch{patch("", "{{ toJson . }}")}, 3, true},
	} {
		q := NewPatches(test.patches, "clusterVip").Question(cluster)
		if len(q.Cluster.Variables) != test.variables || (q.Cluster.UID != "") != test.cluster {
			t.Errorf("%s: %+v", test.name, q.Cluster)
		}
	}
}
