package examples

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// fleetBundle is a fleet.yaml. A field that is not here is one to look up first.
type fleetBundle struct {
	DefaultNamespace string            `json:"defaultNamespace"`
	Labels           map[string]string `json:"labels"`
	OverrideTargets  []struct {
		Name            string                `json:"name"`
		ClusterSelector *metav1.LabelSelector `json:"clusterSelector"`
	} `json:"overrideTargets"`
	Helm fleetHelm `json:"helm"`

	text string
}

// reads says whether the templates look where the Cluster has its VIP. Those of one
// set-up look at annotations only.
func (b *fleetBundle) reads(c fleetCluster) bool {
	return strings.Contains(b.text, ".ClusterValues") || c.annotations[vip.Ingress.Stamp()] != ""
}

// fleetCase is a Cluster of Fleet in one of the states that templates meet.
type fleetCase struct {
	cluster fleetCluster
	vip     string // "" if there is none
}

// fleetCases are the carriers of a stamp, each alone and as set-ups combine them.
func fleetCases() map[string]fleetCase {
	stamp, has := vip.Ingress.Stamp(), vip.Ingress.StampedLabel()
	env := map[string]string{"env": "test", "management.cattle.io/cluster-name": "c-bcdfg"}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, values := range []map[string]string{env, more} {
			for key, value := range values {
				all[key] = value
			}
		}
		return all
	}
	values := func(annotations map[string]any) map[string]any {
		return map[string]any{"Cluster": map[string]any{
			"metadata": map[string]any{"name": "prod", "annotations": annotations},
			"spec":     map[string]any{"topology": map[string]any{"variables": []any{map[string]any{"name": "size", "value": "small"}}}},
		}}
	}
	return map[string]fleetCase{
		"by label": {fleetCluster{labels: with(map[string]string{stamp: "10.0.0.5", has: "true"})}, "10.0.0.5"},
		"by annotation": {fleetCluster{
			labels: with(map[string]string{has: "true"}), annotations: map[string]string{stamp: "10.0.0.5"}}, "10.0.0.5"},
		"by ClusterValues": {fleetCluster{labels: env, values: values(map[string]any{stamp: "10.0.0.5"})}, "10.0.0.5"},
		"by everything": {fleetCluster{
			labels:      with(map[string]string{stamp: "10.0.0.5", has: "true"}),
			annotations: map[string]string{stamp: "10.0.0.5", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
			values:      values(map[string]any{stamp: "10.0.0.5"})}, "10.0.0.5"},
		"IPv6": {fleetCluster{
			labels: with(map[string]string{has: "true"}), annotations: map[string]string{stamp: "2001:db8::5"}}, "2001:db8::5"},
		"IPv6 by ClusterValues": {fleetCluster{labels: env, values: values(map[string]any{stamp: "2001:db8::5"})}, "2001:db8::5"},
		"IPv6 that ends in a colon": {fleetCluster{
			labels: with(map[string]string{has: "true"}), annotations: map[string]string{stamp: "2001:db8::"}}, "2001:db8::"},
		"not yet":                      {fleetCluster{labels: env}, ""},
		"not yet, with ClusterValues":  {fleetCluster{labels: env, values: values(map[string]any{"a": "b"})}, ""},
		"not yet, without annotations": {fleetCluster{labels: env, values: map[string]any{"Cluster": map[string]any{"metadata": map[string]any{"name": "prod"}}}}, ""},
	}
}

// A bundle that fails on one Cluster is deployed to none, so an example must come to an
// end everywhere, with the VIP where there is one.
func TestFleetBundles(t *testing.T) {
	eachTemplate(t, func(t *testing.T, b *fleetBundle) {
		for name, c := range fleetCases() {
			t.Run(name, func(t *testing.T) {
				rendered, err := b.Helm.render(c.cluster)
				if err != nil {
					t.Fatal(err)
				}
				text := fmt.Sprint(rendered)
				if strings.Contains(text, "${") || strings.Contains(text, "<no value>") {
					t.Errorf("rendered as %s", text)
				}
				var want []string
				if c.vip != "" && b.reads(c.cluster) {
					want = []string{c.vip}
				}
				if found := addresses(rendered); !slices.Equal(found, want) {
					t.Errorf("the addresses are %q, want %q", found, want)
				}
			})
		}
	})
}

// The selectors take a Cluster with a VIP, of IPv6 too, and no other.
func TestFleetSelectors(t *testing.T) {
	cases := fleetCases()
	eachTemplate(t, func(t *testing.T, b *fleetBundle) {
		if len(b.OverrideTargets) == 0 {
			t.Skip("it leaves that to the GitRepo")
		}
		for _, target := range b.OverrideTargets {
			selector, err := metav1.LabelSelectorAsSelector(target.ClusterSelector)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]bool{"by label": true, "by annotation": true, "IPv6": true, "not yet": false} {
				if got := selector.Matches(labels.Set(cases[name].cluster.labels)); got != want {
					t.Errorf("%s: selected: %t", name, got)
				}
			}
		}
	})
}

// What the values of the example bundles must say, for charts of one version each.
func TestFleetValues(t *testing.T) {
	render := func(t *testing.T, name string) map[string]any {
		text, err := os.ReadFile(filepath.Join("fleet", name, "fleet-bundle.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var b fleetBundle
		if err := yaml.UnmarshalStrict(text, &b); err != nil {
			t.Fatal(err)
		}
		if b.Helm.Repo == "" || b.Helm.Version == "" {
			t.Errorf("chart %s has no version", b.Helm.Chart)
		}
		values, err := b.Helm.render(fleetCluster{
			labels: map[string]string{vip.Ingress.StampedLabel(): "true"}, annotations: map[string]string{vip.Ingress.Stamp(): ingressVIP},
		})
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	t.Run("traefik", func(t *testing.T) {
		text, err := yaml.Marshal(render(t, "traefik"))
		if err != nil {
			t.Fatal(err)
		}
		traefik(t, text)
	})
	t.Run("kube-vip", func(t *testing.T) {
		values := render(t, "kube-vip-ingress")
		env, _ := values["env"].(map[string]any)
		// By the chart's own default an IPv6 address is on a network of 32 bits.
		want := map[string]string{"vip_subnet": "32,128", "svc_enable": "false"}
		maps.Copy(want, quickLease)
		for name, value := range want {
			if env[name] != value {
				t.Errorf("%s is %v, want %s", name, env[name], value)
			}
		}
		image, _ := values["image"].(map[string]any)
		if _, tag, _ := strings.Cut(kubeVIPImage, ":"); image["tag"] != tag {
			t.Errorf("the image is %v, want %s", image["tag"], tag)
		}
	})
}

// A Cluster whose labels are all of Rancher is not templated at all. The label that we
// set with every VIP is what keeps templating on.
func TestFleetTemplatesNeedALabel(t *testing.T) {
	eachTemplate(t, func(t *testing.T, b *fleetBundle) {
		c := fleetCluster{
			labels:      map[string]string{"cluster-api.cattle.io/rancher-auto-import": "true"},
			annotations: map[string]string{vip.Ingress.Stamp(): "10.0.0.5"},
		}
		rendered, err := b.Helm.render(c)
		if err != nil {
			t.Fatal(err)
		}
		templated := len(addresses(rendered)) > 0
		c.labels[vip.Ingress.StampedLabel()] = "true"
		if rendered, err = b.Helm.render(c); err != nil {
			t.Fatal(err)
		}
		if templated || len(addresses(rendered)) != 1 {
			t.Errorf("templated without a label: %t, with one: %v", templated, rendered)
		}
	})
}

// The forms that docs/fleet.md lists give what it says.
func TestFleetForms(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `(.+)` \\| (.+) \\| (.+) \\|$")
	rows := row.FindAllStringSubmatch(section(t, "../docs/fleet.md", "Forms to avoid"), -1)
	if len(rows) < 4 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	cases := fleetCases()
	for _, row := range rows {
		form := strings.ReplaceAll(row[1], `\|`, "|")
		form = strings.ReplaceAll(form, "KEY", vip.Ingress.Stamp())
		helm := fleetHelm{Values: map[string]any{"address": form}}
		for name, want := range map[string]string{"by everything": row[2], "not yet": row[3]} {
			got := ""
			rendered, err := helm.render(cases[name].cluster)
			switch {
			case err != nil:
				got = "error"
			case rendered["address"] == nil:
				got = "null"
			case rendered["address"] == "":
				got = `""`
			default:
				got = fmt.Sprintf("`%v`", rendered["address"])
			}
			// What follows a comma is for people.
			if want, _, _ = strings.Cut(want, ", "); got != want {
				t.Errorf("%s, %s: %s (%v), the table says %s", form, name, got, err, want)
			}
		}
	}
}

// Fleet takes every folder with one of these names for a bundle of its own.
func TestExamplesAreNoBundles(t *testing.T) {
	for _, name := range []string{"fleet.yaml", "fleet.yml", "Chart.yaml", "kustomization.yaml"} {
		found, err := filepath.Glob("*/*/" + name)
		if err != nil || len(found) > 0 {
			t.Errorf("there are %q: %v", found, err)
		}
	}
}

// addresses are the values that look like one.
func addresses(value any) []string {
	var list []string
	switch value := value.(type) {
	case map[string]any:
		for _, field := range value {
			list = append(list, addresses(field)...)
		}
	case []any:
		for _, entry := range value {
			list = append(list, addresses(entry)...)
		}
	case string:
		if strings.HasPrefix(value, "10.0.") || strings.HasPrefix(value, "2001:db8:") {
			list = append(list, value)
		}
	}
	return list
}

// eachTemplate runs the test for every bundle in examples/fleet and every one that is
// shown in docs/fleet.md.
func eachTemplate(t *testing.T, test func(t *testing.T, b *fleetBundle)) {
	t.Helper()
	texts := map[string]string{}
	paths, err := filepath.Glob("fleet/*/fleet-bundle.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no bundles: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), "# Copy as fleet.yaml") {
			t.Errorf("%s does not say what to copy it as", path)
		}
		texts[path] = string(data)
	}
	documented := 0
	for i, block := range blocks(t, "../docs/fleet.md") {
		if strings.Contains(block, "${") {
			documented++
			texts[fmt.Sprintf("docs/fleet.md, block %d", i)] = block
		}
	}
	if documented == 0 {
		t.Error("docs/fleet.md shows none")
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			b := fleetBundle{text: text}
			if err := yaml.UnmarshalStrict([]byte(text), &b); err != nil {
				t.Fatal(err)
			}
			test(t, &b)
		})
	}
}

// blocks are the fenced YAML blocks of a document.
func blocks(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, match := range regexp.MustCompile("(?s)\n```yaml\n(.*?)```\n").FindAllStringSubmatch(string(data), -1) {
		list = append(list, match[1])
	}
	return list
}

// section is the text below a heading of a document, up to the next one of any level.
func section(t *testing.T, path, heading string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(data), "# "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %s", path, heading)
	}
	text, _, _ = strings.Cut(text, "\n#")
	return text
}
