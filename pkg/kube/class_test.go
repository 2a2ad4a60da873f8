package kube_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// class returns a class whose status declares the variable clusterVip with the schema.
func class(t *testing.T, schema string) *clusterv1.ClusterClass {
	t.Helper()
	c := parse[clusterv1.ClusterClass](t, `
metadata: {name: rke2, namespace: team-a, generation: 2}
status:
  observedGeneration: 2
  conditions:
  - {type: VariablesReady, status: "True", reason: R, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}
  variables:
  - name: other
    definitions: [{from: inline, required: false, schema: {openAPIV3Schema: {type: string}}}]
  - name: clusterVip
    definitionsConflict: false
    definitions: [{from: inline, required: false, schema: {openAPIV3Schema: {type: string}}}]
`)
	c.Status.Variables[1].Definitions[0].Schema.OpenAPIV3Schema = *parse[clusterv1.JSONSchemaProps](t, schema)
	return c
}

func TestAClassThatDoesNotExist(t *testing.T) {
	if view := kube.Class(nil); view.Exists || view.Ready || view.Roles[vip.ControlPlane].Declared {
		t.Errorf("%+v", view)
	}
}

func TestAClassIsReadyOnceItsVariablesAre(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*clusterv1.ClusterClass)
		want bool
	}{
		"current":                  {func(*clusterv1.ClusterClass) {}, true},
		"an older generation seen": {func(c *clusterv1.ClusterClass) { c.Generation = 3 }, false},
		"variables not ready":      {func(c *clusterv1.ClusterClass) { c.Status.Conditions[0].Status = "False" }, false},
		"variables unknown":        {func(c *clusterv1.ClusterClass) { c.Status.Conditions[0].Status = "Unknown" }, false},
		"no condition yet":         {func(c *clusterv1.ClusterClass) { c.Status.Conditions = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := class(t, "type: string")
			test.edit(c)
			if view := kube.Class(c); view.Ready != test.want || !view.Exists {
				t.Errorf("%+v", view)
			}
		})
	}
}

func TestClassVariablesComeFromTheStatus(t *testing.T) {
	c := class(t, "type: string")
	c.Spec.Variables = []clusterv1.ClusterClassVariable{{Name: "ingressVip"}}
	view := kube.Class(c)
	if !view.Roles[vip.ControlPlane].Declared || view.Roles[vip.Ingress].Declared {
		t.Errorf("%+v", view.Roles)
	}
	if !view.Declares["other"] || !view.Declares["clusterVip"] || len(view.Declares) != 2 {
		t.Errorf("declares %v", view.Declares)
	}
}

func TestTheVariableOfARole(t *testing.T) {
	c := class(t, "type: string")
	if got := kube.VariablePath(c, vip.ControlPlane) + " " + kube.VariablePath(c, vip.Ingress); got != "clusterVip ingressVip" {
		t.Errorf("defaults: %s", got)
	}
	c.Annotations = map[string]string{vip.ControlPlane.VariableAnnotation(): " controlPlaneEndpoint.host ", vip.Ingress.VariableAnnotation(): " "}
	if got := kube.VariablePath(c, vip.ControlPlane) + " " + kube.VariablePath(c, vip.Ingress); got != "controlPlaneEndpoint.host ingressVip" {
		t.Errorf("by annotation: %s", got)
	}
}

func TestTheSchemaOfTheVariable(t *testing.T) {
	const object = "{type: object, properties: {host: {type: string, minLength: 1}, port: {type: integer}, deep: {type: object, properties: {er: {type: string, default: deeper}}}}}"
	long := "{type: string, enum: [\"" + strings.Repeat("10.0.0.9\", \"", 3) + "10.0.0.8\"]}"
	for _, test := range []struct {
		name, path, schema string
		problem, byDefault string
		admitted, refused  string
	}{
		{name: "any string", schema: "type: string", admitted: "10.0.0.1"},
		{name: "no type at all", schema: "{}", admitted: "10.0.0.1"},
		{name: "a number", schema: "type: integer", problem: "its type is integer, not string"},
		{name: "an object", schema: object, problem: "its type is object, not string"},
		{name: "a field of an object", path: "clusterVip.host", schema: object, admitted: "10.0.0.1", refused: "?"},
		{name: "a field of the wrong type", path: "clusterVip.port", schema: object, problem: "its type is integer, not string"},
		{name: "a field that does not exist", path: "clusterVip.address", schema: object, problem: `its schema has no field "address"`},
		{name: "a field of a string", path: "clusterVip.host", schema: "type: string", problem: `its schema has no field "host"`},
		{name: "a field of a field", path: "clusterVip.deep.er", schema: object, byDefault: "deeper", admitted: "10.0.0.1"},
		{name: "a field of an object that may hold anything", path: "clusterVip.host", schema: "{type: object, x-kubernetes-preserve-unknown-fields: true}", admitted: "10.0.0.1"},
		{name: "a deep field of one", path: "clusterVip.a.b.c", schema: "{type: object, properties: {a: {type: object, x-kubernetes-preserve-unknown-fields: true}}}", admitted: "10.0.0.1"},
		{
			name: "a field of a map", path: "clusterVip.lan", schema: "{type: object, additionalProperties: {type: string, format: ipv4}}",
			admitted: "10.0.0.1", refused: "fd00::1",
		},
		{name: "an entry of a list", path: "clusterVip[0].vip", schema: "{type: array, items: {type: object}}", problem: `"clusterVip" is a list, and an address in a list is not written`},
		{name: "an entry of a list in an object", path: "clusterVip.nets[0].vip", schema: object, problem: `"clusterVip.nets" is a list, and an address in a list is not written`},
		{name: "an enum", schema: long, admitted: "10.0.0.8", refused: "10.0.0.1"},
		{name: "a pattern", schema: `{type: string, pattern: '^10\.'}`, admitted: "10.0.0.1", refused: "192.168.0.1"},
		{name: "a length", schema: "{type: string, minLength: 1, maxLength: 10}", admitted: "10.0.0.1", refused: "192.168.100.1"},
		{name: "a format", schema: "{type: string, format: ipv4}", admitted: "10.0.0.1", refused: "fd00::1"},
		{name: "an empty default", schema: `{type: string, default: ""}`, admitted: "10.0.0.1"},
		{name: "a default", schema: "{type: string, default: 10.0.0.9}", byDefault: "10.0.0.9", admitted: "10.0.0.1"},
		{name: "a default of the object", path: "clusterVip.host", schema: "{type: object, default: {host: h}, properties: {host: {type: string}}}", byDefault: "h"},
		{
			name: "a default of the object that leaves the field out", path: "clusterVip.host",
			schema: "{type: object, default: {port: 1}, properties: {host: {type: string}}}",
		},
		{
			name: "a default of an object that may hold anything", path: "clusterVip.host",
			schema: "{type: object, default: {host: h}, x-kubernetes-preserve-unknown-fields: true}", byDefault: "h",
		},
		{name: "a default of the wrong type", schema: "{type: string, default: 7}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := class(t, test.schema)
			if test.path != "" {
				c.Annotations = map[string]string{vip.ControlPlane.VariableAnnotation(): test.path}
			}
			view := kube.Class(c).Roles[vip.ControlPlane]
			if !view.Declared || view.Problem != test.problem || view.Default != test.byDefault {
				t.Errorf("declared %v, problem %q, default %q", view.Declared, view.Problem, view.Default)
			}
			if test.admitted != "" {
				if err := view.Admits(test.admitted); err != nil {
					t.Errorf("refuses %s: %v", test.admitted, err)
				}
			}
			if refused := strings.TrimPrefix(test.refused, "?"); test.refused != "" {
				// Twice, since the validator is made once.
				for range 2 {
					if err := view.Admits(refused); err == nil {
						t.Errorf("takes %q", refused)
					}
				}
			}
		})
	}
}

func TestDefinitionsOfAVariableThatContradictEachOther(t *testing.T) {
	c := class(t, "type: string")
	c.Status.Variables[1].DefinitionsConflict = new(true)
	if view := kube.Class(c).Roles[vip.ControlPlane]; !view.Declared || view.Problem == "" {
		t.Errorf("%+v", view)
	}
	c.Status.Variables[1].Definitions = nil
	if view := kube.Class(c).Roles[vip.ControlPlane]; view.Declared {
		t.Errorf("a variable without definition is declared: %+v", view)
	}
}

// Defaulting sets the field of an object that is there, so its own default counts
// beside one of the object.
func TestAFieldThatTheDefaultOfItsObjectLeavesOutHasItsOwnDefault(t *testing.T) {
	c := class(t, "{type: object, default: {}, properties: {host: {type: string, default: h}}}")
	c.Annotations = map[string]string{vip.ControlPlane.VariableAnnotation(): "clusterVip.host"}
	if got := kube.Class(c).Roles[vip.ControlPlane].Default; got != "h" {
		t.Errorf("default %q, want h", got)
	}
}

// A pattern that would take a hundred megabytes is left to the API server.
func TestCostlyPatternsAreNotCompiled(t *testing.T) {
	costly := "(" + strings.Repeat("a", 3000) + "){1000}"
	for _, test := range []struct {
		schema  string
		refuses bool
	}{
		{`{type: string, pattern: "^10[.]"}`, true},
		{`{type: string, pattern: "^(10[.]){1,100}"}`, true},
		{`{type: string, pattern: "` + costly + `"}`, false},
		{`{type: string, allOf: [{pattern: "` + costly + `"}], anyOf: [{not: {oneOf: [{pattern: "` + costly + `"}, {}]}}, {}]}`, false},
		{`{type: string, minLength: 100, allOf: [{pattern: "^1"}, {pattern: "^192"}]}`, true},
		{`{type: string, allOf: [{pattern: "^1"}, {pattern: "^192"}]}`, false},
		{`{type: string, allOf: [{pattern: "^1"}, {pattern: "^10[.]"}]}`, true},
		{`{type: string, not: {pattern: "` + costly + `"}}`, false},
		{`{type: string, not: {pattern: "^10[.]"}}`, false},
		{`{type: string, minLength: 100, pattern: "` + costly + `"}`, true},
		{`{type: string, minLength: 100, anyOf: [{pattern: "^10[.]"}, {pattern: "^192[.]"}]}`, true},
		{`{type: string, format: ipv6, not: {pattern: "^10[.]"}}`, true},
		{`{type: string, enum: [a], oneOf: [{pattern: "^10[.]"}, {minLength: 1}]}`, true},
		{`{type: string, allOf: [` + strings.Repeat(`{pattern: "(.?.?.?.?.?.?.?.?){0,1000}N?"}, `, 100) + `{}]}`, false},
	} {
		admits := kube.Class(class(t, test.schema)).Roles[vip.ControlPlane].Admits
		if testing.AllocsPerRun(1, func() { _ = admits("192.0.2.1") }) > 100_000 {
			t.Errorf("%.80s: takes much memory", test.schema)
		}
		if err := admits("192.0.2.1"); (err != nil) != test.refuses {
			t.Errorf("%.80s: %v", test.schema, err)
		}
	}
}

func TestOneVariableForBothRoles(t *testing.T) {
	c := class(t, "type: string")
	c.Annotations = map[string]string{vip.Ingress.VariableAnnotation(): "clusterVip"}
	view := kube.Class(c)
	if cp, ingress := view.Roles[vip.ControlPlane], view.Roles[vip.Ingress]; cp.Shared || cp.Problem != "" || !ingress.Shared || ingress.Problem != "" {
		t.Errorf("control plane %+v, ingress %+v", cp, ingress)
	}
}

func TestAVariableOfANearName(t *testing.T) {
	for declared, near := range map[string]string{"clusterVIP": "clusterVIP", "cluster-vip": "cluster-vip", "cluster_vip": "cluster_vip", "clusterVips": "", "vip": ""} {
		c := class(t, "type: string")
		for i := range c.Status.Variables {
			if c.Status.Variables[i].Name == "clusterVip" {
				c.Status.Variables[i].Name = declared
			}
		}
		if view := kube.Class(c).Roles[vip.ControlPlane]; view.Declared || view.Near != near {
			t.Errorf("%s: declared %v, near %q, want %q", declared, view.Declared, view.Near, near)
		}
	}
}

func TestAVariableOfAnotherUseIsNotNear(t *testing.T) {
	c := class(t, "type: string")
	for i := range c.Status.Variables {
		if c.Status.Variables[i].Name == "clusterVip" {
			c.Status.Variables[i].Name = "clusterVIP"
		}
	}
	c.Annotations = map[string]string{vip.Ingress.VariableAnnotation(): "clusterVIP"}
	if near := kube.Class(c).Roles[vip.ControlPlane].Near; near != "" {
		t.Errorf("near is %s", near)
	}
}

func TestThePortOfTheEndpoint(t *testing.T) {
	const object = "{type: object, properties: {host: {type: string}, port: {type: integer, maximum: 9000%s}}}"
	for _, test := range []struct {
		name, path, port, schema string
		want                     vip.ClassPort
	}{
		{name: "nowhere", schema: "type: string"},
		{name: "beside the host", path: "clusterVip.host", schema: fmt.Sprintf(object, ""), want: vip.ClassPort{Beside: true}},
		{name: "beside it with a default", path: "clusterVip.host", schema: fmt.Sprintf(object, ", default: 8443"), want: vip.ClassPort{Beside: true, BesideDefault: 8443}},
		{name: "of another type", path: "clusterVip.host", schema: "{type: object, properties: {host: {type: string}, port: {type: string}}}"},
		{name: "not known of what may hold anything", path: "clusterVip.host", schema: "{type: object, x-kubernetes-preserve-unknown-fields: true}"},
		{name: "in a variable of its own", port: "clusterVip", schema: `{type: string, default: "8443"}`, want: vip.ClassPort{Variable: "clusterVip", Default: 8443}},
		{name: "in a field", port: " clusterVip.port ", schema: fmt.Sprintf(object, ", default: 8443"), want: vip.ClassPort{Variable: "clusterVip.port", Default: 8443}},
		{
			name: "in a field of an object that has a default", port: "clusterVip.port", schema: "{type: object, default: {}, properties: {port: {type: integer, default: 8443}}}",
			want: vip.ClassPort{Variable: "clusterVip.port", Default: 8443},
		},
		{name: "that is none", port: "clusterVip", schema: "{type: integer, default: 70000}", want: vip.ClassPort{Variable: "clusterVip"}},
		{name: "that is not declared", port: "gone", schema: "type: string", want: vip.ClassPort{Variable: "gone"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := class(t, test.schema)
			c.Annotations = map[string]string{vip.ControlPlane.VariableAnnotation(): test.path, vip.PortVariableAnnotation: test.port}
			got := kube.Class(c).Port
			if admits := got.Admits; test.want.Beside && (admits(8443) != nil || admits(9443) == nil) {
				t.Errorf("8443: %v, 9443: %v", admits(8443), admits(9443))
			}
			got.Admits = nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
