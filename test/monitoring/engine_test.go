package monitoring

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
)

// scrapeInterval is short enough for the windows of all rates, and for what an
// instant query looks back.
const scrapeInterval = 2 * time.Minute

// prometheus is Prometheus's storage and engine, with a clock of its own: what was
// scraped in seconds may have lasted for days.
type prometheus struct {
	t       *testing.T
	storage *teststorage.TestStorage
	engine  *promql.Engine
	now     time.Time
}

// scrape is what one replica showed.
type scrape struct {
	instance, text string
}

func newPrometheus(t *testing.T) *prometheus {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
		Parser: parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return &prometheus{t: t, storage: teststorage.New(t), engine: engine, now: time.Unix(1_700_000_000, 0)}
}

// record lets the scrapes stand for so long, and lets that time pass.
func (p *prometheus) record(lasts time.Duration, scrapes ...scrape) {
	p.t.Helper()
	for end := p.now.Add(lasts); p.now.Before(end); p.now = p.now.Add(scrapeInterval) {
		appender := p.storage.Appender(p.t.Context())
		for _, s := range scrapes {
			if err := p.append(appender, s); err != nil {
				p.t.Fatalf("record what %s showed: %v", s.instance, err)
			}
		}
		if err := appender.Commit(); err != nil {
			p.t.Fatal(err)
		}
	}
}

// append parses a scrape as Prometheus does and adds the labels of its target, as the
// chart's ServiceMonitor has it: a label that the metric has already stays.
func (p *prometheus) append(appender storage.Appender, s scrape) error {
	targetLabels := map[string]string{
		"job": "capi-vip-allocator", "namespace": "capi-vip-allocator-system", "service": "metrics",
		"instance": s.instance + ":8080", "pod": s.instance, "container": "manager", "endpoint": "metrics",
	}
	series, err := textparse.New([]byte(s.text), "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return err
	}
	for {
		entry, err := series.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var own labels.Labels
		series.Labels(&own)
		builder := labels.NewBuilder(own)
		for name, value := range targetLabels {
			if !own.Has(name) {
				builder.Set(name, value)
			}
		}
		_, _, value := series.Series()
		if _, err := appender.Append(0, builder.Labels(), p.now.UnixMilli(), value); err != nil {
			return fmt.Errorf("%s: %w", own, err)
		}
	}
}

// latest is the time of the last scrape.
func (p *prometheus) latest() time.Time { return p.now.Add(-scrapeInterval) }

// ask runs an instant query.
func (p *prometheus) ask(query string, at time.Time) (promql.Vector, error) {
	q, err := p.engine.NewInstantQuery(p.t.Context(), p.storage, nil, query, at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	result := q.Exec(p.t.Context())
	if result.Err != nil {
		return nil, result.Err
	}
	vector, err := result.Vector()
	if err != nil {
		return nil, err
	}
	return append(promql.Vector{}, vector...), warned(result)
}

// askRange runs a query over the last hours, as a graph does.
func (p *prometheus) askRange(query string) (promql.Matrix, error) {
	q, err := p.engine.NewRangeQuery(p.t.Context(), p.storage, nil, query, p.latest().Add(-6*time.Hour), p.latest(), time.Minute)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	result := q.Exec(p.t.Context())
	if result.Err != nil {
		return nil, result.Err
	}
	matrix, err := result.Matrix()
	if err != nil {
		return nil, err
	}
	// The engine takes the points back when the query is closed.
	var copied promql.Matrix
	for _, s := range matrix {
		copied = append(copied, promql.Series{Metric: s.Metric, Floats: append([]promql.FPoint{}, s.Floats...)})
	}
	return copied, warned(result)
}

// warned makes an error of what Prometheus thinks odd about a query.
func warned(result *promql.Result) error {
	warnings, infos := result.Warnings.AsStrings("", 0, 0)
	if len(warnings)+len(infos) > 0 {
		return fmt.Errorf("warnings %q, infos %q", warnings, infos)
	}
	return nil
}
