// Command bench measures the allocator against a script on a management cluster
// of its own:
//
//	go run ./cmd/bench [-clusters 100] [-rounds 1] [-script] [-built] [-alone 20] [-backlog 200] [-gates variable,guard,hold,hook] [-quiet 10s]
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/bench"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

func main() {
	options := bench.Options{Progress: os.Stderr}
	flag.IntVar(&options.Clusters, "clusters", 100, "how many clusters are created at once")
	flag.IntVar(&options.Rounds, "rounds", 1, "how often the floor and the allocator alternate")
	flag.BoolVar(&options.Script, "script", false, "also measure a script that allocates: the price of the class's gate alone")
	flag.IntVar(&options.Alone, "alone", 20, "how many clusters are created one after another, each alone (0: leave that out)")
	flag.IntVar(&options.Backlog, "backlog", 0, "how many clusters wait for an allocator that starts late (0: leave that out)")
	flag.DurationVar(&options.Quiet, "quiet", 10*time.Second, "how long to listen when nothing changes (0: leave that out)")
	flag.BoolVar(&options.Built, "built", true, "also measure, under each gate, until the infrastructure of all clusters exists")
	names := flag.String("gates", "variable,guard,hold,hook", "gates of -built and -backlog")
	keep := flag.Bool("keep", false, "keep the folder with the logs")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second Ctrl-C ends at once: it need not wait for an orderly stop.
	context.AfterFunc(ctx, stop)
	err := chooseGates(&options, *names)
	if err == nil {
		err = run(ctx, options, *keep)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func chooseGates(options *bench.Options, names string) error {
	known := map[string]gates.Gate{"variable": gates.Variable, "guard": gates.Guard, "hold": gates.Hold, "hook": gates.Hook}
	for name := range strings.SplitSeq(names, ",") {
		gate, ok := known[name]
		if !ok {
			return fmt.Errorf("-gates: %q is none of %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		options.Gates = append(options.Gates, gate)
	}
	return nil
}

func run(ctx context.Context, options bench.Options, keep bool) error {
	if options.Clusters < 1 || options.Rounds < 0 || options.Alone < 0 || options.Backlog < 0 {
		return fmt.Errorf("%d clusters, %d rounds, %d alone, %d backlog: too few", options.Clusters, options.Rounds, options.Alone, options.Backlog)
	}
	fmt.Fprintln(os.Stderr, "building the allocator")
	if _, err := allocator.Build(ctx); err != nil {
		return err
	}
	cluster, err := management.Start(ctx, management.Options{Progress: os.Stderr, KeepDir: keep, RuntimeSDK: options.Built || options.Backlog > 0})
	if err != nil {
		return err
	}
	defer cluster.Stop()
	if keep {
		fmt.Fprintln(os.Stderr, "logs and data:", cluster.Dir())
	}
	report, err := bench.Run(ctx, cluster, options)
	if err != nil {
		return err
	}
	report.Print(os.Stdout)
	return nil
}
