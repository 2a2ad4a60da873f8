package lint_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
)

func FuzzRun(f *testing.F) {
	paths, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		"", "---", "--- ---\n", "\xff\xfe", "%YAML 1.2\n---\na: 1\n", "a: &a [*a]", "a: &a {<<: *a, b: 1}", "kind: List\napiVersion: v1\nitems: [null, 1, {kind: List, apiVersion: v1, items: []}]",
		"{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: [], spec: {topology: null}}",
		"{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: {annotations: {? [a] : b}}}",
		"{apiVersion: a/b/c, kind: Cluster}", "{apiVersion: 1, kind: 2}", "? kind\n: Cluster\n? apiVersion\n: cluster.x-k8s.io/v1beta1\n",
		"apiVersion: ipam.cluster.x-k8s.io/v1alpha2\nkind: InClusterIPPool\nmetadata: {name: 1, labels: {vip.capi.gorizond.io/role: \"\"}}\nspec: {addresses: [[], {}, ::/0], prefix: 1e99}\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, risky := range []string{"repeat", "seq", "until", "rand", "gen", "range", "derive", "bcrypt", "htpasswd", "indent", "printf", "%", "template", "block"} {
			// The author of a class may burn time in its templates; that is not tested here.
			if strings.Contains(string(data), "{{") && strings.Contains(string(data), risky) {
				t.Skip()
			}
		}
		// YAML knows further ends of lines.
		lines := 1 + len(regexp.MustCompile("[\n\r\u0085\u2028\u2029]").FindAll(data, -1))
		in := []lint.Source{{Name: "in.yaml", Data: data}}
		for _, options := range []lint.Options{{}, {Live: []lint.Source{{Name: "live.yaml", Data: data}}, OtherGate: true}} {
			findings := lint.Run(in, options).Findings
			for i := range findings {
				f := &findings[i]
				if f.Line < 1 || f.Line > lines {
					t.Errorf("line %d of %d", f.Line, lines)
				}
				if f.Message == "" || !utf8.ValidString(f.Text()) || strings.ContainsAny(f.String(), "\n\x1b") {
					t.Errorf("%q", f.String())
				}
			}
		}
	})
}
