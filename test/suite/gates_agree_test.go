package suite

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"
)

var (
	gateSeed    = flag.Uint64("gate-seed", 1, "of the classes that TestWhatIsSaidOfGatesIsSo makes")
	gateClasses = flag.Int("gate-classes", 100, "how many classes TestWhatIsSaidOfGatesIsSo makes")
)

// What lint says of a class is what Cluster API does with its Clusters: it builds none of
// them without the VIP, or it builds some. The classes are made at random, and each has
// Clusters that differ in everything that its patches ask for.
func TestWhatIsSaidOfGatesIsSo(t *testing.T) {
	w := newWorld(t)
	r := rand.New(rand.NewPCG(*gateSeed, 0)) //nolint:gosec // it is to repeat itself
	var classes []*class
	for range *gateClasses {
		classes = append(classes, w.draftClass(randomClass(r)...))
	}
	said := w.lintGates(classes)
	for _, k := range classes {
		k.create()
	}
	for _, k := range classes {
		k.awaitReady()
	}
	type trial struct {
		what string
		*cluster
	}
	trials := map[*class][]trial{}
	for _, k := range classes {
		for what, options := range newcomers(k) {
			trials[k] = append(trials[k], trial{what, w.cluster(k, append(options, labelled(watchFilterLabel, "nobody"))...)})
		}
	}
	states := map[string]int{}
	for _, k := range classes {
		var without []string
		for _, c := range trials[k] {
			if c.builtWithoutVIP() {
				without = append(without, c.what)
			}
		}
		gated := said[k.name] == ""
		states[fmt.Sprintf("gated %v", gated)]++
		if gated != (len(without) == 0) {
			text, _ := yaml.Marshal(map[string]any{"variables": k.draft.Spec.Variables, "patches": k.draft.Spec.Patches})
			t.Errorf("lint says %q, and built without the VIP is: %q\n%s", said[k.name], without, text)
		}
	}
	t.Logf("seed %d: %v", *gateSeed, states)
}

// lintGates returns what lint says of the gates of the classes, by name; nothing of one
// that is gated.
func (w *world) lintGates(classes []*class) map[string]string {
	w.t.Helper()
	var all strings.Builder
	for _, k := range classes {
		text, err := yaml.Marshal(k.draft)
		if err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintf(&all, "---\n%s", text)
	}
	file := filepath.Join(w.t.TempDir(), "classes.yaml")
	if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	output, _ := w.cli("", "lint", file) // it fails where a class is ungated
	said := map[string]string{}
	for line := range strings.Lines(output) {
		if _, finding, found := strings.Cut(line, "[class-gate] ClusterClass "); found {
			name, why, _ := strings.Cut(strings.TrimPrefix(finding, w.namespace+"/"), ": ")
			said[name] = strings.TrimSpace(why)
		}
		if strings.Contains(line, "[class-unclear]") {
			w.t.Errorf("lint is not sure: %s", line)
		}
	}
	return said
}

// conditions are enabledIfs over the variables of randomClass.
var conditions = []string{
	"", "", "{{ .on }}", "{{ not .on }}", "{{ .off }}", "{{ not .off }}", `{{ eq .mode "arp" }}`, `{{ ne .mode "arp" }}`, `{{ eq .mode "bgp" }}`,
	`{{ if .word }}true{{ end }}`, `{{ not .word }}`, `{{ eq (default "" .word) "kube-vip" }}`, "{{ .nested.on }}", "{{ not .nested.on }}",
	`{{ semverCompare ">= 1.30-0" .builtin.cluster.topology.version }}`, `{{ semverCompare "< 1.30-0" .builtin.cluster.topology.version }}`,
	`{{ and .on (eq .mode "arp") }}`, `{{ or .off (eq .mode "arp") }}`, "false",
	`{{ if .clusterVip }}true{{ else }}{{ fail "no VIP" }}{{ end }}`, `{{ if .clusterVip }}true{{ end }}`, `{{ if not .clusterVip }}true{{ end }}`,
	`{{ if and .off (not .clusterVip) }}{{ fail "no VIP" }}{{ end }}true`,
}

// randomClass has variables to switch patches with, and one to three patches that take the
// VIP, or fail over it.
func randomClass(r *rand.Rand) []classOption {
	boolean := func(value string) clusterv1.JSONSchemaProps {
		return clusterv1.JSONSchemaProps{Type: "boolean", Default: raw(value)}
	}
	vip := text
	if r.IntN(4) == 0 {
		vip.MinLength = nil
	}
	options := []classOption{
		open(), declares("clusterVip", vip), declares("on", boolean("true")), declares("off", boolean("false")),
		declares("mode", clusterv1.JSONSchemaProps{Type: "string", Enum: []apiextensionsv1.JSON{*raw(`"arp"`), *raw(`"bgp"`), *raw(`"none"`)}, Default: raw(`"arp"`)}),
		declares("word", clusterv1.JSONSchemaProps{Type: "string", MinLength: ptr.To[int64](1)}),
		declares("nested", clusterv1.JSONSchemaProps{Type: "object", Default: raw("{}"), Properties: map[string]clusterv1.JSONSchemaProps{"on": boolean("false")}}),
	}
	for i := range 1 + r.IntN(3) {
		from := clusterv1.JSONPatchValue{Variable: "clusterVip"}
		switch r.IntN(5) {
		case 0:
			from = clusterv1.JSONPatchValue{Template: "{{ .clusterVip }}"}
		case 1:
			from = clusterv1.JSONPatchValue{Template: `{{ if .clusterVip }}"{{ .clusterVip }}"{{ else }}{{ fail "no VIP" }}{{ end }}`}
		}
		group, path := "infrastructure", "/spec/template/spec/build"
		if r.IntN(3) == 0 {
			group, path = "controlplane", "/spec/template/spec/files"
			from.Template = strings.ReplaceAll(from.Template, "{{ .clusterVip }}", "[{{ .clusterVip }}]")
		}
		options = append(options, patched(fmt.Sprintf("p%d", i), conditions[r.IntN(len(conditions))], group, path, from))
	}
	return options
}

// newcomers are Clusters of the class that name no VIP.
func newcomers(k *class) map[string][]clusterOption {
	asked, _ := json.Marshal(k.draft.Spec.Patches)
	version := func(v string) clusterFunc {
		return func(c *clusterv1.Cluster) { c.Spec.Topology.Version = v }
	}
	all := map[string][]clusterOption{
		"on is false": {set("on", false)}, "off is true": {set("off", true)}, "mode is bgp": {set("mode", "bgp")}, "mode is none": {set("mode", "none")},
		"word is kube-vip": {set("word", "kube-vip")}, "word is other": {set("word", "other")}, "nested.on is true": {set("nested", map[string]any{"on": true})},
		"version is v1.20.0": {version("v1.20.0")},
	}
	some := map[string][]clusterOption{"it sets nothing": nil}
	for what, options := range all {
		name, _, _ := strings.Cut(what, " ")
		if strings.Contains(string(asked), name) {
			some[what] = options
		}
	}
	return some
}

// builtWithoutVIP waits until Cluster API has judged the Cluster: it has infrastructure
// then, or its topology fails.
func (c *cluster) builtWithoutVIP() (built bool) {
	c.w.t.Helper()
	c.w.eventually("Cluster API judges Cluster "+c.name, func() error {
		now := c.now()
		if built = now.Spec.InfrastructureRef.Name != ""; built {
			return nil
		}
		condition := meta.FindStatusCondition(now.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
		if condition == nil || condition.Reason != clusterv1.ClusterTopologyReconciledFailedReason {
			return errors.New("not yet")
		}
		return nil
	})
	return built
}
