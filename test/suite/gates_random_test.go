package suite

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// sketch is a class made at random, and what its Clusters may differ in: whatever its
// patches ask for. None of them has the VIP of the role.
type sketch struct {
	role    role
	options []classOption
	// base is what every Cluster sets.
	base []clusterOption
	// differ names each difference as lint does.
	differ map[string]clusterOption
	// takesEmpty states "" as VIP; nil if the class does not take it.
	takesEmpty clusterOption
}

// drawer makes a sketch.
type drawer struct {
	*rand.Rand
	sketch
	path string // of the role's variable
	// vip is an expression that is true once the VIP is there.
	vip string
}

func drawClass(r *rand.Rand) sketch {
	d := &drawer{Rand: r, sketch: sketch{
		role: controlPlane, options: []classOption{open()}, differ: map[string]clusterOption{},
		base: []clusterOption{set("tier", "gold"), replicas(3)},
	}}
	if d.oneIn(4) {
		d.role = ingress
		d.options = append(d.options, declares(controlPlane.variable(), text))
		d.base = append(d.base, set(controlPlane.variable(), "192.0.2.99"))
	}
	d.declareVIP()
	d.options = append(d.options, switches...)
	if name, _, nested := strings.Cut(d.path, "."); d.oneIn(8) {
		d.options = append(d.options, requires(name))
		if nested {
			d.base = append(d.base, set(name, map[string]any{"port": 8443}))
		}
	}
	for i := range 1 + d.IntN(3) {
		d.options = append(d.options, d.patch(fmt.Sprintf("p%d", i)))
	}
	return d.sketch
}

// cluster is one with the differences.
func (s *sketch) cluster(names ...string) []clusterOption {
	options := slices.Clone(s.base)
	for _, name := range names {
		options = append(options, s.differ[name])
	}
	return options
}

// some draws a few of the differences.
func (s *sketch) some(r *rand.Rand) []string {
	names := slices.Sorted(maps.Keys(s.differ))
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:min(len(names), 1+r.IntN(3))]
}

// said are the differences that a sentence names.
func (s *sketch) said(sentence string) []string {
	sentence, _, _ = strings.Cut(sentence, "unless") // of what follows they have the contrary
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.differ)), func(name string) bool { return !strings.Contains(sentence, name) })
}

func (d *drawer) oneIn(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d *drawer, from ...T) T { return from[d.IntN(len(from))] }

// declareVIP declares the variable of the role: a string, or an object with a field for it.
func (d *drawer) declareVIP() {
	leaf := d.address()
	admitsEmpty := leaf.MinLength == nil && leaf.Format == "" && leaf.Pattern == "" && leaf.Enum == nil
	if !d.oneIn(3) {
		d.path, d.vip = d.role.variable(), "."+d.role.variable()
		d.options = append(d.options, declares(d.path, leaf))
		if admitsEmpty {
			d.takesEmpty = set(d.path, "")
		}
		return
	}
	d.path = "api.host"
	d.vip = pick(d, ".api.host", `(dig "api" "host" "" .)`)
	port := clusterv1.JSONSchemaProps{Type: "integer"}
	if d.oneIn(2) {
		port.Default = raw("6443")
	}
	object := clusterv1.JSONSchemaProps{Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"host": leaf, "port": port, "on": boolean("false")}}
	object.Required = pick(d, nil, nil, nil, []string{"port"}, []string{"host"}, []string{"host", "port"})
	if len(object.Required) == 0 {
		object.Default = pick(d, nil, raw("{}"), raw(`{"port": 7443}`), raw(`{"on": true}`))
	}
	d.options = append(d.options, declares("api", object), annotated(d.role.variableKey(), d.path))
	d.differ["variable api is {}"] = set("api", map[string]any{})
	d.differ["variable api.port is 8443"] = set("api", map[string]any{"port": 8443})
	d.differ["variable api.on is true"] = set("api", map[string]any{"port": 8443, "on": true})
	if admitsEmpty {
		d.takesEmpty = set("api", map[string]any{"host": "", "port": 8443})
	}
}

// address is the schema of an address.
func (d *drawer) address() clusterv1.JSONSchemaProps {
	plain := clusterv1.JSONSchemaProps{Type: "string"}
	switch schema := plain; d.IntN(12) {
	case 0:
		return plain
	case 1:
		schema.Default = raw(`""`)
		return schema
	case 2:
		schema.Default = raw(`"192.0.2.77"`)
		return schema
	case 3:
		schema.Format = pick(d, "ipv4", "ipv6", "ip")
		return schema
	case 4:
		schema.Enum = []apiextensionsv1.JSON{*raw(`"192.0.2.80"`), *raw(`"192.0.2.81"`)}
		return schema
	case 5:
		schema.Pattern = `^[0-9a-f.:]+$`
		return schema
	case 6:
		schema.MinLength, schema.MaxLength = ptr.To[int64](7), ptr.To[int64](39)
		return schema
	}
	return text
}

func boolean(value string) clusterv1.JSONSchemaProps {
	return clusterv1.JSONSchemaProps{Type: "boolean", Default: raw(value)}
}

// switches are the variables that patches ask for.
var switches = []classOption{
	declares("on", boolean("true")), declares("off", boolean("false")),
	declares("mode", clusterv1.JSONSchemaProps{Type: "string", Enum: []apiextensionsv1.JSON{*raw(`"arp"`), *raw(`"bgp"`), *raw(`"none"`)}, Default: raw(`"arp"`)}),
	declares("tier", clusterv1.JSONSchemaProps{Type: "string", Enum: []apiextensionsv1.JSON{*raw(`"gold"`), *raw(`"iron"`)}}), requires("tier"),
	declares("word", text),
	declares("count", clusterv1.JSONSchemaProps{Type: "integer", Minimum: ptr.To[int64](1), Maximum: ptr.To[int64](5), Default: raw("3")}),
	declares("list", clusterv1.JSONSchemaProps{Type: "array", Items: &clusterv1.JSONSchemaProps{Type: "string"}, Default: raw(`["a"]`)}),
	declares("nested", clusterv1.JSONSchemaProps{Type: "object", Default: raw("{}"), Properties: map[string]clusterv1.JSONSchemaProps{
		"on": boolean("false"), "deep": {Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"mode": {Type: "string", Default: raw(`"x"`)}}},
	}}),
}

// requires makes a variable one that every Cluster must set.
func requires(name string) classFunc {
	return func(c *clusterv1.ClusterClass) {
		for i := range c.Spec.Variables {
			if c.Spec.Variables[i].Name == name {
				c.Spec.Variables[i].Required = ptr.To(true)
			}
		}
	}
}

// question is what a template may ask about a Cluster, and the Clusters of which the answer
// may be another one than of a Cluster that sets nothing.
type question struct {
	expression string
	differ     map[string]clusterOption
}

type differ = map[string]clusterOption

// Questions of templates of any object, of the control plane's and of workers'.
var (
	questions = []question{
		{".on", differ{"variable on is false": set("on", false)}},
		{".off", differ{"variable off is true": set("off", true)}},
		{`(eq .mode "arp")`, modes},
		{`(eq .mode "bgp")`, modes},
		{`(eq .tier "gold")`, differ{`variable tier is "iron"`: set("tier", "iron")}},
		{".word", differ{`variable word is "sample"`: set("word", "sample")}},
		{`(eq (default "" .word) "kube-vip")`, differ{`variable word is "kube-vip"`: set("word", "kube-vip"), `variable word is "sample"`: set("word", "sample")}},
		{"(gt (int .count) 2)", differ{"variable count is 1": set("count", 1), "variable count is 5": set("count", 5)}},
		{"(lt (int .count) 3)", differ{"variable count is 1": set("count", 1), "variable count is 2": set("count", 2)}},
		{`(has "a" .list)`, differ{"variable list is []": set("list", []string{}), `variable list is ["sample"]`: set("list", []string{"sample"})}},
		{".list", differ{"variable list is []": set("list", []string{})}},
		{".nested.on", differ{"variable nested.on is true": set("nested", map[string]any{"on": true})}},
		{`(eq (dig "nested" "deep" "mode" "" .) "x")`, differ{
			`variable nested.deep is {"mode":"x"}`:  set("nested", map[string]any{"deep": map[string]any{}}),
			`variable nested.deep.mode is "sample"`: set("nested", map[string]any{"deep": map[string]any{"mode": "sample"}}),
			`variable nested.deep.mode is "x"`:      set("nested", map[string]any{"deep": map[string]any{"mode": "x"}}),
		}},
		{`(semverCompare ">= 1.30-0" .builtin.cluster.topology.version)`, older},
		{`(semverCompare "< 1.30-0" .builtin.cluster.topology.version)`, older},
		{`(dig "cluster" "network" "serviceDomain" "" .builtin)`, differ{"the Cluster has a network": networked()}},
		{`(dig "cluster" "metadata" "annotations" "site" "" .builtin)`, annotations},
		{`(index .builtin.cluster.metadata.annotations "site")`, annotations},
		{`(index .builtin.cluster.metadata.labels "site")`, differ{"site: sample is among the labels": labelled("site", "sample")}},
	}
	ofControlPlane = []question{
		{"(gt (int .builtin.controlPlane.replicas) 1)", fewer},
		{"(lt (int .builtin.controlPlane.replicas) 3)", fewer},
		{`(semverCompare "< 1.30-0" .builtin.controlPlane.version)`, older},
	}
	ofWorkers = []question{
		{`(eq .builtin.machineDeployment.class "small")`, nil},
		{"(gt (int .builtin.machineDeployment.replicas) 1)", nil},
	}

	modes       = differ{`variable mode is "bgp"`: set("mode", "bgp"), `variable mode is "none"`: set("mode", "none"), `variable mode is "arp"`: set("mode", "arp")}
	older       = differ{"the version is v1.28.0": version("v1.28.0"), "the version is v1.99.0": version("v1.99.0")}
	fewer       = differ{"the number of replicas is 1": replicas(1), "the number of replicas is 5": replicas(5), "the number of replicas is not set": replicasUnset()}
	annotations = differ{"site: sample is among the annotations": annotated("site", "sample"), "sample: sample is among the annotations": annotated("sample", "sample")}
)

func replicasUnset() clusterFunc {
	return func(c *clusterv1.Cluster) { c.Spec.Topology.ControlPlane.Replicas = nil }
}

func version(v string) clusterFunc { return func(c *clusterv1.Cluster) { c.Spec.Topology.Version = v } }

func networked() clusterFunc {
	return func(c *clusterv1.Cluster) { c.Spec.ClusterNetwork.ServiceDomain = "cluster.local" }
}

// staffed gives the Cluster a group of workers of each class.
func staffed(classes ...string) clusterFunc {
	return func(c *clusterv1.Cluster) {
		c.Spec.Topology.Workers.MachineDeployments = nil
		for _, class := range classes {
			c.Spec.Topology.Workers.MachineDeployments = append(c.Spec.Topology.Workers.MachineDeployments,
				clusterv1.MachineDeploymentTopology{Class: class, Name: class, Replicas: ptr.To[int32](0)})
		}
	}
}

// staff gives the class two classes of workers.
func staff() classFunc {
	return func(c *clusterv1.ClusterClass) {
		c.Spec.Workers.MachineDeployments = nil
		for _, name := range []string{"small", "large"} {
			c.Spec.Workers.MachineDeployments = append(c.Spec.Workers.MachineDeployments, clusterv1.MachineDeploymentClass{
				Class:          name,
				Bootstrap:      clusterv1.MachineDeploymentClassBootstrapTemplate{TemplateRef: template("controlplane", "DemoControlPlaneTemplate")},
				Infrastructure: clusterv1.MachineDeploymentClassInfrastructureTemplate{TemplateRef: template("infrastructure", "DemoClusterTemplate")},
			})
		}
	}
}

// ask returns a question's expression, and sees to it that there are Clusters with other answers.
func (d *drawer) ask(also []question) string {
	q := pick(d, append(slices.Clone(questions), also...)...)
	maps.Copy(d.differ, q.differ)
	return q.expression
}

// patch takes the VIP, or fails over it, in one or two definitions.
func (d *drawer) patch(name string) classFunc {
	patch := clusterv1.ClusterClassPatch{Name: name}
	var also []question
	switch d.IntN(6) {
	case 0, 1, 2:
		patch.Definitions = append(patch.Definitions, d.definition("infrastructure"))
	case 3, 4:
		patch.Definitions, also = append(patch.Definitions, d.definition("controlplane")), ofControlPlane
	case 5:
		patch.Definitions, also = append(patch.Definitions, d.definition("workers")), ofWorkers
	}
	if d.oneIn(4) {
		patch.Definitions, also = append(patch.Definitions, d.definition(pick(d, "infrastructure", "controlplane"))), nil
	}
	patch.EnabledIf = d.enabledIf(also)
	return func(c *clusterv1.ClusterClass) { c.Spec.Patches = append(c.Spec.Patches, patch) }
}

func (d *drawer) enabledIf(also []question) string {
	switch d.IntN(16) {
	case 0, 1, 2, 3:
		return ""
	case 4:
		return "{{ " + d.ask(also) + " }}"
	case 5:
		return "{{ not " + d.ask(also) + " }}"
	case 6:
		return "{{ if " + d.ask(also) + " }}true{{ end }}"
	case 7:
		return "{{ if and " + d.ask(also) + " " + d.ask(also) + " }}true{{ end }}"
	case 8:
		return "{{ if or " + d.ask(also) + " (not " + d.ask(also) + ") }}true{{ end }}"
	case 9:
		return "{{ if " + d.ask(also) + ` }}true{{ else }}{{ fail "refused" }}{{ end }}`
	case 10:
		return "{{ if " + d.vip + ` }}true{{ else }}{{ fail "no VIP" }}{{ end }}`
	case 11:
		return "{{ if and " + d.ask(also) + " (not " + d.vip + `) }}{{ fail "no VIP" }}{{ end }}true`
	case 12:
		return "{{ if " + pick(d, "", "not ") + d.vip + " }}true{{ end }}"
	case 13:
		return "{{ if and " + d.ask(also) + " " + d.vip + " }}true{{ end }}"
	case 14:
		return "false"
	}
	if d.role == controlPlane {
		return "{{ if " + d.vip + ` }}true{{ else if eq (dig "cluster" "metadata" "annotations" "vip.capi.gorizond.io/control-plane-written" "" .builtin) "none" }}false{{ else }}{{ fail "no VIP" }}{{ end }}`
	}
	return pick(d,
		`{{$a := dig "cluster" "metadata" "annotations" dict .builtin}}{{if `+d.vip+`}}true{{else if ne (get $a "vip.capi.gorizond.io/ingress-enabled") "false"}}{{fail "no VIP"}}{{end}}`,
		`{{$a := dig "cluster" "metadata" "annotations" dict .builtin}}{{if `+d.vip+`}}true{{else if and (ne (get $a "vip.capi.gorizond.io/ingress-enabled") "false") (ne (get $a "vip.capi.gorizond.io/ingress-written") "none")}}{{fail "no"}}{{end}}`)
}

// definition patches a template of the kind.
func (d *drawer) definition(kind string) clusterv1.PatchDefinition {
	selector := clusterv1.PatchSelector{APIVersion: "controlplane.cluster.x-k8s.io/v1beta2", Kind: "DemoControlPlaneTemplate"}
	path, also := "/spec/template/spec/note", []question(nil)
	switch kind {
	case "infrastructure":
		selector = clusterv1.PatchSelector{APIVersion: "infrastructure.cluster.x-k8s.io/v1beta2", Kind: "DemoClusterTemplate"}
		selector.MatchResources.InfrastructureCluster = ptr.To(true)
		path = "/spec/template/spec/build"
	case "controlplane":
		selector.MatchResources.ControlPlane, also = ptr.To(true), ofControlPlane
	case "workers":
		selector.MatchResources.MachineDeploymentClass = &clusterv1.PatchSelectorMatchMachineDeploymentClass{Names: pick(d, []string{"small"}, []string{"*"}, []string{"s*", "*e"})}
		also = ofWorkers
		d.options = append(d.options, staff())
		d.differ["workers of small"] = staffed("small")
		d.differ["workers of all classes"] = staffed("small", "large")
	}
	var patches []clusterv1.JSONPatch
	for i := range 1 + d.IntN(2) {
		at := fmt.Sprint(path, i)
		if kind == "infrastructure" && i == 0 && d.oneIn(4) {
			at = "/spec/template/spec/controlPlaneEndpoint/host"
		}
		patches = append(patches, clusterv1.JSONPatch{Op: "add", Path: at, ValueFrom: ptr.To(d.value(also, strings.HasSuffix(at, "/host")))})
	}
	return clusterv1.PatchDefinition{Selector: selector, JSONPatches: patches}
}

// value is what a patch takes. A host is a string, or nothing.
func (d *drawer) value(also []question, host bool) clusterv1.JSONPatchValue {
	shown := "{{ " + d.vip + " }}"
	switch n := d.IntN(14); {
	case n < 5:
		return clusterv1.JSONPatchValue{Variable: d.path}
	case n == 5:
		return clusterv1.JSONPatchValue{Template: shown}
	case n == 6:
		return clusterv1.JSONPatchValue{Template: `"` + shown + `"`}
	case n == 7:
		return clusterv1.JSONPatchValue{Template: "{{ if " + d.vip + " }}" + shown + `{{ else }}{{ fail "no VIP" }}{{ end }}`}
	case n == 8:
		return clusterv1.JSONPatchValue{Template: pick(d, "{{ with "+d.vip+" }}{{ . }}{{ end }}", "{{ "+d.vip+` | default "auto" }}`)}
	case n == 9:
		return clusterv1.JSONPatchValue{Template: "{{ if " + d.ask(also) + " }}" + shown + "{{ else }}none{{ end }}"}
	case n == 10:
		return clusterv1.JSONPatchValue{Template: "{{ if and " + d.ask(also) + " (not " + d.vip + `) }}{{ fail "no VIP" }}{{ end }}none`}
	case host:
		return clusterv1.JSONPatchValue{Variable: d.path}
	case n == 11:
		name, _, _ := strings.Cut(d.path, ".")
		return clusterv1.JSONPatchValue{Variable: name}
	case n == 12:
		d.differ[`variable word is "sample"`] = set("word", "sample")
		return clusterv1.JSONPatchValue{Variable: pick(d, "mode", "nested.on", "word", "list[0]")}
	default:
		return clusterv1.JSONPatchValue{Template: pick(d, "{{ .mode }}", "{{ .builtin.cluster.name }}", "{{ .nested.on }}")}
	}
}
