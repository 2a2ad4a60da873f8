// Package bench measures the allocator on a real management cluster against a
// floor: the same Clusters and the same claims, made by a script that needs no
// allocator. Every time comes from watches of this process, so there is one clock.
package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

// Options say what to measure.
type Options struct {
	Clusters int           // how many are created at once
	Rounds   int           // how often the floor and the allocator alternate
	Alone    int           // how many Clusters are created one after another, each alone; 0 leaves that out
	Quiet    time.Duration // how long to listen when nothing changes; 0 leaves that out
	Progress io.Writer     // one line per step
}

// Report is what was measured.
type Report struct {
	Options Options
	Rounds  []Round
	Alone   Alone
}

// Round is the floor and the allocator after one another, from equal starts.
type Round struct {
	Floor Crowd
	Ours  Crowd
	Usage allocator.Usage // of the allocator, for all of Ours, its start aside
	Quiet Requests        // by the allocator, while nothing changed
}

// Run measures on a management cluster that nobody else uses.
func Run(ctx context.Context, cluster *management.Cluster, o Options) (*Report, error) {
	ctx, endWatches := context.WithCancel(ctx)
	defer endWatches()
	w, err := newWorld(ctx, cluster, o.Progress)
	if err != nil {
		return nil, err
	}
	report := &Report{Options: o}
	for i := 1; i <= o.Rounds; i++ {
		round, err := w.round(ctx, i, o)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", i, err)
		}
		report.Rounds = append(report.Rounds, round)
	}
	if o.Alone > 0 {
		if report.Alone, err = w.alone(ctx, o.Alone); err != nil {
			return nil, fmt.Errorf("one cluster alone: %w", err)
		}
	}
	return report, nil
}

// round measures the floor without an allocator, then the allocator. Both leave
// the pools as empty as they found them.
func (w *world) round(ctx context.Context, number int, o Options) (round Round, err error) {
	w.say("round %d: the floor: %d clusters with VIPs typed in, and their claims, by a script", number, o.Clusters)
	namespace := fmt.Sprintf("floor-%d", number)
	if err := w.prepare(ctx, namespace, w.script.typedCluster); err != nil {
		return round, err
	}
	if round.Floor, err = w.crowd(ctx, namespace, o.Clusters, w.script.typedCluster); err != nil {
		return round, fmt.Errorf("floor: %w", err)
	}
	if err := w.clear(ctx, namespace); err != nil {
		return round, err
	}

	w.say("round %d: the allocator: %d clusters without VIPs", number, o.Clusters)
	process, err := w.startAllocator(ctx)
	if err != nil {
		return round, err
	}
	defer process.Kill() // for the errors below; harmless after Stop
	if err := w.ours(ctx, process, number, o, &round); err != nil {
		return round, fmt.Errorf("allocator: %w; end of its log:\n%s", err, process.LogTail())
	}
	_, err = process.Stop()
	return round, err
}

// ours is the second half of a round, with an allocator that runs.
func (w *world) ours(ctx context.Context, process *allocator.Process, number int, o Options, round *Round) error {
	namespace := fmt.Sprintf("ours-%d", number)
	if err := w.prepare(ctx, namespace, w.script.plainCluster); err != nil {
		return err
	}
	before, err := process.Usage()
	if err != nil {
		return err
	}
	if round.Ours, err = w.crowd(ctx, namespace, o.Clusters, w.script.plainCluster); err != nil {
		return err
	}
	if round.Usage, err = process.Usage(); err != nil {
		return err
	}
	round.Usage.CPU -= before.CPU
	if o.Quiet > 0 {
		w.say("round %d: listening for %s while nothing changes", number, o.Quiet)
		if round.Quiet, err = w.listen(ctx, o.Quiet); err != nil {
			return err
		}
	}
	return w.clear(ctx, namespace)
}
