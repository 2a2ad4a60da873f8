package lint_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
)

func run(t *testing.T, options lint.Options, texts ...string) []string {
	t.Helper()
	var sources []lint.Source
	for i, text := range texts {
		sources = append(sources, lint.Source{Name: string(rune('a'+i)) + ".yaml", Data: []byte(text)})
	}
	var lines []string
	for _, finding := range lint.Run(sources, options).Findings {
		lines = append(lines, finding.String())
	}
	return lines
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestOtherKindsArePassedOverInSilence(t *testing.T) {
	t.Parallel()
	const others = `
apiVersion: v1
kind: ConfigMap
metadata: {name: Not A Name}
---
# A fragment, and values of a chart.
variables: [{name: clusterVip}]
---
apiVersion: fleet.cattle.io/v1alpha1
kind: Cluster
metadata: {name: x, labels: {vip.capi.gorizond.io/ingress-vip: 10.0.0.1}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Machine
metadata: {name: x, annotations: {vip.capi.gorizond.io/unknown: x}}
--- # a comment
- a
- b
---
just a text
...
`
	if got := run(t, lint.Options{}, others, "", "# only a comment\n", "---\n---\n"); got != nil {
		t.Error(got)
	}
}

// What kubectl prints: one List, as YAML or as JSON, and with other ends of lines.
func TestFormsOfInput(t *testing.T) {
	t.Parallel()
	const bad = `apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata:
  name: c1
  annotations:
    vip.capi.gorizond.io/ingress-enabled: "no"
spec: {topology: {classRef: {name: rke2}}}
`
	one := run(t, lint.Options{}, bad)
	if len(one) != 1 || !strings.HasPrefix(one[0], "a.yaml:6: warning [annotation-value] Cluster c1: ") {
		t.Fatal(one)
	}
	message := strings.TrimPrefix(one[0], "a.yaml:6")
	asJSON, err := yaml.YAMLToJSON([]byte(bad))
	if err != nil {
		t.Fatal(err)
	}
	var indented strings.Builder
	encoder := json.NewEncoder(&indented)
	encoder.SetIndent("", "\t")
	if err := encoder.Encode(json.RawMessage(asJSON)); err != nil {
		t.Fatal(err)
	}
	item := "- " + strings.ReplaceAll(strings.TrimSpace(bad), "\n", "\n  ") + "\n"
	for name, test := range map[string]struct{ text, want string }{
		"JSON":                    {string(asJSON), "a.yaml:1" + message},
		"indented JSON":           {indented.String(), "a.yaml:6" + message},
		"a List":                  {"apiVersion: v1\nkind: List\nitems:\n- {}\n" + item, "a.yaml:10" + message},
		"a ClusterList":           {"apiVersion: cluster.x-k8s.io/v1beta2\nkind: ClusterList\nitems:\n" + item, "a.yaml:9" + message},
		"a List in a List":        {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  " + strings.ReplaceAll(item, "\n", "\n  "), "a.yaml:12" + message},
		"ends of lines of DOS":    {strings.ReplaceAll(bad, "\n", "\r\n"), "a.yaml:6" + message},
		"a byte order mark":       {"\ufeff" + bad, "a.yaml:6" + message},
		"a directive":             {"# a comment\n%YAML 1.1\n---\n" + bad, "a.yaml:9" + message},
		"behind other documents":  {"# Source: a.yaml\n---\nnull\n---\n{a: b}\n---\n" + bad, "a.yaml:12" + message},
		"on a separator":          {"---\na: |\n  --- no separator\n---\n" + bad, "a.yaml:10" + message},
		"without an end of line":  {strings.TrimSpace(bad), "a.yaml:6" + message},
		"with an alias":           {strings.Replace(bad, "metadata:\n", "x: &x {a: b}\nmetadata:\n", 1), "a.yaml:7" + message},
		"behind a broken one":     {"a: [\n---\n" + bad, "a.yaml:8" + message},
		"before a broken one":     {bad + "---\na: [\n", "a.yaml:6" + message},
		"beside a separator text": {bad + "---not a separator\n", ""},
	} {
		got := run(t, lint.Options{}, test.text)
		if test.want != "" && !slices.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
		if test.want == "" && len(got) == 0 {
			t.Errorf("%s: nothing", name)
		}
	}
}

// What is in one file explains what is in another, whatever their order.
func TestSourcesBelongTogether(t *testing.T) {
	t.Parallel()
	whole := read(t, "testdata/empty-variable/in.yaml")
	class, clusters, found := strings.Cut(whole, "\n---\n")
	if !found {
		t.Fatal("no separator")
	}
	for _, order := range [][]string{{class, clusters}, {clusters, class}} {
		got := strings.Join(run(t, lint.Options{}, order...), "\n")
		if strings.Count(got, "[empty-variable]") != 2 {
			t.Error(got)
		}
	}
	if got := run(t, lint.Options{}, clusters); got != nil {
		t.Errorf("without the class nothing can be said: %q", got)
	}
}

func TestTheNamespaceMayBeLeftOpen(t *testing.T) {
	t.Parallel()
	whole := read(t, "testdata/empty-variable/in.yaml")
	in := func(namespace string) string {
		return strings.Replace(whole, "metadata: {name: rke2}", "metadata: {name: rke2, namespace: "+namespace+"}", 1)
	}
	if got := strings.Join(run(t, lint.Options{}, in("team-a")), "\n"); strings.Count(got, "[empty-variable]") != 2 {
		t.Errorf("the Clusters may be applied to that namespace: %s", got)
	}
	stated := strings.ReplaceAll(in("team-a"), "name: bad-new}", "name: bad-new, namespace: team-b}")
	if got := strings.Join(run(t, lint.Options{}, stated), "\n"); strings.Count(got, "[empty-variable]") != 1 {
		t.Errorf("the class is of another namespace: %s", got)
	}
}

// Overlays may hold several versions of a class; which one is meant, only its file tells.
func TestOneOfSeveralClassesIsNotGuessed(t *testing.T) {
	t.Parallel()
	whole := read(t, "testdata/empty-variable/in.yaml")
	class, clusters, _ := strings.Cut(whole, "\n---\n")
	if got := run(t, lint.Options{}, class, class, clusters); got != nil {
		t.Error(got)
	}
	if got := strings.Join(run(t, lint.Options{}, class, whole), "\n"); strings.Count(got, "b.yaml:29: error [empty-variable]") != 1 {
		t.Error(got)
	}
}

func TestAnotherGateKeepsClustersWaiting(t *testing.T) {
	t.Parallel()
	text := read(t, "testdata/class-gate/in.yaml")
	alone, other := run(t, lint.Options{}, text), run(t, lint.Options{OtherGate: true}, text)
	if len(alone) == 0 || len(alone) != len(other) {
		t.Fatalf("%d and %d findings", len(alone), len(other))
	}
	for i := range alone {
		if !strings.Contains(alone[i], ": error [class-gate]") || !strings.Contains(other[i], ": info [class-gate]") {
			t.Errorf("%s\n%s", alone[i], other[i])
		}
	}
	const stated = "{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: {name: c}, spec: {paused: false, topology: {classRef: {name: x}}}}"
	if got := run(t, lint.Options{OtherGate: true}, stated); len(got) != 1 || !strings.Contains(got[0], "[paused]") {
		t.Error(got)
	}
}

func TestHostileTextsDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	for _, line := range run(t, lint.Options{}, `{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: {name: "a\n\e[31mb", annotations: {vip.capi.gorizond.io/ingress-enabled: "x\n\e[31my"}}, spec: {topology: {classRef: {name: x}}}}`) {
		if strings.ContainsAny(line, "\n\x1b") {
			t.Errorf("%q", line)
		}
	}
}

func TestTheExamplesAreClean(t *testing.T) {
	t.Parallel()
	var sources []lint.Source
	for _, pattern := range []string{"../../examples/*.yaml", "../../examples/*/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no examples: %v", err)
		}
		for _, path := range paths {
			sources = append(sources, lint.Source{Name: path, Data: []byte(read(t, path))})
		}
	}
	for _, finding := range lint.Run(sources, lint.Options{}).Findings {
		t.Error(finding.String())
	}
}

// Each check has one row in the documentation, and each row names a check.
func TestTheDocumentationNamesEveryCheck(t *testing.T) {
	t.Parallel()
	var documented []lint.Check
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(read(t, "../../docs/lint.md"), -1) {
		documented = append(documented, lint.Check(row[1]))
	}
	if checks := lint.Checks(); !slices.Equal(documented, checks) {
		t.Errorf("documented\n%v\nchecks\n%v", documented, checks)
	}
}

// Many pools with the same addresses are named a few at a time.
func TestManyPoolsThatOverlap(t *testing.T) {
	var texts []string
	const count = 30
	for i := range count {
		texts = append(texts, fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata: {name: p%d, annotations: {vip.capi.gorizond.io/cluster-class: c, vip.capi.gorizond.io/role: ingress}}
spec: {addresses: [10.0.0.10-10.0.0.20], prefix: 24, addressReuseGracePeriodSeconds: 120}
`, i))
	}
	got := run(t, lint.Options{}, texts...)
	if len(got) > 4*count || !strings.Contains(got[len(got)-1], "[pool-overlap]") || !strings.Contains(strings.Join(got, "\n"), "26 more pools share its addresses") {
		t.Errorf("%d findings:\n%s", len(got), strings.Join(got, "\n"))
	}
}
