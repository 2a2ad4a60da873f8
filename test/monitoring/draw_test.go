package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
)

// draws asks every query of the dashboard, with all values of its variables and with
// one of each.
func (p *prometheus) draws(t *testing.T, g *grafana) {
	one := map[string]string{"cluster": "", "cluster_class": "gated", "role": "ingress", "pool": "small"}
	label := map[string]string{"pool_name": "pool", "cluster_class": "cluster_class", "role": "role"}
	for _, panel := range g.Panels {
		for _, query := range panel.Targets {
			drawn, err := p.draw(query, g.all())
			if err == nil {
				err = readable(drawn, query.LegendFormat)
			}
			if err != nil {
				t.Errorf("panel %q, query %s: %v", panel.Title, query.RefID, err)
			}
			narrow, err := p.draw(query, one)
			if err != nil {
				t.Errorf("panel %q, query %s, of one value: %v", panel.Title, query.RefID, err)
			}
			for _, s := range narrow {
				for name, variable := range label {
					if got := s.Metric.Get(name); got != "" && got != one[variable] && strings.Contains(query.Expr, "$"+variable) {
						t.Errorf("panel %q, query %s: %s is shown for %s", panel.Title, query.RefID, got, one[variable])
					}
				}
			}
		}
	}
	p.chooses(t, g, one)
	p.showsAll(t, g)
}

// draw asks a query as its panel does: for now, or for the last hours.
func (p *prometheus) draw(query target, values map[string]string) (promql.Matrix, error) {
	expr := fill(query.Expr, values)
	if !query.Instant {
		return p.askRange(expr)
	}
	vector, err := p.ask(expr, p.latest())
	var matrix promql.Matrix
	for _, s := range vector {
		matrix = append(matrix, promql.Series{Metric: s.Metric, Floats: []promql.FPoint{{F: s.F}}})
	}
	return matrix, err
}

var legendLabel = regexp.MustCompile(`{{(\w+)}}`)

// readable expects something to see, and every label of the legend.
func readable(drawn promql.Matrix, legend string) error {
	seen := false
	for _, s := range drawn {
		for _, point := range s.Floats {
			seen = seen || !math.IsNaN(point.F) && !math.IsInf(point.F, 0)
		}
		for _, name := range legendLabel.FindAllStringSubmatch(legend, -1) {
			if !s.Metric.Has(name[1]) {
				return fmt.Errorf("%s has no %s for its legend", s.Metric, name[1])
			}
		}
	}
	if !seen {
		return errors.New("there is nothing to see")
	}
	return nil
}

// chooses expects that the variables offer what the test chose.
func (p *prometheus) chooses(t *testing.T, g *grafana, one map[string]string) {
	for _, v := range g.Templating.List {
		if v.Type != "query" {
			continue
		}
		selector, label, err := v.choices()
		if err != nil {
			t.Error(err)
			continue
		}
		found, err := p.ask(fmt.Sprintf("group by (%s) (%s)", label, fill(selector, g.all())), p.latest())
		offers := func(s promql.Sample) bool { return s.Metric.Get(label) == one[v.Name] }
		if err != nil || !slices.ContainsFunc(found, offers) {
			t.Errorf("variable %s offers %s: %v", v.Name, found, err)
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// choices returns where a variable takes its values from: a selector and a label.
func (v *variable) choices() (selector, label string, err error) {
	var query struct {
		Query string `json:"query"`
	}
	if err := json.Unmarshal(v.Query, &query); err != nil {
		return "", "", fmt.Errorf("variable %s: %w", v.Name, err)
	}
	match := labelValues.FindStringSubmatch(query.Query)
	if match == nil {
		return "", "", fmt.Errorf("variable %s: %q is not label_values(…)", v.Name, query.Query)
	}
	return match[1], match[2], nil
}

// showsAll expects that the dashboard leaves out none of the allocator's own metrics.
func (p *prometheus) showsAll(t *testing.T, g *grafana) {
	found, err := p.ask(`group by (__name__) ({__name__=~"capi_vip_allocator_.+"})`, p.latest())
	if err != nil || len(found) == 0 {
		t.Fatalf("the metrics are %s: %v", found, err)
	}
	var queries strings.Builder
	for _, panel := range g.Panels {
		for _, query := range panel.Targets {
			queries.WriteString(query.Expr)
		}
	}
	for _, s := range found {
		// A histogram is shown by its buckets.
		name := s.Metric.Get(model.MetricNameLabel)
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		if !strings.Contains(queries.String(), name) {
			t.Errorf("no panel shows %s", name)
		}
	}
}
