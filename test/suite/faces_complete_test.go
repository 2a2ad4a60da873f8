package suite

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
)

// Every Reason of the product has its faces tested. The product is another module, and
// these tests take no name from it, so its source is read.
func TestFacesAreComplete(t *testing.T) {
	t.Parallel()
	examples, err := allocator.Examples(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	outcomes, all := reasonsOf(t, filepath.Join(examples, "..", "pkg", "vip", "reason.go"))
	if len(outcomes) == 0 || len(all) <= len(outcomes) {
		t.Fatalf("found %d outcomes and %d reasons", len(outcomes), len(all))
	}
	var shown []string
	for _, f := range faces() {
		shown = append(shown, f.reason)
		if !slices.Contains(outcomes, f.reason) {
			t.Errorf("%s is no outcome", f.reason)
		}
	}
	for _, reason := range outcomes {
		if !slices.Contains(shown, reason) {
			t.Errorf("TestFaces does not provoke %s", reason)
		}
	}
	for _, n := range noteFaces() {
		shown = append(shown, n.note)
	}
	for _, reason := range all {
		if elsewhereShown[reason] == "" && !slices.Contains(shown, reason) {
			t.Errorf("no test shows %s", reason)
		}
	}
}

// elsewhereShown are the reasons that are in no table, and what shows them.
var elsewhereShown = map[string]string{
	"Booked":             "TestTypedVIPsAreBooked",
	"NotBooked":          "TestBookingIsInTheWay",
	"ClassUngated":       "playUngatedClass",
	"ClassUnclear":       "package security: TestCostlyClasses",
	"ClusterHeld":        "TestFacesOfAHeldCluster",
	"PoolsOverlap":       "playPoolsThatOverlap",
	"PropagationBlocked": "package rancher: it is an event on Clusters that Rancher or Fleet know, and no outcome",
	"NoTarget":           "nothing: it is never told",
}

// reasonsOf reads the constants of type Reason, and those that the function Reasons lists.
func reasonsOf(t *testing.T, path string) (outcomes, all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.ValueSpec:
			if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "Reason" {
				all = append(all, n.Names[0].Name) // the value is the name
			}
		case *ast.FuncDecl:
			if n.Name.Name != "Reasons" {
				return n.Recv == nil
			}
			ast.Inspect(n.Body, func(node ast.Node) bool {
				if list, ok := node.(*ast.CompositeLit); ok {
					for _, element := range list.Elts {
						outcomes = append(outcomes, element.(*ast.Ident).Name)
					}
				}
				return true
			})
		}
		return true
	})
	return outcomes, all
}
