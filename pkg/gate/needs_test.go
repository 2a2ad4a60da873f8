package gate_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	writtenGuard = `{{ if .clusterVip }}true{{ else if eq (dig "cluster" "metadata" "annotations" "vip.capi.gorizond.io/control-plane-written" "" .builtin) "none" }}false{{ else }}{{ fail "waiting for the VIP" }}{{ end }}`
	ingressGuard = `{{ if .ingressVip }}true{{ else if eq (dig "cluster" "metadata" "annotations" "vip.capi.gorizond.io/ingress-enabled" "" .builtin) "false" }}false{{ else if eq (dig "cluster" "metadata" "annotations" "vip.capi.gorizond.io/ingress-written" "" .builtin) "none" }}false{{ else }}{{ fail "waiting for the ingress VIP" }}{{ end }}`
)

// patch is one with a single value, taken from a variable or rendered by a template.
func patch(enabledIf, variable, template string) clusterv1.ClusterClassPatch {
	return clusterv1.ClusterClassPatch{Name: "p", EnabledIf: enabledIf, Definitions: []clusterv1.PatchDefinition{{
		JSONPatches: []clusterv1.JSONPatch{{Op: "add", Path: "/x", ValueFrom: &clusterv1.JSONPatchValue{Variable: variable, Template: template}}},
	}}}
}

// disabled is a Cluster whose ingress was just switched off and which still has its VIP.
func disabled(variables ...vip.Variable) *vip.Cluster {
	c := &vip.Cluster{
		Namespace: "team-a", Name: "c1", UID: "u", Class: vip.ClassKey{Namespace: "team-a", Name: "rke2"},
		Annotations: map[string]string{
			vip.Ingress.EnabledAnnotation(): "false", vip.Ingress.WrittenAnnotation(): "ingressVip", vip.Ingress.Stamp(): "10.0.0.2",
		},
		Variables: []vip.Variable{{Name: "ingressVip", Value: json.RawMessage(`"10.0.0.2"`)}, {Name: "other", Value: json.RawMessage(`"x"`)}},
	}
	c.Variables = append(c.Variables, variables...)
	return c
}

func TestAPatchNeedsTheVariable(t *testing.T) {
	object := vip.Variable{Name: "vips", Value: json.RawMessage(`{"ingress":"10.0.0.2","port":1}`)}
	for _, test := range []struct {
		name  string
		patch clusterv1.ClusterClassPatch
		path  string
		want  bool
	}{
		{"that it takes its value from", patch("", "ingressVip", ""), "", true},
		{"but not another that it takes its value from", patch("", "other", ""), "", false},
		{"but not one whose name only begins alike", patch("", "ingressVipList", ""), "", false},
		{"whose object it takes as a whole", patch("", "vips", ""), "vips.ingress", true},
		{"whose field it takes", patch("", "vips.ingress", ""), "vips.ingress", true},
		{"but not beside the field that it takes", patch("", "vips.port", ""), "vips.ingress", false},
		{"but not for a builtin", patch("", "builtin.cluster.name", ""), "", false},
		{"that its template prints", patch("", "", "vip: {{ .ingressVip }}"), "", true},
		{"whose field its template prints", patch("", "", "{{ .vips.ingress }}"), "vips.ingress", true},
		{"but not if its template never mentions it", patch("", "", "{{ .other }}"), "", false},
		{"but not if its template guards it", patch("", "", "{{ if .ingressVip }}{{ .ingressVip }}{{ end }}"), "", false},
		{"but not if its template has a default for it", patch("", "", `{{ .ingressVip | default "none" }}`), "", false},
		{"that its template demands", patch("", "", `{{ if not .ingressVip }}{{ fail "no VIP" }}{{ end }}`), "", true},
		{"in a template that only works while infrastructure is generated, by its mention", patch("", "", "{{ .builtin.machineDeployment.version | upper }} {{ .ingressVip }}"), "", true},
		{"but not without a mention there", patch("", "", "{{ .builtin.machineDeployment.version | upper }}"), "", false},
		{"but not while it is switched off", patch("false", "ingressVip", ""), "", false},
		{"while it is switched on", patch("true", "ingressVip", ""), "", true},
		{"but not if the variable itself switches it on", patch("{{ if .ingressVip }}true{{ end }}", "ingressVip", ""), "", false},
		{"whose absence fails its guard", patch(`{{ if .ingressVip }}true{{ else }}{{ fail "no VIP" }}{{ end }}`, "ingressVip", ""), "", true},
		{"but not behind a guard that lets a disabled role pass", patch(ingressGuard, "ingressVip", ""), "", false},
		{"but not where its guard asks for our record, which goes too", patch(`{{ hasKey .builtin.cluster.metadata.annotations "vip.capi.gorizond.io/ingress-written" }}`, "ingressVip", ""), "", false},
		{"but not where its guard asks for the stamp, which goes too", patch(`{{ hasKey .builtin.cluster.metadata.annotations "vip.capi.gorizond.io/ingress-vip" }}`, "ingressVip", ""), "", false},
		{"but not with a broken guard, which fails now as it will then", patch("{{ .x.y.z", "ingressVip", ""), "", false},
		{"but not where it has a plain value", clusterv1.ClusterClassPatch{Name: "p", Definitions: []clusterv1.PatchDefinition{{JSONPatches: []clusterv1.JSONPatch{{Op: "remove", Path: "/x"}}}}}, "", false},
		{"but not if it is external, which cannot be read", clusterv1.ClusterClassPatch{Name: "p", External: &clusterv1.ExternalPatchDefinition{}}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := test.path
			if path == "" {
				path = "ingressVip"
			}
			want := ""
			if test.want {
				want = "p"
			}
			if got := gate.NeededBy([]clusterv1.ClusterClassPatch{test.patch}, disabled(object), path); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestTheFirstPatchThatNeedsItIsNamed(t *testing.T) {
	patches := []clusterv1.ClusterClassPatch{patch("", "other", ""), patch("", "ingressVip", ""), patch("", "ingressVip", "")}
	patches[0].Name, patches[1].Name, patches[2].Name = "a", "b", "c"
	if got := gate.NeededBy(patches, disabled(), "ingressVip"); got != "b" {
		t.Errorf("got %q", got)
	}
	if got := gate.NeededBy(nil, disabled(), "ingressVip"); got != "" {
		t.Errorf("of no patches, %q", got)
	}
}

func TestTheClusterIsNotChangedByAsking(t *testing.T) {
	c := disabled()
	gate.NeededBy([]clusterv1.ClusterClassPatch{patch(writtenGuard, "ingressVip", "{{ .ingressVip }}")}, c, "ingressVip")
	if len(c.Annotations) != 3 || len(c.Variables) != 2 {
		t.Errorf("%+v", c)
	}
}

func TestTheExampleClassLetsADisabledIngressGo(t *testing.T) {
	data, err := os.ReadFile("../../examples/clusterclass.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var class clusterv1.ClusterClass
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		if strings.Contains(document, "kind: ClusterClass") {
			if err := yaml.Unmarshal([]byte(document), &class); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(class.Spec.Patches) == 0 {
		t.Fatal("the example has no ClusterClass with patches")
	}
	control := vip.Variable{Name: "clusterVip", Value: json.RawMessage(`"10.0.0.1"`)}
	if got := gate.NeededBy(class.Spec.Patches, disabled(control), "ingressVip"); got != "" {
		t.Errorf("patch %s needs the variable of a disabled ingress", got)
	}
	enabled := disabled(control)
	enabled.Annotations = nil
	if got := gate.NeededBy(class.Spec.Patches, enabled, "ingressVip"); got != "ingressVIP" {
		t.Errorf("of an enabled ingress, patch %q needs the variable", got)
	}
	if got := gate.NeededBy(class.Spec.Patches, disabled(control), "clusterVip"); got != "controlPlaneEndpoint" {
		t.Errorf("patch %q needs the control-plane variable", got)
	}
	for _, p := range class.Spec.Patches {
		if len(p.EnabledIf) > 256 {
			t.Errorf("enabledIf of patch %s has %d characters, 256 are allowed", p.Name, len(p.EnabledIf))
		}
	}
}

func FuzzNeededBy(f *testing.F) {
	for _, template := range []string{"", "{{ .ingressVip }}", "{{ . }}", "{{ range . }}{{ . }}{{ end }}", "{{ .a.b.c }}", ingressGuard, `{{ repeat 3 .ingressVip }}`, "{{ fail `x` }}", "{{ template `x` }}", "{{ $x := . }}{{ $x.ingressVip.y }}"} {
		f.Add(template, template, "ingressVip", `"10.0.0.2"`)
		f.Add(template, "", "vips.a.b", `{"a":{"b":"c"}}`)
	}
	f.Add("", "", "a..b", `null`)
	f.Fuzz(func(t *testing.T, enabledIf, template, path, value string) {
		for _, risky := range []string{"repeat", "seq", "until", "rand", "gen", "range", "untilStep", "derive", "bcrypt", "htpasswd", "indent", "printf", "%"} {
			// The author of a class may burn time in its templates; that is not tested here.
			if strings.Contains(enabledIf+template, risky) {
				t.Skip()
			}
		}
		name, _, _ := strings.Cut(path, ".")
		cluster := disabled(vip.Variable{Name: name, Value: json.RawMessage(value)})
		patches := []clusterv1.ClusterClassPatch{patch(enabledIf, path, template), patch(enabledIf, "", template)}
		if got := gate.NeededBy(patches, cluster, path); got != "" && got != "p" {
			t.Errorf("patch %q", got)
		}
	})
}
