package lint_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
)

var update = flag.Bool("update", false, "write want.txt anew")

// A folder of testdata is named after the check that it is about. A line that ends with
// a mark is one where a finding of that check is expected, whatever want.txt says; an
// object whose name begins with "good" must not have one of the folder's check.
const mark = " # <- "

func TestEveryCheckHasAFolder(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var folders []lint.Check
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "fuzz" {
			folders = append(folders, lint.Check(entry.Name()))
		}
	}
	checks := lint.Checks()
	slices.Sort(checks)
	if !slices.Equal(folders, checks) {
		t.Errorf("got  %v\nwant %v", folders, checks)
	}
}

func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	for _, check := range lint.Checks() {
		t.Run(string(check), func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join("testdata", string(check))
			in, live := source(t, folder, "in.yaml"), source(t, folder, "live.yaml")
			findings := lint.Run(in, lint.Options{Live: live}).Findings
			compare(t, filepath.Join(folder, "want.txt"), findings)
			atMarks(t, slices.Concat(in, live), findings)
			bothWays(t, check, slices.Concat(in, live), findings)
		})
	}
}

// source reads a file that need not exist.
func source(t *testing.T, folder, name string) []lint.Source {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return []lint.Source{{Name: name, Data: data}}
}

func compare(t *testing.T, path string, findings []lint.Finding) {
	t.Helper()
	var got strings.Builder
	for i := range findings {
		fmt.Fprintln(&got, findings[i].String())
	}
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got.String(), want)
	}
}

// atMarks compares the lines of the findings with the marks in the sources.
func atMarks(t *testing.T, sources []lint.Source, findings []lint.Finding) {
	t.Helper()
	var got, want []string
	for i := range findings {
		got = append(got, fmt.Sprintf("%s:%d %s", findings[i].File, findings[i].Line, findings[i].Check))
	}
	for _, source := range sources {
		for i, line := range strings.Split(string(source.Data), "\n") {
			for _, check := range strings.Split(line, mark)[1:] {
				want = append(want, fmt.Sprintf("%s:%d %s", source.Name, i+1, check))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nmarked\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// bothWays sees that the check finds what is bad, and nothing in what is good.
func bothWays(t *testing.T, check lint.Check, sources []lint.Source, findings []lint.Finding) {
	t.Helper()
	bad, good := false, false
	for _, source := range sources {
		good = good || strings.Contains(string(source.Data), "ame: good")
	}
	for i := range findings {
		if findings[i].Check != check {
			continue
		}
		bad = true
		if strings.HasPrefix(findings[i].Name, "good") {
			t.Errorf("%s is good: %s", findings[i].Name, findings[i].String())
		}
	}
	if !bad || !good {
		t.Errorf("there must be a bad object (%t) and a good one (%t)", bad, good)
	}
}
