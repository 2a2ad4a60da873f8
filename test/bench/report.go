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
	if r.Options.Built {
		printBuilt(w, r.Built, r.Options.Clusters)
	}
	if r.Options.Alone > 0 {
		r.Alone.print(w)
	}
	if r.Options.Backlog > 0 {
		printBacklog(w, r.Backlog, r.Options.Backlog)
	}
}

func (r *Report) ratios() []float64 {
	var ratios []float64
	for _, round := range r.Rounds {
		ratios = append(ratios, round.Ours.Ratio(round.Floor))
	}
	return ratios
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// side is a column of the report.
type side struct {
	name  string
	crowd Crowd
}

func (r Round) sides(o Options) []side {
	if o.Script {
		return []side{{"floor", r.Floor}, {"script", r.Script}, {"ours", r.Ours}}
	}
	return []side{{"floor", r.Floor}, {"ours", r.Ours}}
}

func (r Round) print(w io.Writer, title string, o Options) {
	sides := r.sides(o)
	columns := []string{""}
	for _, side := range sides {
		columns = append(columns, side.name)
	}
	t := newTable(columns...)
	row := func(name string, cell func(Crowd) string) {
		cells := table.Row{name}
		for _, side := range sides {
			cells = append(cells, cell(side.crowd))
		}
		t.AppendRow(cells)
	}
	row("until the last cluster is done", func(c Crowd) string { return seconds(c.Total) })
	row("÷ floor", func(c Crowd) string { return number(c.Ratio(r.Floor)) })
	row("clusters per second", func(c Crowd) string { return number(c.Rate()) })
	row("until the last claim is bound", func(c Crowd) string { return seconds(c.LastBound) })
	t.AppendSeparator()
	row("create → done, p50 / p95 / max", func(c Crowd) string { return times(c.ToDone()) })
	row("create → endpoint", func(c Crowd) string { return times(c.ToEndpoint()) })
	row("create → ingress stamp", func(c Crowd) string { return times(c.ToIngressStamp()) })
	row("claim bound → published", func(c Crowd) string { return times(c.BoundToPublished()) })
	render(w, title, t)
	fmt.Fprint(w, definition)
	fmt.Fprintf(w, "allocator: peak memory %s, CPU time %s\n\n", megabytes(r.Usage.PeakRSS), seconds(r.Usage.CPU))
	printWrites(w, sides, o.Clusters)
	printTallies(w, "requests of the allocator, per cluster", r.Ours.Requests.ofAllocator().PerResource(), o.Clusters)
	if o.Quiet > 0 {
		printTallies(w, fmt.Sprintf("requests of the allocator in %s without changes, with %d clusters", o.Quiet, o.Clusters),
			r.Quiet.PerResource(), 1)
	}
}

const definition = `floor: clusters with all VIPs typed in, their claims made by a script, no allocator.
A cluster is done when both of its claims are bound and it carries both VIPs. Times are those of the API server's
answers, out of its audit log: what watches show can be many seconds late.
`

// times is p50, p95 and the longest; nothing if all are zero or below: what was
// there from the beginning took no time.
func times(durations []time.Duration) string {
	if Quantile(1, durations) <= 0 {
		return ""
	}
	return fmt.Sprintf("%s / %s / %s", seconds(Quantile(0.5, durations)),
		seconds(Quantile(0.95, durations)), seconds(Quantile(1, durations)))
}

// printWrites compares who wrote how much.
func printWrites(w io.Writer, sides []side, clusters int) {
	columns := []string{"user agent"}
	perSide := make([][]audit.Tally, len(sides))
	var everything Requests
	for i, side := range sides {
		columns = append(columns, side.name)
		perSide[i] = side.crowd.Requests.Writes().PerAgent()
		everything = append(everything, side.crowd.Requests.Writes()...)
	}
	t := newTable(columns...)
	for _, agent := range everything.PerAgent() {
		cells := table.Row{agent.Key}
		for _, tallies := range perSide {
			cells = append(cells, share(find(tallies, agent.Key), clusters))
		}
		t.AppendRow(cells)
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
	t.AppendRow(table.Row{"create → both VIPs, p50 / p95 / max", times(a.Script), times(a.Ours)})
	t.AppendRow(table.Row{"ours ÷ script, p50", "", number(a.Ratio())})
	render(w, fmt.Sprintf("one cluster alone, %d times", len(a.Ours)), t)
	fmt.Fprintln(w, "script: both claims at once, wait for their addresses by watch, one patch; no allocator.")
}

func printBacklog(w io.Writer, backlogs []Backlog, clusters int) {
	t := newTable("until the last one", "provider alone", "ours, bound", "ours", "ours ÷ alone", "ours ÷ bound")
	for i := range backlogs[0].Served {
		var alone, bound, ours []float64 // in seconds
		for _, b := range backlogs {
			s := b.Served[i]
			alone, bound, ours = append(alone, b.Provider.Seconds()), append(bound, s.Bound.Seconds()), append(ours, s.Ours.Seconds())
			t.AppendRow(table.Row{s.Gate, seconds(b.Provider), seconds(s.Bound), seconds(s.Ours), number(b.Ratio(s)), number(s.BoundRatio())})
		}
		// Ratios of medians: what the machine does otherwise disturbs either side of a ratio.
		a, b, o := median(alone), median(bound), median(ours)
		t.AppendRow(table.Row{"median", number(a) + "s", number(b) + "s", number(o) + "s", number(o / a), number(o / b)})
		t.AppendSeparator()
	}
	render(w, fmt.Sprintf("%d clusters that waited for an allocator", clusters), t)
	fmt.Fprintln(w, "provider alone: the claims of all, made at once by a script, until the last is bound; nothing is built meanwhile. They lack what ours are born with, the provider's finalizer.")
	fmt.Fprintln(w, "ours: from the start of the allocator; bound: until its provider, beside it, has bound the last claim.")
}

func newTable(columns ...string) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	var header table.Row
	var configs []table.ColumnConfig
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
func render(w io.Writer, title string, t table.Writer) {
	fmt.Fprintf(w, "%s\n%s\n\n", title, t.Render())
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }

func number(value float64) string { return fmt.Sprintf("%.2f", value) }

func megabytes(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
