// Command bench-scale measures the allocator beside many Clusters that have their VIPs:
//
//	go run ./cmd/bench-scale [-clusters 10000] [-samples 20] [-edits 1000] [-churn 1m] [-idle 2m30s] [-docs ../docs]
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/scale"
)

func main() {
	options := scale.Options{Progress: os.Stderr}
	clusters := flag.Int("clusters", 10_000, "how many clusters there are at most; smaller numbers come first, in steps of ten")
	flag.IntVar(&options.Samples, "samples", 20, "how many new clusters are served at each size")
	flag.IntVar(&options.Edits, "edits", 1000, "how many labels are edited at each size")
	flag.DurationVar(&options.Churn, "churn", time.Minute, "how long a tenth of all clusters is edited per minute (0: leave that out)")
	flag.DurationVar(&options.Idle, "idle", 150*time.Second, "how long nothing happens (0: leave that out)")
	docs := flag.String("docs", "", "a folder whose scale.md takes the figures, and scale.svg the drawing")
	flag.Parse()
	for size := 10; size < *clusters; size *= 10 {
		options.Sizes = append(options.Sizes, size)
	}
	options.Sizes = append(options.Sizes, *clusters)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second Ctrl-C ends at once: it need not wait for an orderly stop.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, options, *docs); err != nil {
		fmt.Fprintln(os.Stderr, "bench-scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, options scale.Options, docs string) error {
	fmt.Fprintln(os.Stderr, "building the allocator")
	if _, err := allocator.Build(ctx); err != nil {
		return err
	}
	report, err := scale.Run(ctx, options)
	if err != nil {
		return err
	}
	report.Print(os.Stdout)
	if docs == "" {
		return nil
	}
	return document(report, docs)
}

// document puts the report into the documentation.
func document(report *scale.Report, docs string) error {
	var text, drawing bytes.Buffer
	report.Print(&text)
	if err := report.Draw(&drawing); err != nil {
		return err
	}
	page := filepath.Join(docs, "scale.md")
	content, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	const begin, end = "```text\n", "```\n"
	before, rest, found := bytes.Cut(content, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		return fmt.Errorf("%s has no block of text for the figures", page)
	}
	content = bytes.Join([][]byte{before, []byte(begin), text.Bytes(), []byte(end), after}, nil)
	if err := os.WriteFile(page, content, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "scale.svg"), drawing.Bytes(), 0o644)
}
