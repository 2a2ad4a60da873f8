package gate_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// templates are those of the classes in these tests.
const templates = `
infrastructure: {templateRef: {apiVersion: i/v1, kind: InfraTemplate, name: x}}
controlPlane: {templateRef: {apiVersion: c/v1, kind: ControlPlaneTemplate, name: x}}
workers:
  machineDeployments:
  - class: small
    bootstrap: {templateRef: {apiVersion: b/v1, kind: BootstrapTemplate, name: x}}
    infrastructure: {templateRef: {apiVersion: i/v1, kind: MachineTemplate, name: x}}
  - class: large
    bootstrap: {templateRef: {apiVersion: b/v1, kind: BootstrapTemplate, name: x}}
    infrastructure: {templateRef: {apiVersion: i/v1, kind: MachineTemplate, name: x}}
`

// Selectors of the patches in these tests.
const (
	onInfra   = "{apiVersion: i/v1, kind: InfraTemplate, matchResources: {infrastructureCluster: true}}"
	onControl = "{apiVersion: c/v1, kind: ControlPlaneTemplate, matchResources: {controlPlane: true}}"
	onSmall   = "{apiVersion: b/v1, kind: BootstrapTemplate, matchResources: {machineDeploymentClass: {names: [small]}}}"
	onWorkers = "{apiVersion: b/v1, kind: BootstrapTemplate, matchResources: {machineDeploymentClass: {names: ['*']}}}"
	onNothing = "{apiVersion: i/v2, kind: InfraTemplate, matchResources: {infrastructureCluster: true}}"
)

func must[T any](t testing.TB, text string) T {
	t.Helper()
	var value T
	if err := yaml.UnmarshalStrict([]byte(text), &value); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return value
}

// on is a patch of the name p with one value.
func on(t testing.TB, selector, enabledIf, variable, template string) clusterv1.ClusterClassPatch {
	t.Helper()
	p := patch(enabledIf, variable, template)
	p.Definitions[0].Selector = must[clusterv1.PatchSelector](t, selector)
	return p
}

// newClass is a class with spec.variables as Cluster API reconciles it.
func newClass(t testing.TB, variables string, patches ...clusterv1.ClusterClassPatch) *clusterv1.ClusterClass {
	t.Helper()
	c := &clusterv1.ClusterClass{Spec: must[clusterv1.ClusterClassSpec](t, templates)}
	c.Namespace, c.Name = "team-a", "rke2"
	c.Spec.Variables = must[[]clusterv1.ClusterClassVariable](t, variables)
	c.Spec.Patches = patches
	for i := range c.Spec.Patches {
		if c.Spec.Patches[i].Name == "p" && i > 0 {
			c.Spec.Patches[i].Name = "p" + string(rune('1'+i))
		}
	}
	reconcileVariables(c)
	return c
}

func reconcileVariables(c *clusterv1.ClusterClass) {
	c.Status.Variables = nil
	for _, variable := range c.Spec.Variables {
		declare(c, variable, clusterv1.VariableDefinitionFromInline)
	}
}

func declare(c *clusterv1.ClusterClass, variable clusterv1.ClusterClassVariable, from string) {
	c.Status.Variables = append(c.Status.Variables, clusterv1.ClusterClassStatusVariable{
		Name:        variable.Name,
		Definitions: []clusterv1.ClusterClassStatusVariableDefinition{{From: from, Required: variable.Required, Schema: variable.Schema}},
	})
}

func inspect(c *clusterv1.ClusterClass, role vip.Role) gate.Finding {
	view := kube.Class(c)
	return gate.Inspect(c, &view, role)
}

// variable is one of the class whose schema is given.
func variable(name, schema string) string {
	return "- {name: " + name + ", schema: {openAPIV3Schema: {" + schema + "}}}\n"
}

func required(name, schema string) string {
	return "- {name: " + name + ", required: true, schema: {openAPIV3Schema: {" + schema + "}}}\n"
}

const (
	strict   = "type: string, minLength: 1"
	loose    = "type: string"
	defaults = `type: string, default: ""`
	fails    = `{{ if not .clusterVip }}{{ fail "no VIP" }}{{ end }}true`
	// shortGuard only lets Clusters pass that want no ingress VIP.
	shortGuard = `{{$a := dig "cluster" "metadata" "annotations" dict .builtin}}{{if .ingressVip}}true{{else if ne (get $a "vip.capi.gorizond.io/ingress-enabled") "false"}}{{fail "no ingress VIP yet"}}{{end}}`
)

func TestAVariableOfItsOwn(t *testing.T) {
	for _, test := range []struct {
		name      string
		variables string
		patches   []clusterv1.ClusterClassPatch
		state     gate.State
		why       string // a part of it; none if empty
		patch     string
	}{
		{
			name: "taken by valueFrom.variable", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")}, state: gate.Gated, patch: "p",
		},
		{
			name: "that may be empty", variables: variable("clusterVip", loose),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.GatedUnlessEmpty, why: "minLength: 1", patch: "p",
		},
		{
			name: "whose pattern excludes the empty string", variables: variable("clusterVip", `type: string, pattern: "^[0-9.]+$"`),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")}, state: gate.Gated, patch: "p",
		},
		{
			name: "whose format excludes the empty string", variables: variable("clusterVip", "type: string, format: ipv4"),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")}, state: gate.Gated, patch: "p",
		},
		{
			name: "that only takes IPv6 addresses", variables: variable("clusterVip", "type: string, format: ipv6"),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")}, state: gate.Gated, patch: "p",
		},
		{
			name: "with an empty default", variables: variable("clusterVip", defaults),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Ungated, why: `variable clusterVip has the default "", with which patch p builds`, patch: "p",
		},
		{
			name: "with a default", variables: variable("clusterVip", "type: string, default: 192.0.2.1"),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Ungated, why: `the default "192.0.2.1"`, patch: "p",
		},
		{
			name: "with a default that a guard holds", variables: variable("clusterVip", defaults),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, writtenGuard, "clusterVip", "")}, state: gate.Gated, patch: "p",
		},
		{
			name: "with a default that no template guards", variables: variable("clusterVip", defaults),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "{{ .clusterVip }}")},
			state:   gate.Ungated, why: "remove the default and take the value with valueFrom.variable", patch: "p",
		},
		{
			name: "that is required", variables: required("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Gated, why: "variable clusterVip is required", patch: "p",
		},
		{
			name: "that is required and may be empty", variables: required("clusterVip", loose),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.GatedUnlessEmpty, why: "variable clusterVip is required", patch: "p",
		},
		{
			name: "of the wrong type", variables: variable("clusterVip", "type: integer"),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Gated, why: "its type is integer, not string", patch: "p",
		},
		{
			name: "whose enum holds no address", variables: variable("clusterVip", "type: string, enum: [a, b]"),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Gated, why: "the schema of variable clusterVip takes no address", patch: "p",
		},
		{
			name: "whose enum holds an address", variables: variable("clusterVip", "type: string, enum: [10.9.9.9]"),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")}, state: gate.Gated, patch: "p",
		},
		{
			name: "too short for an address", variables: variable("clusterVip", "type: string, minLength: 1, maxLength: 3"),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Gated, why: "takes no address", patch: "p",
		},
		{
			name: "with a pattern that may be too narrow", variables: variable("clusterVip", `type: string, pattern: "^10[.]31[.]"`),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Gated, why: "check that its pattern", patch: "p",
		},
		{
			name: "read by a template only", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "host: {{ .clusterVip }}")},
			state:   gate.Ungated, why: `renders "<no value>"`, patch: "p",
		},
		{
			name: "read by a template with a default", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", `{{ .clusterVip | default "auto" }}`)},
			state:   gate.Ungated, why: "renders without the VIP", patch: "p",
		},
		{
			name: "read by a template that renders nothing", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "{{ with .clusterVip }}{{ . }}{{ end }}")},
			state:   gate.Ungated, why: "renders without the VIP", patch: "p",
		},
		{
			name: "read by a template that fails", variables: variable("clusterVip", loose),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", `{{ if not .clusterVip }}{{ fail "x" }}{{ end }}{{ .clusterVip }}`)},
			state:   gate.Gated, patch: "p",
		},
		{
			name: "read by a template that is no YAML without it", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", `{{ if not .clusterVip }}a: b: c{{ end }}`)}, state: gate.Gated, patch: "p",
		},
		{
			name: "read by a template beside a gate", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onControl, "", "", "{{ .clusterVip }}"), on(t, onInfra, "", "clusterVip", "")}, state: gate.Gated, patch: "p2",
		},
		{
			name: "read by a template beside a patch that is only a guard", variables: variable("clusterVip", defaults),
			patches: []clusterv1.ClusterClassPatch{on(t, onControl, "", "", "{{ .clusterVip }}"), on(t, onInfra, `{{ if .clusterVip }}false{{ else }}{{ fail "x" }}{{ end }}`, "", "")},
			state:   gate.Gated, patch: "p2",
		},
		{
			name: "not taken at all", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "other", "")},
			state:   gate.Ungated, why: "no patch that is ever enabled takes variable clusterVip",
		},
		{
			name: "of a class without patches", variables: variable("clusterVip", strict), state: gate.Ungated, why: "no patch that is ever enabled",
		},
		{
			name: "taken by a patch that is switched off for good", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "false", "clusterVip", "")}, state: gate.Ungated, why: "no patch that is ever enabled",
		},
		{
			name: "taken by a patch that selects nothing", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onNothing, fails, "clusterVip", "")},
			state:   gate.Ungated, why: "patch p takes variable clusterVip but selects no template",
		},
		{
			name: "that switches its patch off", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "{{ if .clusterVip }}true{{ end }}", "clusterVip", "")},
			state:   gate.Ungated, why: "switches it off while variable clusterVip has no value", patch: "p",
		},
		{
			name: "that switches a patch on", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "{{ not .clusterVip }}", "", "x")},
			state:   gate.Ungated, why: "is true while variable clusterVip has no value", patch: "p",
		},
		{
			name: "that switches its patch off beside a gate", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onControl, "{{ if .clusterVip }}true{{ end }}", "clusterVip", ""), on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Gated, patch: "p2",
		},
		{
			name: "behind an enabledIf in other words of YAML", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, " \"yes\"\n", "clusterVip", ""), on(t, onInfra, " True # always", "clusterVip", "")}, state: gate.Gated, patch: "p2",
		},
		{
			name: "taken where another variable says so", variables: variable("clusterVip", strict) + variable("kubeVip", "type: boolean, default: false"),
			patches: []clusterv1.ClusterClassPatch{on(t, onControl, "{{ .kubeVip }}", "clusterVip", "")},
			state:   gate.Ungated, why: "patch p, which takes variable clusterVip, is off unless variable kubeVip is true", patch: "p",
		},
		{
			name: "read where another variable says so", variables: variable("clusterVip", strict) + variable("kubeVip", "type: boolean, default: false"),
			patches: []clusterv1.ClusterClassPatch{on(t, onControl, "{{ .kubeVip }}", "", "{{ .clusterVip }}")}, state: gate.Ungated, why: "<no value>", patch: "p",
		},
		{
			name: "read and taken on the same condition", variables: variable("clusterVip", strict) + variable("kubeVip", "type: boolean, default: false"),
			patches: []clusterv1.ClusterClassPatch{on(t, onControl, "{{ .kubeVip }}", "", "{{ .clusterVip }}"), on(t, onInfra, "{{ .kubeVip }}", "clusterVip", "")},
			state:   gate.Ungated, why: "patch p2, which takes variable clusterVip, is off unless variable kubeVip is true", patch: "p2",
		},
		{
			name: "read always and taken on a condition", variables: variable("clusterVip", strict) + variable("kubeVip", "type: boolean, default: false"),
			patches: []clusterv1.ClusterClassPatch{on(t, onControl, "", "", "{{ .clusterVip }}"), on(t, onInfra, "{{ .kubeVip }}", "clusterVip", "")},
			state:   gate.Ungated, why: "patch p renders", patch: "p",
		},
		{
			name: "read in infrastructure and taken for workers", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "{{ .clusterVip }}"), on(t, onWorkers, "", "clusterVip", "")},
			state:   gate.Ungated, why: "patch p renders", patch: "p",
		},
		{
			name: "taken for workers only", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onWorkers, "", "clusterVip", "")},
			state:   gate.Ungated, why: "patch p takes variable clusterVip for workers of class small only, so a Cluster without them is built", patch: "p",
		},
		{
			name: "taken for some workers and read for others", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onSmall, "", "clusterVip", ""), on(t, onWorkers, "", "", "{{ .clusterVip }}")},
			state:   gate.Ungated, why: "for workers of class small only", patch: "p",
		},
		{
			name: "read with what is known of workers", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onWorkers, `{{ eq .builtin.machineDeployment.class "small" }}`, "", `{{ .builtin.machineDeployment.version | trimPrefix "v" }} {{ .clusterVip }}`)},
			state:   gate.Ungated, why: "<no value>", patch: "p",
		},
		{
			name: "taken from some version on", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onControl, `{{ semverCompare ">= 1.29" .builtin.controlPlane.version }}`, "clusterVip", "")},
			state:   gate.Ungated, why: "is off if the version is v1.28.0", patch: "p",
		},
		{
			name: "in a template that cannot be evaluated", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "{{ .builtin.controlPlane.version | upper }} {{ .clusterVip }}")},
			state:   gate.Unclear, why: "patch p waits for the VIP, because it could not be evaluated", patch: "p",
		},
		{
			name: "in a patch with something else that cannot be evaluated", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "{{ .builtin.controlPlane.version | upper }}"), on(t, onInfra, "", "", "{{ .clusterVip }}")},
			state:   gate.Ungated, why: "patch p2", patch: "p2",
		},
		{
			name: "in a template that cannot be evaluated beside a gate", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "{{ .nothing | upper }} {{ .clusterVip }}"), on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Gated, patch: "p2",
		},
		{
			name: "in a guard that cannot be evaluated", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, `{{ .nothing | upper }}{{ if not .clusterVip }}{{ fail "x" }}{{ end }}`, "", ""), on(t, onInfra, "", "", "{{ .clusterVip }}")},
			state:   gate.Unclear, why: "patch p waits for the VIP, because it could not be evaluated", patch: "p",
		},
		{
			name: "in a broken template", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "{{ .clusterVip")}, state: gate.Unclear, why: "could not be evaluated", patch: "p",
		},
		{
			name: "read with a variable that must be set for it", variables: variable("clusterVip", strict) + variable("user", "type: object, properties: {name: {type: string}}"),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", "{{ .user.name }}@{{ .clusterVip }}")}, state: gate.Ungated, why: "<no value>", patch: "p",
		},
		{
			name: "that is removed again", variables: variable("clusterVip", strict),
			patches: []clusterv1.ClusterClassPatch{{Name: "p", Definitions: []clusterv1.PatchDefinition{{
				Selector:    must[clusterv1.PatchSelector](t, onInfra),
				JSONPatches: []clusterv1.JSONPatch{{Op: "remove", Path: "/x", ValueFrom: &clusterv1.JSONPatchValue{Variable: "clusterVip"}}},
			}}}},
			state: gate.Ungated, why: "no patch that is ever enabled",
		},
		{
			name: "that is not declared", variables: variable("other", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "clusterVip", "")},
			state:   gate.Gated, why: "patch p takes variable clusterVip, which the class does not declare", patch: "p",
		},
		{
			name: "that nobody knows", variables: variable("other", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "other", "")}, state: gate.Unconcerned, why: "the class does not declare variable clusterVip",
		},
		{
			name: "whose published annotation is the gate", variables: variable("other", strict),
			patches: []clusterv1.ClusterClassPatch{on(t, onInfra, "", "", `{{ $v := dig "cluster" "metadata" "annotations" "vip.capi.gorizond.io/control-plane-vip" "" .builtin }}{{ if not $v }}{{ fail "x" }}{{ end }}{{ $v }}`)},
			state:   gate.Gated, patch: "p",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := inspect(newClass(t, test.variables, test.patches...), vip.ControlPlane)
			check(t, got, test.state, test.why, test.patch)
		})
	}
}

// A patch that is off for some Clusters is a gate only if another one waits for those.
func TestAPatchThatIsOffForSomeClusters(t *testing.T) {
	takes := func(enabledIf string) clusterv1.ClusterClassPatch { return on(t, onInfra, enabledIf, "clusterVip", "") }
	vip := variable("clusterVip", strict)
	for _, test := range []struct {
		name, variables string
		patches         []clusterv1.ClusterClassPatch
		why             string // gated if empty
	}{
		{"by default, in an object", vip + variable("kubeVip", "type: object, default: {}, properties: {enabled: {type: boolean, default: false}}"), []clusterv1.ClusterClassPatch{takes("{{ .kubeVip.enabled }}")}, "off unless variable kubeVip.enabled is true"},
		{"by a switch that is on by default", vip + variable("kubeVip", "type: boolean, default: true"), []clusterv1.ClusterClassPatch{takes("{{ .kubeVip }}")}, "off if variable kubeVip is false"},
		{"without a variable", vip + variable("provider", "type: string"), []clusterv1.ClusterClassPatch{takes(`{{ if .provider }}true{{ end }}`)}, "off unless variable provider is"},
		{"by an enum", vip + variable("mode", "type: string, enum: [arp, bgp], default: arp"), []clusterv1.ClusterClassPatch{takes(`{{ eq .mode "arp" }}`)}, `off if variable mode is "bgp"`},
		{"by a word of the template", vip + variable("mode", "type: string, default: none"), []clusterv1.ClusterClassPatch{takes(`{{ eq .mode "kube-vip" }}`)}, `off unless variable mode is "kube-vip"`},
		{"by a number", vip + variable("masters", "type: integer, minimum: 1, default: 1"), []clusterv1.ClusterClassPatch{takes(`{{ gt (int .masters) 1 }}`)}, "off unless variable masters is 2"},
		{"by the number of replicas", vip, []clusterv1.ClusterClassPatch{on(t, onControl, `{{ gt (int .builtin.controlPlane.replicas) 1 }}`, "clusterVip", "")}, "off if the number of replicas is 1"},
		{"by a version", vip, []clusterv1.ClusterClassPatch{takes(`{{ semverCompare "< 1.35" .builtin.cluster.topology.version }}`)}, "off unless the version is v1.28.0"},
		{"by one version", vip, []clusterv1.ClusterClassPatch{takes(`{{ ne .builtin.cluster.topology.version "v1.34.1" }}`)}, "off if the version is v1.34.1"},
		{"by what nobody can guess", vip + variable("mode", "type: string, pattern: '^[a-z]+$', default: none"), []clusterv1.ClusterClassPatch{takes(`{{ eq (len .mode) 7 }}`)}, "off for a Cluster that sets nothing else"},
		{
			"by a version, beside one for the others", vip,
			[]clusterv1.ClusterClassPatch{takes(`{{ semverCompare "< 1.35" .builtin.cluster.topology.version }}`), takes(`{{ semverCompare ">= 1.35" .builtin.cluster.topology.version }}`)}, "",
		},
		{
			"by a mode, beside one for the other", vip + variable("mode", "type: string, enum: [arp, bgp], default: arp"),
			[]clusterv1.ClusterClassPatch{takes(`{{ eq .mode "arp" }}`), takes(`{{ ne .mode "arp" }}`)}, "",
		},
		{"by default, beside one that is always on", vip + variable("kubeVip", "type: boolean, default: false"), []clusterv1.ClusterClassPatch{takes("{{ .kubeVip }}"), on(t, onControl, "", "clusterVip", "")}, ""},
		{"by default, beside a guard", vip + variable("kubeVip", "type: boolean, default: false"), []clusterv1.ClusterClassPatch{takes("{{ .kubeVip }}"), on(t, onInfra, fails, "other", "")}, ""},
		{"by a number that the schema refuses", vip + variable("masters", "type: integer, minimum: 1, maximum: 3, default: 1"), []clusterv1.ClusterClassPatch{takes(`{{ le (int .masters) 3 }}`)}, ""},
		{"by what a rule refuses", vip + variable("mode", "type: string, default: arp, x-kubernetes-validations: [{rule: self == 'arp'}]"), []clusterv1.ClusterClassPatch{takes(`{{ eq .mode "arp" }}`)}, ""},
		{"by what another patch fails over", vip + variable("sw", "type: boolean, default: true"), []clusterv1.ClusterClassPatch{takes("{{ .sw }}"), on(t, onInfra, `{{ if not .sw }}{{ fail "sw must be true" }}{{ end }}`, "other", "")}, ""},
		{"by what another patch waits over", vip + variable("sw", "type: boolean, default: true"), []clusterv1.ClusterClassPatch{takes("{{ .sw }}"), on(t, onInfra, `{{ if and (not .sw) (not .clusterVip) }}{{ fail "wait" }}{{ end }}`, "other", "")}, ""},
		{"by a version that another patch fails over", vip, []clusterv1.ClusterClassPatch{takes(`{{ semverCompare ">= 1.33-0" .builtin.cluster.topology.version }}`), on(t, onInfra, `{{ if semverCompare "< 1.33-0" .builtin.cluster.topology.version }}{{ fail "too old" }}{{ end }}`, "other", "")}, ""},
		{"by what the sample of a required variable may not be", vip + required("site", "type: string, pattern: '^ams[0-9]$'"), []clusterv1.ClusterClassPatch{takes(`{{ hasPrefix "ams" .site }}`)}, ""},
		{"by a list that must not be empty", vip + required("dns", "type: array, minItems: 2, items: {type: string}"), []clusterv1.ClusterClassPatch{takes(`{{ ge (len .dns) 2 }}`)}, ""},
		{"by a boolean with a rule", vip + variable("sw", "type: boolean, default: true, x-kubernetes-validations: [{rule: self == true}]"), []clusterv1.ClusterClassPatch{takes("{{ .sw }}")}, ""},
		{"by a field of an object with a rule", vip + variable("lb", "type: object, default: {}, properties: {enabled: {type: boolean, default: true}}, x-kubernetes-validations: [{rule: self.enabled}]"), []clusterv1.ClusterClassPatch{takes("{{ .lb.enabled }}")}, ""},
		{"by an empty word", vip + variable("cni", "type: string, default: calico"), []clusterv1.ClusterClassPatch{takes(`{{ if .cni }}true{{ end }}`)}, `off if variable cni is ""`},
		{
			"by a mode, for which another one renders without the VIP", vip + variable("mode", "type: string, enum: [arp, bgp], default: arp"),
			[]clusterv1.ClusterClassPatch{takes(`{{ eq .mode "arp" }}`), on(t, onInfra, `{{ ne .mode "arp" }}`, "", "{{ .clusterVip }}")}, `if variable mode is "bgp", a template of patch p2 renders`,
		},
		{
			"by a switch, beside one that is off as well", vip + variable("sw", "type: boolean, default: true") + variable("mode", "type: string, enum: [arp, bgp], default: arp"),
			[]clusterv1.ClusterClassPatch{takes(`{{ .sw }}`), on(t, onInfra, `{{ eq .mode "bgp" }}`, "", "{{ .clusterVip }}")}, "patch p, which takes variable clusterVip, is off if variable sw is false",
		},
		{"once the VIP is there, which it takes", vip, []clusterv1.ClusterClassPatch{takes(`{{ if not .clusterVip }}true{{ end }}`)}, ""},
		{"by nothing that it names", vip + variable("kubeVip", "type: boolean, default: false"), []clusterv1.ClusterClassPatch{takes(`{{ if .clusterVip }}true{{ else }}{{ fail "no VIP" }}{{ end }}`)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			state := gate.Gated
			if test.why != "" {
				state = gate.Ungated
			}
			got := inspect(newClass(t, test.variables, test.patches...), "control-plane")
			if got.State != state || !strings.Contains(got.Why, test.why) {
				t.Errorf("got %+v, want %q, %q", got, state, test.why)
			}
		})
	}
}

// What TestWhatIsSaidOfGatesIsSo found out, on the topology controller, about classes that
// were made at random.
func TestWhatRandomClassesTaught(t *testing.T) {
	const (
		object   = "type: object, properties: {host: {type: string, minLength: 1}, sw: {type: boolean, default: false}, port: {type: integer}}"
		hostPath = "/spec/template/spec/controlPlaneEndpoint/host"
	)
	takes := func(enabledIf string) clusterv1.ClusterClassPatch { return on(t, onInfra, enabledIf, "clusterVip", "") }
	reads := func(template string) clusterv1.ClusterClassPatch { return on(t, onInfra, "", "", template) }
	refuses := func(condition string) clusterv1.ClusterClassPatch {
		return on(t, onInfra, "{{ if "+condition+` }}true{{ else }}{{ fail "refused" }}{{ end }}`, "other", "")
	}
	other := variable("other", "type: string, default: x")
	vip, sw := variable("clusterVip", strict), variable("sw", "type: boolean, default: true")
	mode := variable("mode", "type: string, enum: [arp, bgp], default: arp")
	for _, test := range []struct {
		name, path, variables string
		patches               []clusterv1.ClusterClassPatch
		state                 gate.State
		why                   string
	}{
		{"two patches that are off for different reasons", "", vip + sw + mode, []clusterv1.ClusterClassPatch{takes("{{ .sw }}"), takes(`{{ eq .mode "arp" }}`)}, gate.Ungated, `is off if variable sw is false and variable mode is "bgp"`},
		{"one that is off for two reasons together", "", vip + sw + mode, []clusterv1.ClusterClassPatch{takes(`{{ or .sw (eq .mode "arp") }}`)}, gate.Ungated, `is off if variable sw is false and variable mode is "bgp"`},
		{"a value that switches the VIP off", "", vip + sw, []clusterv1.ClusterClassPatch{reads(`{{ if .sw }}{{ if not .clusterVip }}{{ fail "x" }}{{ end }}{{ .clusterVip }}{{ else }}none{{ end }}`)}, gate.Ungated, "is off if variable sw is false"},
		{"a Cluster without annotations has none", "", vip, []clusterv1.ClusterClassPatch{takes(`{{ if index .builtin.cluster.metadata.annotations "site" }}true{{ end }}`)}, gate.Ungated, "is off if sample: sample is among the annotations"},
		{"a Cluster without annotations, which are dug for", "", vip, []clusterv1.ClusterClassPatch{takes(`{{ if dig "cluster" "metadata" "annotations" "site" "" .builtin }}true{{ end }}`)}, gate.Ungated, "is off unless site: sample is among the annotations"},
		{"an annotation beside words in quotes", "", vip + mode, []clusterv1.ClusterClassPatch{takes(`{{ if or (eq .mode "bgp") (not (index .builtin.cluster.metadata.annotations "site")) (eq .mode "a" "b" "c" "d") }}true{{ end }}`)}, gate.Ungated, "site: "},
		{"a label and an annotation", "", vip + other, []clusterv1.ClusterClassPatch{
			on(t, onInfra, `{{ if index .builtin.cluster.metadata.labels "l" }}true{{ else }}{{ fail "x" }}{{ end }}`, "", "{{ .clusterVip }}"), refuses(`(index .builtin.cluster.metadata.annotations "a")`),
		}, gate.Ungated, "is among the labels and a: "},
		{"a Cluster without network", "", vip, []clusterv1.ClusterClassPatch{takes(`{{ if dig "cluster" "network" "serviceDomain" "" .builtin }}true{{ end }}`)}, gate.Ungated, "is off unless the Cluster has a network"},
		{"a Cluster that sets no replicas", "", vip, []clusterv1.ClusterClassPatch{on(t, onControl, `{{ gt (int .builtin.controlPlane.replicas) 0 }}`, "clusterVip", "")}, gate.Ungated, "the number of replicas is not set"},
		{"a control plane without machines", "", vip, []clusterv1.ClusterClassPatch{on(t, onControl, `{{ if dig "controlPlane" "machineTemplate" "" .builtin }}true{{ end }}`, "clusterVip", "")}, gate.Ungated, "is off for a Cluster that sets nothing else"},
		{"an empty list", "", vip + variable("list", "type: array, items: {type: string}, default: [a]"), []clusterv1.ClusterClassPatch{takes(`{{ if .list }}true{{ end }}`)}, gate.Ungated, "variable list is []"},
		{"a list of something else", "", vip + variable("list", "type: array, minItems: 1, items: {type: string}, default: [a]"), []clusterv1.ClusterClassPatch{takes(`{{ has "a" .list }}`)}, gate.Ungated, `variable list is ["sample"]`},
		{"a word behind an empty one", "", vip + variable("word", "type: string"), []clusterv1.ClusterClassPatch{takes(`{{ not (eq (default "" .word) "kube-vip") }}`)}, gate.Ungated, `variable word is "kube-vip"`},
		{"a number that the template names", "", vip + variable("count", "type: integer, default: 100"), []clusterv1.ClusterClassPatch{takes(`{{ gt (int .count) 42 }}`), takes(`{{ lt (int .count) 41 }}`)}, gate.Ungated, "variable count is 4"},
		{"an object that is there", "", vip + variable("o", "type: object, default: {}, properties: {deep: {type: object, properties: {mode: {type: string, default: x}}}}"), []clusterv1.ClusterClassPatch{takes(`{{ ne (dig "o" "deep" "mode" "" .) "x" }}`)}, gate.Ungated, `variable o.deep`},
		{"a field of the object of the VIP", "endpoint.host", variable("endpoint", object), []clusterv1.ClusterClassPatch{on(t, onInfra, `{{ not (dig "endpoint" "sw" false .) }}`, "endpoint.host", "")}, gate.Ungated, "is off if variable endpoint.sw is true"},
		{"a field of an object that must have the VIP", "endpoint.host", variable("endpoint", "required: [host], "+object), []clusterv1.ClusterClassPatch{on(t, onInfra, `{{ not (dig "endpoint" "sw" false .) }}`, "endpoint.host", "")}, gate.Gated, ""},
		{"a required VIP, and a patch that is off", "", required("clusterVip", strict) + sw, []clusterv1.ClusterClassPatch{takes("{{ .sw }}")}, gate.Gated, "is off if variable sw is false"},
		{"a required VIP that may be empty, and a patch that is off", "", required("clusterVip", loose) + sw, []clusterv1.ClusterClassPatch{takes("{{ .sw }}")}, gate.GatedUnlessEmpty, "is off if variable sw is false"},
		{"a Cluster that another patch refuses", "", vip + mode + other, []clusterv1.ClusterClassPatch{takes(`{{ eq .mode "arp" }}`), refuses(`(eq .mode "arp")`)}, gate.Gated, ""},
		{"a Cluster that another patch refuses by default", "", vip + sw + mode + other, []clusterv1.ClusterClassPatch{takes(`{{ .sw }}`), refuses(`(eq .mode "bgp")`)}, gate.Ungated, `is off if variable sw is false and variable mode is "bgp"`},
		{"one that renders, where another one waits once it is admitted", "", vip + mode + other, []clusterv1.ClusterClassPatch{reads("{{ .clusterVip }}"), refuses(`(eq .mode "bgp")`), takes(`{{ eq .mode "bgp" }}`)}, gate.Gated, ""},
		{"one that renders, beside what nobody can evaluate", "", vip, []clusterv1.ClusterClassPatch{reads("{{ .clusterVip }}"), reads("{{ .nobody.knows }}")}, gate.Ungated, "<no value>"},
		{"one that is on for Clusters that another patch refuses", "", vip + mode, []clusterv1.ClusterClassPatch{
			on(t, onInfra, `{{ if eq .mode "bgp" }}true{{ else }}{{ fail "refused" }}{{ end }}`, "", `{{ if eq .mode "arp" }}{{ .clusterVip }}{{ else }}none{{ end }}`),
		}, gate.Ungated, "no patch that is ever enabled takes variable clusterVip"},
		{"one that is on without the VIP alone, and fails then for some", "", variable("clusterVip", defaults) + sw, []clusterv1.ClusterClassPatch{
			on(t, onInfra, `{{ not .clusterVip }}`, "", `{{ if and .sw (not .clusterVip) }}{{ fail "x" }}{{ end }}none`),
		}, gate.Ungated, "if variable sw is false, the enabledIf of patch p is true"},
		{"workers of a class whose patch is off by default", "", vip + variable("no", "type: boolean, default: false"), []clusterv1.ClusterClassPatch{on(t, onSmall, "{{ .no }}", "clusterVip", "")}, gate.Ungated, "for workers of class small only"},
		{"the last of two that set the host leaves it null", "", variable("clusterVip", defaults), []clusterv1.ClusterClassPatch{
			must[clusterv1.ClusterClassPatch](t, "{name: p, definitions: [{selector: "+onInfra+", jsonPatches: [{op: add, path: "+hostPath+", valueFrom: {variable: clusterVip}}, {op: add, path: "+hostPath+", valueFrom: {template: '{{ .clusterVip }}'}}]}]}"),
		}, gate.Gated, ""},
		{"the other that sets the host is off", "", variable("clusterVip", defaults), []clusterv1.ClusterClassPatch{
			must[clusterv1.ClusterClassPatch](t, "{name: p, definitions: [{selector: "+onInfra+", jsonPatches: [{op: add, path: "+hostPath+", valueFrom: {template: '{{ .clusterVip }}'}}]}]}"),
			must[clusterv1.ClusterClassPatch](t, "{name: q, enabledIf: 'false', definitions: [{selector: "+onInfra+", jsonPatches: [{op: add, path: "+hostPath+", valueFrom: {variable: other}}]}]}"),
		}, gate.Gated, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClass(t, test.variables, test.patches...)
			if test.path != "" {
				c.Annotations = map[string]string{"vip.capi.gorizond.io/control-plane-variable": test.path}
			}
			got := inspect(c, "control-plane")
			if got.State != test.state || !strings.Contains(got.Why, test.why) || (test.why == "") != (got.Why == "") {
				t.Errorf("got %+v\nwant state %q, why %q", got, test.state, test.why)
			}
		})
	}
}

// Only versions are tried that a Cluster of the class may have.
func TestVersionsOfAClass(t *testing.T) {
	takes := on(t, onInfra, `{{ semverCompare ">= 1.30-0" .builtin.cluster.topology.version }}`, "clusterVip", "")
	c := newClass(t, variable("clusterVip", strict), takes)
	c.Spec.KubernetesVersions = []string{"v1.34.1", "v1.35.0"}
	if got := inspect(c, vip.ControlPlane); got.State != gate.Gated {
		t.Errorf("a class of newer versions: %+v", got)
	}
	c.Spec.KubernetesVersions = []string{"v1.29.1", "v1.35.0"}
	if got := inspect(c, vip.ControlPlane); got.State != gate.Ungated || !strings.Contains(got.Why, "if the version is v1.29.1") {
		t.Errorf("a class of older versions too: %+v", got)
	}
	c = newClass(t, variable("clusterVip", strict), on(t, onInfra, `{{ contains "+rke2" .builtin.cluster.topology.version }}`, "clusterVip", ""))
	c.Spec.ControlPlane.TemplateRef.Kind = "RKE2ControlPlaneTemplate"
	if got := inspect(c, vip.ControlPlane); got.State != gate.Gated {
		t.Errorf("a class of RKE2: %+v", got)
	}
}

// What the other role's variable is says nothing about this one.
func TestTheOtherRolesVariableIsThere(t *testing.T) {
	c := newClass(t, variable("clusterVip", strict)+variable("ingressVip", strict),
		on(t, onInfra, "", "clusterVip", ""), on(t, onInfra, `{{ if .clusterVip }}true{{ end }}`, "ingressVip", ""))
	if got := inspect(c, vip.Ingress); got.State != gate.Gated {
		t.Errorf("got %+v", got)
	}
}

func check(t *testing.T, got gate.Finding, state gate.State, why, patch string) {
	t.Helper()
	if got.State != state || got.Patch != patch || !strings.Contains(got.Why, why) || (why == "") != (got.Why == "") {
		t.Errorf("got %+v\nwant state %q, patch %q, why %q", got, state, patch, why)
	}
}

func TestAFieldOfAnObjectVariable(t *testing.T) {
	const (
		host     = "type: object, properties: {host: {type: string, minLength: 1}, port: {type: integer, default: 6443}}"
		fullName = "endpoint.host"
	)
	for _, test := range []struct {
		name, path string
		variables  string
		patch      clusterv1.ClusterClassPatch
		state      gate.State
		why        string
	}{
		{"of a required object", fullName, required("endpoint", host), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, ""},
		{"of an optional object", fullName, variable("endpoint", host), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, ""},
		{"that may be empty", fullName, required("endpoint", "type: object, properties: {host: {type: string}}"), on(t, onInfra, "", "endpoint.host", ""), gate.GatedUnlessEmpty, "minLength"},
		{"with a default", fullName, required("endpoint", `type: object, properties: {host: {type: string, default: ""}}`), on(t, onInfra, "", "endpoint.host", ""), gate.Ungated, `variable endpoint.host has the default ""`},
		{"with a default of its object", fullName, variable("endpoint", `type: object, default: {host: h}, properties: {host: {type: string}}`), on(t, onInfra, "", "endpoint.host", ""), gate.Ungated, `the default "h"`},
		{"with a default in the default of its object", fullName, variable("endpoint", `type: object, default: {}, properties: {host: {type: string, default: h}}`), on(t, onInfra, "", "endpoint.host", ""), gate.Ungated, `the default "h"`},
		{"that its object requires", fullName, required("endpoint", "type: object, required: [host], properties: {host: {type: string, minLength: 1}}"), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, "remove host from the required fields"},
		{"that its optional object requires", fullName, variable("endpoint", "type: object, required: [host], properties: {host: {type: string, minLength: 1}}"), on(t, onInfra, "", "endpoint", ""), gate.Gated, ""},
		{"that its optional object requires with others", fullName, variable("endpoint", "type: object, required: [host, port], properties: {host: {type: string, minLength: 1}, port: {type: integer}}"), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, ""},
		{"that its optional object requires with what is not written", fullName, variable("endpoint", "type: object, required: [host, scheme], properties: {host: {type: string, minLength: 1}, scheme: {type: string}}"), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, "requires scheme beside host"},
		{"that its optional object requires with a port that is no integer", fullName, variable("endpoint", "type: object, required: [host, port], properties: {host: {type: string, minLength: 1}, port: {type: string}}"), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, "requires port beside host"},
		{"whose object requires others", fullName, required("endpoint", "type: object, required: [port], properties: {host: {type: string, minLength: 1}, port: {type: integer}}"), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, ""},
		{"whose object is taken as a whole", fullName, required("endpoint", host), on(t, onInfra, "", "endpoint", ""), gate.Ungated, "takes the whole of variable endpoint, also without host"},
		{"that a template reads", fullName, required("endpoint", host), on(t, onInfra, "", "", "{{ .endpoint.host }}:{{ .endpoint.port }}"), gate.Ungated, "<no value>"},
		{"that a template guards", fullName, variable("endpoint", host), on(t, onInfra, `{{ if .endpoint.host }}true{{ else }}{{ fail "x" }}{{ end }}`, "endpoint", ""), gate.Gated, ""},
		{"beside the one that is taken", fullName, required("endpoint", host), on(t, onInfra, "", "endpoint.port", ""), gate.Ungated, "no patch that is ever enabled takes variable endpoint.host"},
		{"that does not exist", "endpoint.address", required("endpoint", host), on(t, onInfra, "", "endpoint.address", ""), gate.Gated, `its schema has no field "address"`},
		{"deep inside", "a.b.c", variable("a", "type: object, properties: {b: {type: object, properties: {c: {type: string, format: ipv4}}}}"), on(t, onInfra, "", "a.b.c", ""), gate.Gated, ""},
		{"below a string", "endpoint.host", variable("endpoint", loose), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, "no field"},
		{"that an object is named instead of", "endpoint", required("endpoint", host), on(t, onInfra, "", "endpoint.host", ""), gate.Gated, "its type is object, not string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClass(t, test.variables, test.patch)
			c.Annotations = map[string]string{vip.ControlPlane.VariableAnnotation(): test.path}
			got := inspect(c, vip.ControlPlane)
			if got.State != test.state || !strings.Contains(got.Why, test.why) || (test.why == "") != (got.Why == "") {
				t.Errorf("got %+v\nwant state %q, why %q", got, test.state, test.why)
			}
		})
	}
}

// A template that needs other variables is evaluated with samples of them.
func TestTemplatesOfOtherVariables(t *testing.T) {
	const others = `
- {name: servers, required: true, schema: {openAPIV3Schema: {type: array, minItems: 1, items: {type: object, required: [name], properties: {name: {type: string, minLength: 9}, port: {type: integer, default: 80}}}}}}
- {name: level, required: true, schema: {openAPIV3Schema: {type: integer, minimum: 5}}}
- {name: mode, schema: {openAPIV3Schema: {type: string, enum: [fast, slow]}}}
- {name: pools, schema: {openAPIV3Schema: {type: object, default: {a: {}}, additionalProperties: {type: object, properties: {size: {type: integer, default: 3}}}}}}
`
	for _, template := range []string{
		"{{ (index .servers 0).name | upper }} {{ .clusterVip }}",
		"{{ (index .servers 0).port | int }} {{ .clusterVip }}",
		"{{ add .level 1 }} {{ .clusterVip }}",
		"{{ .mode | upper }} {{ .clusterVip }}",
		"{{ .pools.a.size | int }} {{ .clusterVip }}",
		"{{ .builtin.cluster.network.pods | first | upper }} {{ .builtin.cluster.topology.version | upper }} {{ .clusterVip }}",
	} {
		c := newClass(t, others+variable("clusterVip", strict), on(t, onInfra, "", "servers[0].name", ""), on(t, onInfra, "", "", template))
		check(t, inspect(c, vip.ControlPlane), gate.Ungated, "<no value>", "p2")
	}
	// What is missing in a list does not depend on the VIP.
	c := newClass(t, others+variable("clusterVip", strict), on(t, onInfra, "", "servers[7].name", ""), on(t, onInfra, "", "servers[x]", ""))
	check(t, inspect(c, vip.ControlPlane), gate.Ungated, "no patch that is ever enabled", "")
}

func TestMachinePools(t *testing.T) {
	const onPools = "{apiVersion: b/v1, kind: BootstrapTemplate, matchResources: {machinePoolClass: {names: ['po*']}}}"
	c := newClass(t, variable("clusterVip", strict), on(t, onPools, "", "", "{{ .builtin.machinePool.class | upper }} {{ .clusterVip }}"))
	check(t, inspect(c, vip.ControlPlane), gate.Ungated, "selects no template", "")
	c.Spec.Workers.MachinePools = []clusterv1.MachinePoolClass{{Class: "pool", Bootstrap: clusterv1.MachinePoolClassBootstrapTemplate{
		TemplateRef: clusterv1.ClusterClassTemplateReference{APIVersion: "b/v1", Kind: "BootstrapTemplate", Name: "x"},
	}}}
	check(t, inspect(c, vip.ControlPlane), gate.Ungated, "<no value>", "p")
	// A Cluster need not have workers.
	c.Spec.Patches = append(c.Spec.Patches, on(t, onPools, "", "clusterVip", ""))
	check(t, inspect(c, vip.ControlPlane), gate.Ungated, "for workers of class pool only", "p")
	c.Spec.Patches = append(c.Spec.Patches, on(t, onInfra, "", "clusterVip", ""))
	check(t, inspect(c, vip.ControlPlane), gate.Gated, "", "p")
}

func TestTheRolesAreInspectedByThemselves(t *testing.T) {
	c := newClass(t, variable("clusterVip", strict)+variable("ingressVip", strict),
		on(t, onInfra, "", "clusterVip", ""), on(t, onControl, "", "", "{{ .ingressVip }} {{ .clusterVip }}"))
	check(t, inspect(c, vip.ControlPlane), gate.Gated, "", "p")
	check(t, inspect(c, vip.Ingress), gate.Ungated, "variable ingressVip has no value", "p2")

	both := newClass(t, variable("vips", "type: object, properties: {api: {type: string, minLength: 1}, web: {type: string, minLength: 1}}"),
		on(t, onInfra, "", "vips.api", ""), on(t, onInfra, "", "", "{{ .vips.web }}"))
	both.Annotations = map[string]string{vip.ControlPlane.VariableAnnotation(): "vips.api", vip.Ingress.VariableAnnotation(): "vips.web"}
	check(t, inspect(both, vip.ControlPlane), gate.Gated, "", "p")
	check(t, inspect(both, vip.Ingress), gate.Ungated, "<no value>", "p2")
}

func TestGuardsThatArePrintedInTheDocumentation(t *testing.T) {
	for _, byDefault := range []string{strict, loose, defaults} {
		c := newClass(t, variable("clusterVip", byDefault)+variable("ingressVip", byDefault),
			on(t, onInfra, writtenGuard, "", "{{ .clusterVip }}"), on(t, onInfra, ingressGuard, "", "{{ .ingressVip }}"))
		check(t, inspect(c, vip.ControlPlane), gate.Gated, "", "p")
		check(t, inspect(c, vip.Ingress), gate.Gated, "", "p2")
	}
	c := newClass(t, variable("clusterVip", strict)+variable("ingressVip", strict),
		on(t, onInfra, fails, "", "{{ .clusterVip }}"), on(t, onInfra, shortGuard, "ingressVip", ""))
	check(t, inspect(c, vip.ControlPlane), gate.Gated, "", "p")
	check(t, inspect(c, vip.Ingress), gate.Gated, "", "p2")
}

// Seen on Cluster API 1.14.2: "failed to calculate ignore paths: failed to retrieve
// spec.controlPlaneEndpoint.host: … <nil> is of the type <nil>, expected string".
func TestATemplateThatLeavesTheHostNull(t *testing.T) {
	const (
		host     = "/spec/template/spec/controlPlaneEndpoint/host"
		endpoint = "/spec/template/spec/controlPlaneEndpoint"
		external = "{name: remote, external: {generatePatchesExtension: x}}"
	)
	sets := func(name, selector, path, from string) string {
		return "{name: " + name + ", definitions: [{selector: " + selector + ", jsonPatches: [{op: add, path: " + path + ", valueFrom: {" + from + "}}]}]}"
	}
	plain := "template: '{{ .clusterVip }}'"
	for _, test := range []struct {
		name, variable string
		patches        []string
		state          gate.State
		why, patch     string
	}{
		{"with an empty default", defaults, []string{sets("p", onInfra, host, plain)}, gate.Gated, "", "p"},
		{"stated as empty", loose, []string{sets("p", onInfra, host, "template: '{{ with .clusterVip }}{{ . }}{{ end }}'")}, gate.Gated, "", "p"},
		{"in an object", defaults, []string{sets("p", onInfra, endpoint, "template: '{host: {{ .clusterVip }}, port: 6443}'")}, gate.Gated, "", "p"},
		{"and holds another patch", defaults, []string{sets("p", onInfra, host, plain), sets("q", onControl, "/x", plain)}, gate.Gated, "", "p"},
		{"without default", strict, []string{sets("p", onInfra, host, plain)}, gate.Ungated, "<no value>", "p"},
		{"in quotes", defaults, []string{sets("p", onInfra, host, `template: '"{{ .clusterVip }}"'`)}, gate.Ungated, "the default", "p"},
		{"in an object in quotes", defaults, []string{sets("p", onInfra, endpoint, `template: '{host: "{{ .clusterVip }}"}'`)}, gate.Ungated, "the default", "p"},
		{"by valueFrom.variable", defaults, []string{sets("p", onInfra, host, "variable: clusterVip")}, gate.Ungated, "the default", "p"},
		{"elsewhere", defaults, []string{sets("p", onInfra, "/spec/template/spec/host", plain)}, gate.Ungated, "the default", "p"},
		{"of the control plane", defaults, []string{sets("p", onControl, host, plain)}, gate.Ungated, "the default", "p"},
		{"beside a patch that sets it too", defaults, []string{sets("p", onInfra, host, plain), sets("q", onInfra, host, "variable: clusterVip")}, gate.Ungated, "the default", "p"},
		{"beside a patch that sets all", defaults, []string{sets("p", onInfra, host, plain), sets("q", onInfra, "/spec/template/spec", "template: '{}'")}, gate.Ungated, "the default", "p"},
		{"beside an external patch", defaults, []string{sets("p", onInfra, host, plain), external}, gate.Ungated, "the default", "p"},
	} {
		t.Run(test.name, func(t *testing.T) {
			patches := must[[]clusterv1.ClusterClassPatch](t, "["+strings.Join(test.patches, ", ")+"]")
			check(t, inspect(newClass(t, variable("clusterVip", test.variable), patches...), vip.ControlPlane), test.state, test.why, test.patch)
		})
	}
}

func TestExternalPatches(t *testing.T) {
	external := clusterv1.ClusterClassPatch{Name: "remote", External: &clusterv1.ExternalPatchDefinition{GeneratePatchesExtension: "x"}}
	own := must[[]clusterv1.ClusterClassVariable](t, variable("clusterVip", strict))[0]

	c := newClass(t, "[]", external)
	declare(c, own, "remote")
	check(t, inspect(c, vip.ControlPlane), gate.Gated, "only external patch remote can take variable clusterVip", "remote")

	// A patch in the class does not see what an extension declares.
	c = newClass(t, "[]", external, on(t, onInfra, "", "clusterVip", ""))
	declare(c, own, "remote")
	check(t, inspect(c, vip.ControlPlane), gate.Gated, "declare it in spec.variables too", "p2")

	c = newClass(t, variable("clusterVip", strict), external)
	check(t, inspect(c, vip.ControlPlane), gate.Ungated, "no patch that is ever enabled", "")

	c = newClass(t, variable("clusterVip", strict), external, on(t, onInfra, "", "clusterVip", ""))
	check(t, inspect(c, vip.ControlPlane), gate.Gated, "", "p2")

	c.Status.Variables[0].DefinitionsConflict = new(true)
	check(t, inspect(c, vip.ControlPlane), gate.Gated, "contradict each other", "p2")
}

// The examples are fragments; the templates around them are made of their selectors.
func TestTheExamplesAreGated(t *testing.T) {
	var demo clusterv1.ClusterClass
	for _, document := range bytes.Split(read(t, "clusterclass.yaml"), []byte("\n---\n")) {
		if bytes.Contains(document, []byte("kind: ClusterClass")) {
			demo = must[clusterv1.ClusterClass](t, string(document))
		}
	}
	reconcileVariables(&demo)
	check(t, inspect(&demo, vip.ControlPlane), gate.Gated, "", "controlPlaneEndpoint")
	check(t, inspect(&demo, vip.Ingress), gate.Gated, "", "ingressVIP")

	ingress := demo.Spec.Patches[len(demo.Spec.Patches)-1]
	for _, provider := range []string{"rke2", "kubeadm"} {
		fragment := must[clusterv1.ClusterClassSpec](t, string(read(t, provider+"/patches.yaml")))
		selector := fragment.Patches[0].Definitions[0].Selector
		c := demo.DeepCopy()
		c.Spec.ControlPlane.TemplateRef = clusterv1.ClusterClassTemplateReference{APIVersion: selector.APIVersion, Kind: selector.Kind, Name: "x"}
		// As the fragments say, the ingress VIP is taken as in the example of the whole class.
		c.Spec.Variables = slices.Concat(fragment.Variables, demo.Spec.Variables[1:2])
		c.Spec.Patches = slices.Concat(fragment.Patches, []clusterv1.ClusterClassPatch{ingress})
		reconcileVariables(c)
		check(t, inspect(c, vip.ControlPlane), gate.Gated, "", fragment.Patches[0].Name)
		check(t, inspect(c, vip.Ingress), gate.Gated, "", "ingressVIP")
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whatever else such a class does, without its default it waits.
func TestRemovingTheDefaultClosesAGateOfValueFrom(t *testing.T) {
	others := []clusterv1.ClusterClassPatch{
		on(t, onControl, "", "", "{{ .clusterVip }}"),
		on(t, onControl, "{{ if .clusterVip }}true{{ end }}", "clusterVip", ""),
		on(t, onWorkers, "", "", "{{ .clusterVip }} {{ .builtin.machineDeployment.name }}"),
		on(t, onControl, "", "", "{{ .nothing | upper }} {{ .clusterVip }}"),
		{Name: "remote", External: &clusterv1.ExternalPatchDefinition{}},
	}
	for _, byDefault := range []string{`""`, "192.0.2.1", "localhost"} {
		for chosen := range 1 << len(others) {
			var patches []clusterv1.ClusterClassPatch
			for i := range others {
				if chosen&(1<<i) != 0 {
					patches = append(patches, others[i])
				}
			}
			patches = append(patches, on(t, onInfra, "", "clusterVip", ""))
			open := newClass(t, variable("clusterVip", "type: string, default: "+byDefault), patches...)
			if got := inspect(open, vip.ControlPlane); chosen&8 == 0 && got.State != gate.Ungated {
				t.Errorf("default %s, patches %b: %+v", byDefault, chosen, got)
			}
			for schema, want := range map[string]gate.State{strict: gate.Gated, loose: gate.GatedUnlessEmpty} {
				closed := newClass(t, variable("clusterVip", schema), patches...)
				if got := inspect(closed, vip.ControlPlane); got.State != want && chosen&8 == 0 {
					t.Errorf("%s, patches %b: %+v", schema, chosen, got)
				}
			}
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	var patches []clusterv1.ClusterClassPatch
	for range 20 {
		patches = append(patches, on(b, onInfra, writtenGuard, "clusterVip", ""), on(b, onWorkers, "", "", "{{ .clusterVip }}"))
	}
	c := newClass(b, variable("clusterVip", loose), patches...)
	for b.Loop() {
		inspect(c, vip.ControlPlane)
	}
}

func FuzzInspect(f *testing.F) {
	for _, template := range []string{"", "{{ .clusterVip }}", "{{ . }}", "{{ range . }}{{ . }}{{ end }}", "{{ .a.b.c }}", writtenGuard, "{{ fail `x` }}", "{{ set .vips `a` `b` }}", "][", "{{"} {
		f.Add(template, template, "clusterVip", `{type: string, minLength: 1}`)
		f.Add(template, "", "vips.a.b", `{type: object, default: {a: {}}, properties: {a: {type: object, required: [b], properties: {b: {type: string}}}}}`)
		f.Add("", template, "vips[0].a", `{type: array, minItems: 1, items: {type: object}}`)
	}
	f.Add("", "", "a..b", `{type: array, default: [], enum: [1, null]}`)
	f.Fuzz(func(t *testing.T, enabledIf, template, path, schema string) {
		for _, risky := range []string{"repeat", "seq", "until", "rand", "gen", "range", "derive", "bcrypt", "htpasswd", "indent", "printf", "%"} {
			// The author of a class may burn time in its templates; that is not tested here.
			if strings.Contains(enabledIf+template, risky) {
				t.Skip()
			}
		}
		var props clusterv1.JSONSchemaProps
		if yaml.Unmarshal([]byte(schema), &props) != nil {
			t.Skip()
		}
		c := newClass(t, variable("other", "type: integer"), on(t, onInfra, enabledIf, path, ""), on(t, onWorkers, "", "", template))
		name, _, _ := strings.Cut(path, ".")
		c.Spec.Variables = append(c.Spec.Variables, clusterv1.ClusterClassVariable{Name: name, Schema: clusterv1.VariableSchema{OpenAPIV3Schema: props}})
		c.Annotations = map[string]string{vip.ControlPlane.VariableAnnotation(): path}
		reconcileVariables(c)
		for _, role := range vip.Roles() {
			if got := inspect(c, role); got.Why == "" && got.State != gate.Gated {
				t.Errorf("%s: %+v", role, got)
			}
		}
	})
}
