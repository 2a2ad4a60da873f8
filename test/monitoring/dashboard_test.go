package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// grafana is what these tests read of a dashboard.
type grafana struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  dataSource `json:"datasource"`
	GridPos     place      `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []target `json:"targets"`
}

type target struct {
	RefID        string     `json:"refId"`
	Datasource   dataSource `json:"datasource"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
	Instant      bool       `json:"instant"`
}

type dataSource struct {
	UID string `json:"uid"`
}

// place is where a panel is, on a grid of 24 columns.
type place struct{ X, Y, W, H int }

type variable struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	AllValue string          `json:"allValue"`
	Query    json.RawMessage `json:"query"` // of a type that depends on Type
}

// readDashboard reads it from the ConfigMap, as Grafana does.
func readDashboard(t *testing.T) *grafana {
	t.Helper()
	data, _, _ := unstructured.NestedStringMap(render(t, metrics("dashboard", nil))[dashboard].Object, "data")
	g := &grafana{}
	if err := json.Unmarshal([]byte(data["capi-vip-allocator.json"]), g); err != nil {
		t.Fatal(err)
	}
	return g
}

// What Grafana and its readers need of every panel.
func TestDashboardIsComplete(t *testing.T) {
	g := readDashboard(t)
	if g.UID == "" || g.Title == "" || g.SchemaVersion < 39 {
		t.Errorf("it is %q, %q, of schema %d", g.UID, g.Title, g.SchemaVersion)
	}
	ids, titles, cells := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
	for _, p := range g.Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" || titles[p.Title] {
			t.Errorf("panel %d, %q: number or title is missing, or is used twice", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies on %q, or beyond the edge", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" {
			p.check(t)
		}
	}
}

func (p *panel) check(t *testing.T) {
	t.Helper()
	if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.GridPos.W*p.GridPos.H == 0 {
		t.Errorf("panel %q: description, unit, queries or size is missing", p.Title)
	}
	refs := map[string]bool{}
	for _, query := range p.Targets {
		if query.RefID == "" || refs[query.RefID] {
			t.Errorf("panel %q: two queries are called %q", p.Title, query.RefID)
		}
		refs[query.RefID] = true
		for _, source := range []dataSource{p.Datasource, query.Datasource} {
			if source.UID != "${datasource}" {
				t.Errorf("panel %q asks data source %q", p.Title, source.UID)
			}
		}
		if p.Type == "timeseries" && query.LegendFormat == "" {
			t.Errorf("panel %q: query %s has no legend", p.Title, query.RefID)
		}
	}
}

var variableUse = regexp.MustCompile(`\$(\w+)`)

// builtIn are the variables that Grafana itself has.
var builtIn = map[string]string{"__rate_interval": "5m", "__range": "6h"}

// fill puts values in the place of variables, as Grafana does.
func fill(expr string, values map[string]string) string {
	return variableUse.ReplaceAllStringFunc(expr, func(use string) string {
		name := strings.TrimPrefix(use, "$")
		if value, ok := builtIn[name]; ok {
			return value
		}
		if value, ok := values[name]; ok {
			return value
		}
		return use
	})
}

// all are the values of the variables before anybody chose one.
func (g *grafana) all() map[string]string {
	values := map[string]string{}
	for _, v := range g.Templating.List {
		if v.AllValue != "" {
			values[v.Name] = v.AllValue
		}
	}
	return values
}

// Every variable exists and is of use, and every query is PromQL once they are filled in.
func TestDashboardQueriesParse(t *testing.T) {
	g := readDashboard(t)
	used := map[string]bool{"datasource": true}
	for _, p := range g.Panels {
		for _, query := range p.Targets {
			for _, use := range variableUse.FindAllStringSubmatch(query.Expr, -1) {
				used[use[1]] = true
			}
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(fill(query.Expr, g.all())); err != nil {
				t.Errorf("panel %q: %v", p.Title, err)
			}
		}
	}
	for _, v := range g.Templating.List {
		if !used[v.Name] {
			t.Errorf("nothing uses variable %s", v.Name)
		}
		delete(used, v.Name)
	}
	for name := range used {
		if builtIn[name] == "" {
			t.Errorf("there is no variable %s", name)
		}
	}
}

// The file is kept as it is rendered: Helm puts nothing into it.
func TestDashboardFileIsTheDashboard(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("..", "..", "charts", "capi-vip-allocator", "dashboards", "capi-vip-allocator.json"))
	if err != nil {
		t.Fatal(err)
	}
	data, _, _ := unstructured.NestedStringMap(render(t, metrics("dashboard", nil))[dashboard].Object, "data")
	if strings.TrimSpace(data["capi-vip-allocator.json"]) != strings.TrimSpace(string(file)) {
		t.Error("the ConfigMap holds another text than the file")
	}
}
