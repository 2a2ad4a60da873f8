package survive

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const page = "../../docs/fault-tests.md"

var (
	command = regexp.MustCompile("`go (?:-C test )?test (\\S+) -run '?([^' `]+)'?[^`]*`")
	faultID = regexp.MustCompile(`(?m)^\| (F\d+) \|`)
)

// Every test that the page names exists, and every fault of the catalogue is on it.
func TestPageNamesTests(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := command.FindAllStringSubmatch(string(content), -1)
	for _, match := range found {
		dir, pattern := match[1], match[2]
		root := filepath.Join("..", dir)
		if strings.HasPrefix(dir, "./pkg/") {
			root = filepath.Join("..", "..", dir)
		}
		functions, texts := testsIn(t, root)
		name, subtests, _ := strings.Cut(pattern, "/")
		if !functions[name] {
			t.Errorf("%s: there is no test %s in %s", match[0], name, root)
		}
		for subtest := range strings.SplitSeq(subtests, "/") {
			if subtest != "" && subtest != ".*" && !texts[strings.ReplaceAll(subtest, "_", " ")] {
				t.Errorf("%s: there is no subtest %s in %s", match[0], subtest, root)
			}
		}
	}
	const faults = 35
	ids := map[string]bool{}
	for _, match := range faultID.FindAllStringSubmatch(string(content), -1) {
		ids[match[1]] = true
	}
	for n := range faults {
		if id := "F" + strconv.Itoa(n+1); !ids[id] {
			t.Errorf("the page says nothing of %s", id)
		}
	}
	if len(found) < faults {
		t.Errorf("the page has %d commands only", len(found))
	}
}

// testsIn returns the test functions of a folder and all its texts, with which
// subtests are named.
func testsIn(t *testing.T, dir string) (functions, texts map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests: %v", dir, err)
	}
	functions, texts = map[string]bool{}, map[string]bool{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				functions[node.Name.Name] = node.Recv == nil
			case *ast.BasicLit:
				if text, err := strconv.Unquote(node.Value); err == nil && node.Kind == token.STRING {
					texts[text] = true
				}
			}
			return true
		})
	}
	return functions, texts
}
