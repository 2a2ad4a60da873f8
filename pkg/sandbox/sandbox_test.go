package sandbox_test

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(os.Args, m.Run)) }

// class has one patch, which takes the VIP by this enabledIf and template.
func class(t testing.TB, namespace, enabledIf, template string) *clusterv1.ClusterClass {
	t.Helper()
	c := &clusterv1.ClusterClass{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "c"}}
	err := yaml.Unmarshal([]byte(`
spec:
  infrastructure: {templateRef: {apiVersion: i/v1, kind: T, name: t}}
  patches:
  - name: p
    definitions:
    - selector: {apiVersion: i/v1, kind: T, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /x, valueFrom: {}}]
status:
  variables:
  - {name: clusterVip, definitions: [{from: inline, schema: {openAPIV3Schema: {type: string, minLength: 1}}}]}
  - {name: many, definitions: [{from: inline, schema: {openAPIV3Schema: {type: array, items: {type: string}}}}]}
`), c)
	if err != nil {
		t.Fatal(err)
	}
	patch := &c.Spec.Patches[0]
	patch.EnabledIf = enabledIf
	if from := patch.Definitions[0].JSONPatches[0].ValueFrom; template == "" {
		from.Variable = "clusterVip"
	} else {
		from.Template = template
	}
	return c
}

// costly are templates that take as much as they can get, each in a way of its own.
func costly() map[string]string {
	return map[string]string{
		"loop":        `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ .clusterVip }}`,
		"list":        `{{ range until 1500000000 }}{{ end }}{{ .clusterVip }}`,
		"text":        `{{ $a := repeat 10000 "x" }}{{ $b := repeat 10000 $a }}{{ $c := repeat 100 $b }}{{ len $c }}{{ .clusterVip }}`,
		"width":       `{{ range until 100000 }}{{ printf "%1000000s" $.clusterVip | len }}{{ end }}`,
		"nested":      strings.Repeat(`{{ range until 1000 }}`, 10) + `{{ $.clusterVip }}` + strings.Repeat(`{{ end }}`, 10),
		"deep":        strings.Repeat(`{{ if true }}`, 50_000) + `{{ .clusterVip }}` + strings.Repeat(`{{ end }}`, 50_000),
		"parentheses": `{{ ` + strings.Repeat("(", 300_000) + ".clusterVip" + strings.Repeat(")", 300_000) + ` }}`,
		"recursion":   `{{ define "r" }}{{ template "r" . }}{{ template "r" . }}{{ end }}{{ template "r" . }}`,
		"doubling":    `{{ define "d" }}{{ if lt (len .) 1000000000 }}{{ template "d" (cat . .) }}{{ end }}{{ end }}{{ template "d" .clusterVip }}`,
		"authority":   `{{ range until 1000 }}{{ $ca := genCA $.clusterVip 365 }}{{ end }}`,
		"passwords":   `{{ range until 1000 }}{{ derivePassword 1 "long" "a" "b" $.clusterVip }}{{ bcrypt $.clusterVip }}{{ end }}`,
		"expression":  `{{ range until 100000 }}{{ regexMatch "(((a{1,30}){1,30}){1,30})" $.clusterVip }}{{ end }}`,
		"growing":     `{{ $l := list .clusterVip }}{{ range until 100000 }}{{ $l = concat $l $l }}{{ end }}`,
		"dictionary":  `{{ $d := dict "a" . }}{{ range until 100000 }}{{ $d = dict "a" $d "b" $d }}{{ end }}{{ toJson $d }}`,
		"long":        strings.Repeat(`{{ .clusterVip | sha256sum | sha256sum | sha256sum | sha256sum }}`, 20_000),
	}
}

// Whatever a template does, an answer comes soon, and another class is not kept waiting.
func TestCostlyTemplates(t *testing.T) {
	for name, template := range costly() {
		for _, form := range []string{"template", "enabledIf"} {
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				e := sandbox.NewForOne()
				defer e.Close()
				c := class(t, "n", template, "")
				if form == "template" {
					c = class(t, "n", "", template)
				}
				began := time.Now()
				found, _ := e.Inspect(c, nil)
				t.Logf("%s: %s", time.Since(began).Round(time.Millisecond), found[vip.ControlPlane].Why)
				if found[vip.ControlPlane].State != gate.Unclear {
					t.Errorf("got %+v", found[vip.ControlPlane])
				}
				if found, _ = e.Inspect(class(t, "n", "", ""), nil); found[vip.ControlPlane].State != gate.Gated {
					t.Errorf("an honest class afterwards: %+v", found)
				}
			})
		}
	}
}

// Namespaces that ask nothing but costly questions do not keep another one from its turn.
func TestEachNamespaceHasItsTurn(t *testing.T) {
	e := sandbox.New()
	defer e.Close()
	var answered atomic.Int32
	const tenants, each = 3, 20
	for i := range tenants {
		for j := range each {
			e.Inspect(class(t, fmt.Sprintf("tenant-%d", i), "", fmt.Sprintf("{{/* %d */}}%s", j, costly()["loop"])), func() { answered.Add(1) })
		}
	}
	const roles = 2 // each is a question of its own
	for i := range 5 {
		honest := class(t, "other", "", fmt.Sprintf("%d{{ .clusterVip }}", i))
		came := make(chan struct{}, roles)
		if _, known := e.Inspect(honest, func() { came <- struct{}{} }); known {
			t.Fatal("it is known at once")
		}
		for range roles {
			<-came
		}
		if found, known := e.Inspect(honest, nil); !known || found[vip.ControlPlane].State != gate.Ungated {
			t.Errorf("known %v: %+v", known, found)
		}
		// Of each other namespace one was before each of its questions, at the most.
		if before := int(answered.Load()); before > tenants*roles*(i+1) {
			t.Errorf("%d costly questions were answered first", before)
		}
	}
}

// An answer is remembered, and found out once for all who ask at the same time.
func TestConsumesIsKnownLater(t *testing.T) {
	e := sandbox.New()
	defer e.Close()
	c := class(t, "n", `{{ if .clusterVip }}true{{ end }}`, "")
	patches := gate.NewPatches(c.Spec.Patches, "clusterVip")
	came := make(chan struct{}, 10)
	cluster := func(i int) *vip.Cluster { return &vip.Cluster{Namespace: "n", Name: fmt.Sprint(i)} }
	for i := range 10 {
		if _, known := e.Consumes(patches, cluster(i), func() { came <- struct{}{} }); known {
			t.Fatal("it is known at once")
		}
	}
	for range 10 {
		<-came
	}
	// Another Cluster of which the patch sees nothing has the same answer.
	if consumes, known := e.Consumes(patches, cluster(11), nil); !known || !consumes {
		t.Errorf("consumes %v, known %v", consumes, known)
	}
}

// If it cannot be found out whether a patch uses the variable, it is waited for.
func TestWhatCannotBeFoundOutIsConsumed(t *testing.T) {
	e := sandbox.NewForOne()
	defer e.Close()
	cluster := &vip.Cluster{Namespace: "n", Name: "a"}
	for enabledIf, want := range map[string]bool{
		`{{ if .clusterVip }}false{{ end }}`: false,
		costly()["loop"]:                     true,
	} {
		if consumes, _ := e.Consumes(gate.NewPatches(class(t, "n", enabledIf, "").Spec.Patches, "clusterVip"), cluster, nil); consumes != want {
			t.Errorf("%s: %v", enabledIf, consumes)
		}
	}
}

// A Cluster's own values are as costly as those of its class.
func TestCostlyValues(t *testing.T) {
	e := sandbox.NewForOne()
	defer e.Close()
	c := class(t, "n", "", `{{ range until (int .n) }}{{ end }}{{ .clusterVip }}`)
	for number, want := range map[string]string{"3": "", "1500000000": "it takes more than 64 MiB of memory"} {
		cluster := &vip.Cluster{Namespace: "n", Name: "a", Variables: []vip.Variable{
			{Name: "n", Value: []byte(number)}, {Name: "clusterVip", Value: []byte(`"10.0.0.1"`)},
		}}
		patch, unclear, _ := e.NeededBy(gate.NewPatches(c.Spec.Patches, "clusterVip"), cluster, nil)
		if patch != "p" || unclear != want {
			t.Errorf("n = %s: patch %q, unclear %q", number, patch, unclear)
		}
	}
}
