package scale

import (
	"fmt"
	"io"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Draw writes an SVG: what one event costs over the number of Clusters.
func (r *Report) Draw(w io.Writer) error {
	latency, err := r.chart("a new cluster, medians", "milliseconds", []line{
		{"created → claims made", func(s Size) time.Duration { return median(s.claims()) }},
		{"claim bound → VIP published", func(s Size) time.Duration { return median(s.publish()) }},
	})
	if err != nil {
		return err
	}
	cost, err := r.chart("an edit of one cluster", "milliseconds", []line{
		{"CPU time of the allocator", func(s Size) time.Duration { return s.Edits.PerEvent() }},
		{"one pass", func(s Size) time.Duration { return s.Edits.Pass }},
	})
	if err != nil {
		return err
	}
	const width, height = 24 * vg.Centimeter, 9 * vg.Centimeter
	canvas := vgsvg.New(width, height)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Centimeter, PadTop: vg.Millimeter * 3, PadBottom: vg.Millimeter * 3, PadLeft: vg.Millimeter * 3, PadRight: vg.Millimeter * 3}
	whole := draw.New(canvas)
	for i, chart := range []*plot.Plot{latency, cost} {
		chart.Draw(tiles.At(whole, i, 0))
	}
	if _, err := canvas.WriteTo(w); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}

type line struct {
	name  string
	value func(Size) time.Duration
}

// chart is a plot of lines over the number of Clusters. It begins at 0: a cost that does
// not grow is a flat line, not a magnified jitter.
func (r *Report) chart(title, unit string, lines []line) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "clusters", unit
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.ConstantTicks(r.ticks())
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Left = false, true
	p.Add(plotter.NewGrid())
	most := 0.0
	var series []any
	for _, l := range lines {
		points := plotter.XYs{}
		for _, size := range r.Sizes {
			y := l.value(size).Seconds() * 1e3
			most = max(most, y)
			points = append(points, plotter.XY{X: float64(size.Clusters), Y: y})
		}
		series = append(series, l.name, points)
	}
	if err := plotutil.AddLinePoints(p, series...); err != nil {
		return nil, fmt.Errorf("draw %s: %w", title, err)
	}
	p.Y.Min, p.Y.Max = 0, 1.2*most
	return p, nil
}

func (r *Report) ticks() []plot.Tick {
	var ticks []plot.Tick
	for _, size := range r.Sizes {
		ticks = append(ticks, plot.Tick{Value: float64(size.Clusters), Label: fmt.Sprint(size.Clusters)})
	}
	return ticks
}
