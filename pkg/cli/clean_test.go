package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// runClean runs the command; problems is what a person reads.
func runClean(stdin string, args ...string) (out, problems string) {
	command := Clean()
	var stdout, stderr bytes.Buffer
	command.SetIn(strings.NewReader(stdin))
	command.SetOut(&stdout)
	command.SetErr(&stderr)
	command.SetArgs(append([]string{}, args...)) // nil would be those of the test
	command.SilenceErrors, command.SilenceUsage = true, true
	if err := command.Execute(); err != nil {
		stderr.WriteString("error: " + err.Error() + "\n")
	}
	return stdout.String(), stderr.String()
}

// Each folder has a manifest and what becomes of it: want.yaml, and want.txt for people.
func TestClean(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("testdata/clean/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			out, problems := runClean("", filepath.Join(folder, "in.yaml"))
			golden(t, filepath.Join("clean", filepath.Base(folder), "want.yaml"), []byte(out))
			golden(t, filepath.Join("clean", filepath.Base(folder), "want.txt"), []byte(problems))
			again, _ := runClean(out)
			if again != out {
				t.Errorf("cleaned twice it is\n%s", again)
			}
		})
	}
}

// Whoever pipes it on must not apply the half.
func TestCleanPrintsAllOrNothing(t *testing.T) {
	t.Parallel()
	const good = "apiVersion: cluster.x-k8s.io/v1beta2\nkind: Cluster\nmetadata: {name: web}\n"
	if out, problems := runClean(good + "---\na: [\n"); out != "" || !strings.Contains(problems, "error: <stdin>, document 2 (line 5): cannot be read") {
		t.Errorf("%q, %q", out, problems)
	}
	if out, problems := runClean(good, "-"); !strings.Contains(out, "name: web") || problems != "" {
		t.Errorf("%q, %q", out, problems)
	}
	if out, problems := runClean("", "testdata/none.yaml"); out != "" || !strings.Contains(problems, "testdata/none.yaml") {
		t.Errorf("%q, %q", out, problems)
	}
}

func FuzzClean(f *testing.F) {
	paths, err := filepath.Glob("testdata/clean/*/in.yaml")
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
	f.Fuzz(func(t *testing.T, data []byte) {
		out, _, err := cleanStream("in.yaml", data)
		if err != nil {
			return
		}
		again, _, err := cleanStream("out.yaml", out)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("cleaned twice, %v, it is\n%q\nafter\n%q", err, again, out)
		}
		for _, cluster := range clustersOf(t, out) {
			metadata, _ := cluster["metadata"].(map[string]any)
			for _, field := range []string{"annotations", "labels"} {
				keys, _ := metadata[field].(map[string]any)
				for _, key := range ourKeys() {
					if _, stays := keys[key]; stays {
						t.Errorf("%s stays in\n%s", key, out)
					}
				}
			}
			for _, field := range append(slices.Clone(identity), "status") {
				if metadata[field] != nil || cluster["status"] != nil {
					t.Errorf("%s stays in\n%s", field, out)
				}
			}
		}
	})
}

// ourKeys are those that a copy must not have.
func ourKeys() []string {
	keys := []string{vip.HeldAnnotation, vip.WrittenForAnnotation}
	for _, role := range vip.Roles() {
		keys = append(keys, role.Stamp(), role.StampedLabel(), role.WrittenAnnotation())
	}
	return keys
}

func clustersOf(t *testing.T, stream []byte) (clusters []map[string]any) {
	t.Helper()
	for _, document := range lint.Documents(stream) {
		if document.Empty {
			continue
		}
		values, _, err := readValues(document.Text)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			if object, isObject := value.(map[string]any); isObject {
				clusters = append(clusters, clustersIn(object)...)
			}
		}
	}
	return clusters
}
