// Package scale measures how the allocator does beside many Clusters that have their VIPs:
// how long it takes to start, what it weighs, and whether one event costs more among ten
// thousand Clusters than among ten. There are etcd and kube-apiserver alone, and this
// process plays everybody else.
package scale

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
)

// Options say what to measure.
type Options struct {
	Sizes    []int         // how many Clusters there are, rising
	Samples  int           // how many new Clusters are served at each size
	Edits    int           // how many labels are edited at each size
	Churn    time.Duration // how long a tenth of all Clusters is edited per minute, at the largest size
	Idle     time.Duration // how long nothing happens, at the largest size
	Progress io.Writer     // one line per step; nil is silent
}

// Report is what was measured.
type Report struct {
	Sizes   []Size
	Churn   Edits
	Idle    Idle
	Restart Restart
}

// Size is what was measured at one number of Clusters.
type Size struct {
	Clusters  int
	Start     Start
	First     time.Duration // from a start to the VIPs of a Cluster that waited for it
	Latencies []Latency     // of new Clusters
	Edits     Edits
	Scrape    time.Duration // of /metrics
}

// Idle is a time in which nothing changed.
type Idle struct {
	Took     time.Duration
	CPU      time.Duration
	Usage    allocator.Usage // at the end
	Requests []audit.Event
}

// Check tells what keeps these options from being measured.
func (o Options) Check() error {
	last := 0
	for _, size := range o.Sizes {
		if size <= last || size > mostClusters {
			return fmt.Errorf("sizes %v: they must rise, to %d at most", o.Sizes, mostClusters)
		}
		last = size
	}
	if last == 0 || o.Samples < 1 || o.Edits < 1 {
		return fmt.Errorf("%d sizes, %d samples, %d edits: too few", len(o.Sizes), o.Samples, o.Edits)
	}
	return nil
}

// Run measures on an API server of its own.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	w, err := newWorld(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	report := &Report{}
	for i, clusters := range o.Sizes {
		if err := w.grow(ctx, clusters); err != nil {
			return nil, err
		}
		process, size, err := w.measure(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("%d clusters: %w", clusters, err)
		}
		report.Sizes = append(report.Sizes, size)
		if i == len(o.Sizes)-1 {
			err = w.measureMore(ctx, process, o, report)
		}
		if _, stopErr := process.Stop(); err == nil {
			err = stopErr
		}
		if err != nil {
			return nil, fmt.Errorf("%d clusters: %w", clusters, err)
		}
	}
	return report, nil
}

// measure measures what is compared between sizes, and leaves an allocator that runs.
func (w *world) measure(ctx context.Context, o Options) (*allocator.Process, Size, error) {
	size := Size{Clusters: w.clusters}
	var err error
	w.say("%d clusters: a start while a new cluster waits", w.clusters)
	if size.First, err = w.firstPublication(ctx); err != nil {
		return nil, size, err
	}
	w.say("%d clusters: a start with nothing to do", w.clusters)
	process, start, err := w.coldStart(ctx)
	if err != nil {
		return nil, size, err
	}
	size.Start = start
	w.say("%d clusters: %d new ones", w.clusters, o.Samples)
	if size.Latencies, err = w.latencies(ctx, o.Samples); err == nil {
		w.say("%d clusters: %d edits", w.clusters, o.Edits)
		size.Edits, err = w.edit(ctx, process, o.Edits, editInterval)
	}
	if err == nil {
		begin := time.Now()
		_, err = process.Scrape(ctx)
		size.Scrape = time.Since(begin)
	}
	if err != nil {
		err = fmt.Errorf("%w; end of the allocator's log:\n%s", err, process.LogTail())
		process.Kill()
		return nil, size, err
	}
	return process, size, nil
}

// measureMore measures what matters at the largest size only.
func (w *world) measureMore(ctx context.Context, process *allocator.Process, o Options, report *Report) error {
	var err error
	if o.Churn > 0 {
		w.say("%d clusters: a tenth of them edited per minute, for %s", w.clusters, o.Churn)
		if report.Churn, err = w.churn(ctx, process, o.Churn); err != nil {
			return err
		}
	}
	if o.Idle > 0 {
		w.say("%d clusters: nothing happens for %s", w.clusters, o.Idle)
		if report.Idle, err = w.idle(ctx, process, o.Idle); err != nil {
			return err
		}
	}
	w.say("%d clusters: the API server is killed and started again", w.clusters)
	report.Restart, err = w.restart(ctx, process)
	return err
}

func (w *world) idle(ctx context.Context, process *allocator.Process, long time.Duration) (Idle, error) {
	result := Idle{Took: long}
	before, err := process.Usage()
	if err != nil {
		return result, err
	}
	position, err := w.audit.Position()
	if err != nil {
		return result, err
	}
	select {
	case <-time.After(long):
	case <-ctx.Done():
		return result, context.Cause(ctx)
	}
	if result.Usage, err = process.Usage(); err != nil {
		return result, err
	}
	result.CPU = result.Usage.CPU - before.CPU
	result.Requests, err = w.requests(position)
	return result, err
}
