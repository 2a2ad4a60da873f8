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
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

// Options say what to measure.
type Options struct {
	Clusters int           // how many are created at once
	Rounds   int           // how often the floor and the allocator alternate
	Script   bool          // put a script that allocates, see Round, between the two
	Alone    int           // how many Clusters are created one after another, each alone; 0 leaves that out
	Backlog  int           // how many Clusters wait for an allocator that starts late; 0 leaves that out
	Gates    []gates.Gate  // of the backlog, and of the Clusters that are built
	Built    bool          // measure until infrastructure exists, in each round
	Quiet    time.Duration // how long to listen when nothing changes; 0 leaves that out
	Progress io.Writer     // one line per step
}

// Report is what was measured.
type Report struct {
	Options Options
	Rounds  []Round
	Alone   Alone
	Backlog []Backlog
	Built   []Built
}

// Round is the floor and the allocator after one another, from equal starts.
type Round struct {
	Floor Crowd // VIPs typed in, claims by a script
	// Script is what the least conceivable allocator takes: a script that makes both
	// claims of each Cluster, waits for the addresses and writes them in one patch.
	// Its distance from Floor is the price of the class's gate. Zero if not asked for.
	Script Crowd
	Ours   Crowd
	Usage  allocator.Usage // of the allocator, for all of Ours, its start aside
	Quiet  Requests        // by the allocator, while nothing changed
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
	var installed allocator.Options
	if o.Built || o.Backlog > 0 {
		if installed, err = w.installGates(ctx); err != nil {
			return nil, fmt.Errorf("install the gates: %w", err)
		}
	}
	if o.Built {
		if report.Built, err = w.built(ctx, o, installed); err != nil {
			return nil, err
		}
	}
	if o.Alone > 0 {
		if report.Alone, err = w.alone(ctx, o.Alone); err != nil {
			return nil, fmt.Errorf("one cluster alone: %w", err)
		}
	}
	if o.Backlog > 0 {
		if report.Backlog, err = w.backlogs(ctx, o, installed); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// round measures the floor without an allocator, then the allocator. Each leaves
// the pools as empty as it found them.
func (w *world) round(ctx context.Context, number int, o Options) (round Round, err error) {
	w.say("round %d: the floor: %d clusters with VIPs typed in, and their claims, by a script", number, o.Clusters)
	round.Floor, err = w.without(ctx, fmt.Sprintf("floor-%d", number), o.Clusters, creators, w.script.typedCluster)
	if err != nil {
		return round, fmt.Errorf("floor: %w", err)
	}
	if o.Script {
		w.say("round %d: the script: %d clusters without VIPs", number, o.Clusters)
		// All at once: each of them waits for its addresses.
		round.Script, err = w.without(ctx, fmt.Sprintf("script-%d", number), o.Clusters, o.Clusters, w.script.scriptedCluster)
		if err != nil {
			return round, fmt.Errorf("script: %w", err)
		}
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

// without measures Clusters while no allocator runs.
func (w *world) without(ctx context.Context, namespace string, n, atOnce int, create creator) (Crowd, error) {
	if err := w.prepare(ctx, namespace, create); err != nil {
		return Crowd{}, err
	}
	crowd, err := w.crowd(ctx, namespace, n, atOnce, create)
	if err != nil {
		return Crowd{}, err
	}
	return crowd, w.clear(ctx, namespace)
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
	if round.Ours, err = w.crowd(ctx, namespace, o.Clusters, creators, w.script.plainCluster); err != nil {
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
