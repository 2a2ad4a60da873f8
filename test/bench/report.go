package bench

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gorizond/capi-vip-allocator/test/audit"
)

// Print writes the report for people to read.
func (r *Report) Print(w io.Writer) {
	for i, round := range r.Rounds {
		title := fmt.Sprintf("%d clusters at once", r.Options.Clusters)
		if len(r.Rounds) > 1 {
			title += fmt.Sprintf(", round %d", i+1)
		}
		round.print(w, title, r.Options)
	}
	if len(r.Rounds) > 1 {
		fmt.Fprintf(w, "ours ÷ floor over %d rounds: median %.2f, all %.2f\n\n",
			len(r.Rounds), median(r.ratios()), r.ratios())
	}
	if r.Options.Alone > 0 {
		r.Alone.print(w)
	}
}

func (r *Report) ratios() []float64 {
	var ratios []float64
	for _, round := range r.Rounds {
		ratios = append(ratios, round.Ratio())
	}
	return ratios
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (r Round) print(w io.Writer, title string, o Options) {
	t := newTable("", "floor", "ours")
	t.AppendRow(table.Row{"until the last cluster is done", seconds(r.Floor.Total), seconds(r.Ours.Total)})
	t.AppendRow(table.Row{"ours ÷ floor", "", fmt.Sprintf("%.2f", r.Ratio())})
	t.AppendRow(table.Row{"clusters per second", number(r.Floor.Rate()), number(r.Ours.Rate())})
	t.AppendRow(table.Row{"until the last claim is bound", seconds(r.Floor.LastBound), seconds(r.Ours.LastBound)})
	t.AppendSeparator()
	appendTimes(t, "create → done", r.Floor.ToDone(), r.Ours.ToDone())
	appendTimes(t, "create → endpoint", nil, r.Ours.ToEndpoint())
	appendTimes(t, "create → ingress stamp", nil, r.Ours.ToIngressStamp())
	appendTimes(t, "claim bound → published", nil, r.Ours.BoundToPublished())
	t.AppendSeparator()
	t.AppendRow(table.Row{"allocator: peak memory", "", megabytes(r.Usage.PeakRSS)})
	t.AppendRow(table.Row{"allocator: CPU time", "", seconds(r.Usage.CPU)})
	render(w, title, t)
	fmt.Fprint(w, definition)
	printWrites(w, r, o.Clusters)
	printTallies(w, "requests of the allocator, per cluster", r.Ours.Requests.ofAllocator().PerResource(), o.Clusters)
	if o.Quiet > 0 {
		printTallies(w, fmt.Sprintf("requests of the allocator in %s without changes, with %d clusters", o.Quiet, o.Clusters),
			r.Quiet.PerResource(), 1)
	}
}

const definition = `floor: clusters with all VIPs typed in, their claims made by a script, no allocator.
A cluster is done when both of its claims are bound and it carries both VIPs.

`

// appendTimes adds a row for p50, p95 and the longest.
func appendTimes(t table.Writer, name string, floor, ours []time.Duration) {
	cell := func(durations []time.Duration) string {
		if len(durations) == 0 {
			return ""
		}
		return fmt.Sprintf("%s / %s / %s", seconds(Quantile(0.5, durations)),
			seconds(Quantile(0.95, durations)), seconds(Quantile(1, durations)))
	}
	t.AppendRow(table.Row{name + ", p50 / p95 / max", cell(floor), cell(ours)})
}

// printWrites compares who wrote how much.
func printWrites(w io.Writer, r Round, clusters int) {
	t := newTable("user agent", "floor", "ours")
	floor, ours := r.Floor.Requests.Writes().PerAgent(), r.Ours.Requests.Writes().PerAgent()
	for _, tally := range ours {
		t.AppendRow(table.Row{tally.Key, share(find(floor, tally.Key), clusters), share(tally, clusters)})
	}
	for _, tally := range floor {
		if find(ours, tally.Key).Key == "" {
			t.AppendRow(table.Row{tally.Key, share(tally, clusters), ""})
		}
	}
	render(w, "API writes per cluster, accepted + refused", t)
}

func find(tallies []audit.Tally, key string) audit.Tally {
	if i := slices.IndexFunc(tallies, func(t audit.Tally) bool { return t.Key == key }); i >= 0 {
		return tallies[i]
	}
	return audit.Tally{}
}

func share(tally audit.Tally, clusters int) string {
	return fmt.Sprintf("%s + %s", number(float64(tally.Accepted)/float64(clusters)),
		number(float64(tally.Refused)/float64(clusters)))
}

func printTallies(w io.Writer, title string, tallies []audit.Tally, divisor int) {
	t := newTable("request", "accepted", "refused")
	for _, tally := range tallies {
		t.AppendRow(table.Row{tally.Key, number(float64(tally.Accepted) / float64(divisor)),
			number(float64(tally.Refused) / float64(divisor))})
	}
	if len(tallies) == 0 {
		t.AppendRow(table.Row{"none", "", ""})
	}
	render(w, title, t)
}

func (a Alone) print(w io.Writer) {
	t := newTable("", "script", "ours")
	appendTimes(t, "create → both VIPs", a.Script, a.Ours)
	t.AppendRow(table.Row{"ours ÷ script, p50", "", fmt.Sprintf("%.2f", a.Ratio())})
	render(w, fmt.Sprintf("one cluster alone, %d times", len(a.Ours)), t)
	fmt.Fprintln(w, "script: both claims at once, wait for their addresses by watch, one patch; no allocator.")
}

func newTable(columns ...string) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	header := table.Row{}
	configs := []table.ColumnConfig{}
	for i, column := range columns {
		header = append(header, column)
		if i > 0 {
			configs = append(configs, table.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(configs)
	return t
}

// render prints a table below its title. The table's own would be broken into lines
// as wide as the table.
func render(w io.Writer, title string, t table.Writer) { fmt.Fprintf(w, "%s\n%s\n\n", title, t.Render()) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

func number(value float64) string { return fmt.Sprintf("%.2f", value) }

func megabytes(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
