package scale

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/bench"
)

// Print writes the report for people to read.
func (r *Report) Print(w io.Writer) {
	r.printSizes(w)
	r.printRatio(w)
	r.printLargest(w)
}

func (r *Report) printSizes(w io.Writer) {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	header := table.Row{"clusters"}
	var right []table.ColumnConfig
	for i, size := range r.Sizes {
		header = append(header, size.Clusters)
		right = append(right, table.ColumnConfig{Number: i + 2, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(right)
	row := func(name string, cell func(Size) string) {
		cells := table.Row{name}
		for _, size := range r.Sizes {
			cells = append(cells, cell(size))
		}
		t.AppendRow(cells)
	}
	row("start → ready", func(s Size) string { return seconds(s.Start.Ready) })
	row("start → every cluster was looked at", func(s Size) string { return seconds(s.Start.Rest) })
	row("  writes", func(s Size) string { return fmt.Sprint(len(Writes(s.Start.Requests))) })
	row("  reads", func(s Size) string { return reads(s.Start.Requests) })
	row("  CPU time", func(s Size) string { return seconds(s.Start.Usage.CPU) })
	row("  memory, peak / after", func(s Size) string { return memory(s.Start.Usage.PeakRSS, s.Start.Usage.RSS) })
	row("start → VIPs of a cluster that waited", func(s Size) string { return seconds(s.First) })
	t.AppendSeparator()
	row("cluster created → claims made, p50 / longest", func(s Size) string { return medianAndLongest(s.claims()) })
	row("claim bound → VIP published, p50 / longest", func(s Size) string { return medianAndLongest(s.publish()) })
	t.AppendSeparator()
	row("an edit of a cluster: CPU time", func(s Size) string { return milliseconds(s.Edits.PerEvent()) })
	row("  one pass over it", func(s Size) string { return milliseconds(s.Edits.Pass) })
	row("  passes / edits", func(s Size) string { return fmt.Sprintf("%d / %d", s.Edits.Passes, s.Edits.Count) })
	row("  writes", func(s Size) string { return fmt.Sprint(len(Writes(s.Edits.Requests))) })
	t.AppendSeparator()
	row("scrape of /metrics", func(s Size) string { return milliseconds(s.Scrape) })
	fmt.Fprintln(w, t.Render())
}

func (s Size) claims() []time.Duration {
	return s.each(func(l Latency) time.Duration { return l.Claims })
}

func (s Size) publish() []time.Duration {
	return s.each(func(l Latency) time.Duration { return l.Publish })
}

func (s Size) each(of func(Latency) time.Duration) []time.Duration {
	var result []time.Duration
	for _, latency := range s.Latencies {
		result = append(result, of(latency))
	}
	return result
}

func median(durations []time.Duration) time.Duration { return bench.Quantile(0.5, durations) }

func longest(durations []time.Duration) time.Duration { return bench.Quantile(1, durations) }

func medianAndLongest(durations []time.Duration) string {
	return fmt.Sprintf("%.1f / %.1f ms", 1e3*median(durations).Seconds(), 1e3*longest(durations).Seconds())
}

// printRatio compares the largest size with the smallest.
func (r *Report) printRatio(w io.Writer) {
	if len(r.Sizes) < 2 {
		return
	}
	first, last := r.Sizes[0], r.Sizes[len(r.Sizes)-1]
	ratio := func(of func(Size) time.Duration) float64 { return of(last).Seconds() / of(first).Seconds() }
	fmt.Fprintf(w, "\n%d ÷ %d clusters: cluster created → claims made %.2f, claim bound → VIP published %.2f, CPU time of an edit %.2f, pass %.2f\n",
		last.Clusters, first.Clusters,
		ratio(func(s Size) time.Duration { return median(s.claims()) }), ratio(func(s Size) time.Duration { return median(s.publish()) }),
		ratio(func(s Size) time.Duration { return s.Edits.PerEvent() }), ratio(func(s Size) time.Duration { return s.Edits.Pass }))
}

// printLargest says what happened at the largest size.
func (r *Report) printLargest(w io.Writer) {
	clusters := r.Sizes[len(r.Sizes)-1].Clusters
	line := func(format string, values ...any) { fmt.Fprintf(w, format+"\n", values...) }
	line("\nWith %d clusters:", clusters)
	if c := r.Churn; c.Count > 0 {
		line("a tenth of them edited per minute, %d edits in %s: %d writes, %d passes, CPU time %s (%.1f %% of a core), memory %s",
			c.Count, seconds(c.Took), len(Writes(c.Requests)), c.Passes, seconds(c.CPU), 100*c.CPU.Seconds()/c.Took.Seconds(), memory(c.Usage.PeakRSS, c.Usage.RSS))
	}
	if i := r.Idle; i.Took > 0 {
		line("nothing happens for %s: %d requests, CPU time %s, memory %s",
			i.Took, len(i.Requests), seconds(i.CPU), memory(i.Usage.PeakRSS, i.Usage.RSS))
	}
	a := r.Restart
	line("the API server is killed and ready again after %s: a new cluster has its VIPs %s later; the allocator rests after %s;\n  %d writes, reads: %s; CPU time %s, memory %s",
		seconds(a.Away), seconds(a.Serves), seconds(a.Rest), len(Writes(a.Requests)), reads(a.Requests), seconds(a.CPU), memory(a.Usage.PeakRSS, a.Usage.RSS))
}

// reads counts requests by what they are; a list+watch is a watch that begins with all
// objects.
func reads(requests []audit.Event) string {
	counts := map[string]int{}
	for _, e := range requests {
		if !e.IsWrite() {
			counts[kindOf(e)]++
		}
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(parts, ", ")
}

func memory(peak, now uint64) string {
	return fmt.Sprintf("%.0f / %.0f MB", float64(peak)/1e6, float64(now)/1e6)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1e3) }
