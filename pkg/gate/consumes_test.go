package gate_test

import (
	"encoding/json"
	"sync"
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// held is a Cluster that waits for its VIPs.
func held() *vip.Cluster {
	return &vip.Cluster{
		Namespace: "team-a", Name: "c1", UID: "u", Class: vip.ClassKey{Namespace: "team-a", Name: "rke2"},
		Variables: []vip.Variable{
			{Name: "clusterVip", Value: json.RawMessage(`""`)}, {Name: "on", Value: json.RawMessage(`true`)},
			{Name: "off", Value: json.RawMessage(`false`)}, {Name: "vips", Value: json.RawMessage(`{"port":1}`)},
		},
	}
}

func TestAPatchConsumesTheVariable(t *testing.T) {
	for _, test := range []struct {
		name  string
		patch clusterv1.ClusterClassPatch
		path  string
		want  bool
	}{
		{"that it takes its value from", patch("", "clusterVip", ""), "clusterVip", true},
		{"but not another", patch("", "on", ""), "clusterVip", false},
		{"but not one whose name only begins alike", patch("", "clusterVips", ""), "clusterVip", false},
		{"but not one whose name only ends alike", patch("", "", "{{ .myclusterVip }}"), "clusterVip", false},
		{"whose object it takes", patch("", "vips", ""), "vips.ingress", true},
		{"whose field it takes", patch("", "vips.ingress", ""), "vips.ingress", true},
		{"of which it takes a field", patch("", "vips.ingress", ""), "vips", true},
		{"but not beside it", patch("", "vips.port", ""), "vips.ingress", false},
		{"that its template names", patch("", "", "{{ .clusterVip }}"), "clusterVip", true},
		{"that its template guards", patch("", "", "{{ with .clusterVip }}{{ . }}{{ end }}"), "clusterVip", true},
		{"that its template looks up", patch("", "", "{{ index . `clusterVip` }}"), "clusterVip", true},
		{"that its template names from the root", patch("", "", "{{ range .x }}{{ $.clusterVip }}{{ end }}"), "clusterVip", true},
		{"but not beside the field that its template names", patch("", "", "{{ .vips.port }}"), "vips.ingress", false},
		{"but not one whose name only begins as the field does", patch("", "", "{{ .vips.ingressPort }}"), "vips.ingress", false},
		{"whose object its template names", patch("", "", "{{ toJson .vips }}"), "vips.ingress", true},
		{"but not for a word of a text", patch("", "", "the clusterVip"), "clusterVip", false},
		{"that switches it on", patch("{{ if .clusterVip }}true{{ end }}", "", "x"), "clusterVip", true},
		{"that switches it on and that it takes", patch("{{ if .clusterVip }}true{{ end }}", "clusterVip", ""), "clusterVip", true},
		{"that switches it off", patch("{{ not .clusterVip }}", "", "x"), "clusterVip", true},
		{"whose absence fails", patch(writtenGuard, "", "x"), "clusterVip", true},
		{"with a guard that is never on", patch(`{{ if .clusterVip }}false{{ else }}{{ fail "x" }}{{ end }}`, "", "x"), "clusterVip", true},
		{"while another switches it on", patch("{{ .on }}", "clusterVip", ""), "clusterVip", true},
		{"but not while another switches it off", patch("{{ .off }}", "clusterVip", ""), "clusterVip", false},
		{"but not while another switches it off together", patch("{{ and .off .clusterVip }}", "clusterVip", ""), "clusterVip", false},
		{"but not while it is switched off for good", patch("false", "clusterVip", ""), "clusterVip", false},
		{"if its guard cannot be evaluated", patch("{{ .on.b }}", "clusterVip", ""), "clusterVip", true},
		{"if its guard asks what is not known", patch(`{{ semverCompare ">= 1.99" .builtin.controlPlane.version }}`, "clusterVip", ""), "clusterVip", true},
		{"if its guard is for workers", patch("{{ if .builtin.machineDeployment }}true{{ end }}", "clusterVip", ""), "clusterVip", true},
		{"but not if its guard fails over something else", patch("{{ .on.b }}", "on", ""), "clusterVip", false},
		{"if it is external, which cannot be read", clusterv1.ClusterClassPatch{External: &clusterv1.ExternalPatchDefinition{}}, "clusterVip", true},
		{"but not without a name", patch("", "clusterVip", "{{ .clusterVip }}"), "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := gate.Consumes([]clusterv1.ClusterClassPatch{test.patch}, held(), test.path); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if gate.Consumes(nil, held(), "clusterVip") {
		t.Error("no patch consumes it")
	}
}

func TestAClusterWithoutAnyVariableIsNotChanged(t *testing.T) {
	cluster := &vip.Cluster{}
	if !gate.Consumes([]clusterv1.ClusterClassPatch{patch(writtenGuard, "vips.host", "")}, cluster, "vips.host") {
		t.Error("not consumed")
	}
	if cluster.Annotations != nil || cluster.Variables != nil {
		t.Errorf("%+v", cluster)
	}
}

// Templates share their functions, but not what they define.
func TestTemplatesDoNotDisturbEachOther(t *testing.T) {
	defines := patch(`{{ define "x" }}true{{ end }}{{ if .clusterVip }}{{ template "x" }}{{ end }}`, "", "x")
	borrows := patch(`{{ template "x" }}`, "clusterVip", "")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				if !gate.Consumes([]clusterv1.ClusterClassPatch{defines}, held(), "clusterVip") {
					t.Error("a template that uses its own definition fails")
				}
				if gate.NeededBy([]clusterv1.ClusterClassPatch{borrows}, held(), "clusterVip") != "" {
					t.Error("a template uses the definition of another")
				}
				if gate.Consumes([]clusterv1.ClusterClassPatch{patch("{{ and .off .clusterVip }}", "", "x")}, held(), "clusterVip") {
					t.Error("a template gets the text of another")
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkConsumes asks a class of twenty patches, all guarded and all in vain.
func BenchmarkConsumes(b *testing.B) {
	var patches []clusterv1.ClusterClassPatch
	for range 20 {
		patches = append(patches, patch("{{ and .off .clusterVip }}", "clusterVip", "{{ .clusterVip }}"))
	}
	cluster := held()
	for b.Loop() {
		gate.Consumes(patches, cluster, "clusterVip")
	}
}

func FuzzConsumes(f *testing.F) {
	f.Add("{{ .off }}", "{{ .vips.a }}", "vips.a")
	f.Add(ingressGuard, "{{ index . `x` }}", "ingressVip")
	f.Add("{{ .", "vips..", "a..b")
	f.Fuzz(func(_ *testing.T, enabledIf, template, path string) {
		if len(enabledIf) > 64 {
			return
		}
		// The enabledIf may be anything cheap; the template is never run.
		gate.Consumes([]clusterv1.ClusterClassPatch{patch("{{ if .x }}"+path+"{{ end }}", template, ""), patch("", "", template)}, held(), path)
	})
}
