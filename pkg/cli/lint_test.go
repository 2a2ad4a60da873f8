package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
)

const (
	warned = `apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: c1, annotations: {vip.capi.gorizond.io/ingress-enabled: "no, 100%"}}
spec: {topology: {classRef: {name: rke2}}}
`
	wrong = `apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: "c:2"}
spec: {topology: {classRef: {name: rke2}}}
`
	clean = `apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: c3}
spec: {topology: {classRef: {name: rke2}}}
`
)

// folder holds one file of each sort, and some that must not be read.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"clean.yaml": clean, "warned.yml": warned, "sub/wrong.yaml": wrong, "sub/README.md": "a: [", "sub/values.json": `{"a": 1}`,
		"chart/Chart.yaml": "name: x", "chart/templates/a.yaml": "{{ a",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lintWith runs the command in the folder's place: paths in the output lose it.
func lintWith(t *testing.T, dir, stdin string, args ...string) (out, problems string, code int) {
	t.Helper()
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, "DIR", dir)
	}
	command := Lint()
	var stdout, stderr bytes.Buffer
	command.SetIn(strings.NewReader(stdin))
	command.SetOut(&stdout)
	command.SetErr(&stderr)
	command.SetArgs(args)
	command.SilenceErrors, command.SilenceUsage = true, true
	err := command.Execute()
	var status ExitCode
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	clip := func(b bytes.Buffer) string { return strings.ReplaceAll(b.String(), dir+string(filepath.Separator), "") }
	return clip(stdout), clip(stderr), int(status)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for _, test := range []struct {
		name  string
		args  []string
		stdin string
		code  int
		files string // those named in the output
		says  string // on standard error
	}{
		{"a clean file", []string{"DIR/clean.yaml"}, "", 0, "", "errors: 0, warnings: 0"},
		{"a warning", []string{"DIR/warned.yml"}, "", 0, "warned.yml", "errors: 0, warnings: 1"},
		{"a warning that counts", []string{"--strict", "DIR/warned.yml"}, "", 1, "warned.yml", "errors: 0, warnings: 1"},
		{"an error", []string{"DIR/sub/wrong.yaml"}, "", 1, "sub/wrong.yaml", "errors: 1"},
		{"a folder", []string{"DIR"}, "", 1, "sub/wrong.yaml warned.yml", "errors: 1, warnings: 1"},
		{"a file twice", []string{"DIR/warned.yml", "DIR"}, "", 1, "warned.yml sub/wrong.yaml", "errors: 1, warnings: 1"},
		{"a template that is named", []string{"DIR/chart/templates/a.yaml"}, "", 1, "chart/templates/a.yaml", "errors: 1"},
		{"standard input", []string{"-"}, warned, 0, "<stdin>", "warnings: 1"},
		{"broken input", []string{"-"}, "a: [", 1, "<stdin>", "errors: 1"},
		{"a file of another name", []string{"DIR/sub/README.md"}, "", 1, "sub/README.md", "errors: 1"},
		{"Clusters that exist", []string{"--clusters", "-", "DIR/clean.yaml"}, warned, 0, "<stdin>", "warnings: 1"},
		{"a missing file", []string{"DIR/none.yaml", "DIR/warned.yml"}, "", 2, "warned.yml", "none.yaml"},
		{"nothing", nil, "", 2, "", "name files"},
		{"an unknown flag", []string{"--online"}, "", 2, "", "unknown flag"},
		{"an unknown form", []string{"-o", "xml", "DIR"}, "", 2, "", "none of text, json, github"},
		{"standard input twice", []string{"-", "--clusters", "-"}, "", 2, "", "only once"},
	} {
		out, problems, code := lintWith(t, dir, test.stdin, test.args...)
		var files []string
		for line := range strings.Lines(out) {
			name, _, _ := strings.Cut(line, ":")
			files = append(files, name)
		}
		if code != test.code || strings.Join(files, " ") != test.files || !strings.Contains(problems, test.says) {
			t.Errorf("%s: status %d, files %v, %q", test.name, code, files, problems)
		}
	}
}

func TestALinkToAFolderIsFollowed(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if out, _, code := lintWith(t, link, "", "DIR"); code != 1 || !strings.Contains(out, "sub/wrong.yaml:3: error [cluster-name]") {
		t.Errorf("status %d\n%s", code, out)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	out, problems, _ := lintWith(t, dir, "", "-o", "json", "DIR")
	var findings []lint.Finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		t.Fatal(err)
	}
	if len(findings) != 2 || findings[0].Check != lint.ClusterName || findings[0].Line != 3 || findings[1].File != "warned.yml" || problems != "" {
		t.Errorf("%s%s", out, problems)
	}
	if out, _, code := lintWith(t, dir, "", "-o", "json", "DIR/clean.yaml"); out != "[]\n" || code != 0 {
		t.Errorf("status %d, %q", code, out)
	}
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	out, _, code := lintWith(t, folder(t), "", "-o", "github", "DIR")
	want := []string{
		"::error file=sub/wrong.yaml,line=3,title=cluster-name::Cluster c:2: Kubernetes refuses the name: ",
		`::warning file=warned.yml,line=3,title=annotation-value::Cluster c1: annotation vip.capi.gorizond.io/ingress-enabled: "no, 100%25" `,
	}
	lines := strings.Split(out, "\n")
	if code != 1 || len(lines) != 3 || !strings.HasPrefix(lines[0], want[0]) || !strings.HasPrefix(lines[1], want[1]) {
		t.Errorf("status %d\n%s", code, out)
	}
}
