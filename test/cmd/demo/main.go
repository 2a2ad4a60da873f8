// Command demo shows the allocator at work on a management cluster of its own:
//
//	go run ./cmd/demo [-once]
//
// It applies the example pools, ClusterClass and Clusters, shows what happens, and
// leaves everything running until Ctrl-C. With -once it ends by itself: exit code
// 0 means that every Cluster got its VIPs and that no infrastructure was born
// without them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// deadline is how long the Clusters may take to get their VIPs, once everything runs.
const deadline = 2 * time.Minute

func main() {
	once := flag.Bool("once", false, "end after the first round instead of on Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// A second Ctrl-C ends at once: it need not wait for an orderly stop.
	context.AfterFunc(ctx, stop)
	err := run(ctx, *once)
	if ctx.Err() != nil && err != nil {
		err = errors.New("interrupted") // whatever failed, failed because of that
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, once bool) (err error) {
	screen := newScreen(os.Stdout)
	stage, err := setUp(ctx, screen)
	if err != nil {
		return err
	}
	defer func() {
		screen.say("stopping")
		err = errors.Join(err, stage.tearDown())
	}()
	// The watches end before the API server does, or they would complain.
	ctx, endWatches := context.WithCancel(ctx)
	defer endWatches()
	board := newBoard()
	if err := board.watch(ctx, stage.client); err != nil {
		return err
	}
	if err := stage.applyExamples(ctx); err != nil {
		return err
	}
	err = play(ctx, stage, board, screen)
	if once || ctx.Err() != nil {
		return err
	}
	if err != nil {
		screen.say("%s\n", err) // and stay, so that one can look why
	}
	if err := stage.startPage(ctx); err != nil {
		return err
	}
	screen.invite(stage.management.Kubeconfig(), stage.page.URL)
	return watchOn(ctx, stage, board, screen)
}

// play shows the board until all Clusters are served. It fails if they are not
// in time, or if infrastructure was born without its VIPs.
func play(ctx context.Context, stage *stage, board *board, screen *screen) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline,
		fmt.Errorf("not every cluster has its VIPs and its infrastructure after %s", deadline))
	defer cancel()
	for {
		rows := board.rows()
		screen.show(rows)
		if len(rows) == stage.clusters && complete(rows) {
			screen.finish(rows)
			return faults(rows)
		}
		select {
		case <-board.changed:
		case <-stage.allocator.Done():
			return stage.allocatorEnded()
		case <-ctx.Done():
			screen.finish(board.rows())
			return fmt.Errorf("%w; end of the allocator's log:\n%s", context.Cause(ctx), stage.allocator.LogTail())
		}
	}
}

// watchOn keeps the table up to date while the user plays with the cluster.
func watchOn(ctx context.Context, stage *stage, board *board, screen *screen) error {
	for {
		select {
		case <-board.changed:
			screen.show(board.rows())
		case <-stage.allocator.Done():
			return stage.allocatorEnded()
		case <-ctx.Done():
			return nil
		}
	}
}
