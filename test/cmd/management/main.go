// Command management runs a Cluster API management cluster for tests and demos
// on this machine, until it is interrupted:
//
//	go run ./cmd/management [-dir D | -keep] [-runtime-sdk] [-release v1.10]
//	go run ./cmd/management -build   # only compile the components, for later
//	go run ./cmd/management -build -neighbours   # and those of ./neighbours
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/gorizond/capi-vip-allocator/test/management"
)

func main() {
	var options management.Options
	flag.StringVar(&options.Dir, "dir", "", "empty folder for data and logs, kept at the end (default: a temporary one)")
	flag.BoolVar(&options.KeepDir, "keep", false, "keep the temporary folder at the end")
	flag.BoolVar(&options.RuntimeSDK, "runtime-sdk", false, "turn on the RuntimeSDK feature gate of Cluster API")
	release := flag.String("release", "", `of Cluster API, such as "v1.10"; the newest one if empty`)
	neighbours := flag.Bool("neighbours", false, "with -build, compile the providers and Fleet that ./neighbours runs, too")
	build := flag.Bool("build", false, "compile the components, which takes minutes the first time, and end")
	flag.Parse()
	options.Progress, options.Release = os.Stderr, management.Release(*release)
	if *neighbours {
		options.Providers = append(management.Neighbours(), management.Fleet)
	}
	if err := run(options, *build); err != nil {
		fmt.Fprintln(os.Stderr, "management:", err)
		os.Exit(1)
	}
}

func run(options management.Options, build bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if build {
		_, err := management.Build(ctx, options.Progress, options.Release, options.Providers...)
		return err
	}
	cluster, err := management.Start(ctx, options)
	if err != nil {
		return err
	}
	defer cluster.Stop()
	fmt.Printf("export KUBECONFIG=%s\n", cluster.Kubeconfig())
	fmt.Fprintf(os.Stderr, "logs:      %s\naudit log: %s\nPress Ctrl-C to stop.\n",
		filepath.Dir(cluster.AuditLog()), cluster.AuditLog())
	<-ctx.Done()
	fmt.Fprintln(os.Stderr, "stopping")
	return nil
}
