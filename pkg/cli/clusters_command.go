package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// Clusters returns the command that lists Clusters and their VIPs.
func Clusters() *cobra.Command {
	to, set, as := newTarget(), &settings{}, new(format)
	var follow bool
	cmd := &cobra.Command{
		Use:   "clusters",
		Short: "List Clusters: their VIPs, where these are from, and what they wait for",
		Long: "Lists the Clusters of a namespace, or of all: their VIPs, from which pool, since when, and what they wait\n" +
			"for. Judged by the controller's own planner, so it works while that is down. Only gets, lists and watches.",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if follow {
				return followClusters(cmd, to, set, *as)
			}
			return printClusters(cmd, to, set, *as)
		},
	}
	to.bind(cmd)
	set.bind(cmd.Flags())
	as.bind(cmd)
	cmd.Flags().BoolVarP(&follow, "watch", "w", false, "go on, and print a Cluster again when its line changes")
	return cmd
}

// printClusters lists the Clusters once.
func printClusters(cmd *cobra.Command, to *target, set *settings, as format) error {
	list, _, err := listClusters(cmd.Context(), to, set)
	if err != nil {
		return err
	}
	return printAs(cmd.OutOrStdout(), string(as), list, func(s *screen) { s.clusters(list, to.allNamespaces) })
}

func listClusters(ctx context.Context, to *target, set *settings) (*ClusterList, *reading, error) {
	namespace, err := to.namespace()
	if err != nil {
		return nil, nil, err
	}
	r, err := to.connect()
	if err != nil {
		return nil, nil, err
	}
	config, controller, err := set.find(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	only := namespace
	if to.allNamespaces {
		only = metav1.NamespaceAll
	}
	list, err := r.clusterList(ctx, only, namespace, config, controller)
	return list, r, err
}

// pause is how long changes are gathered before everything is listed again: a Cluster that is
// being built changes several times a second.
const pause = time.Second

// followClusters prints lines again as they change, until it is stopped. What is watched only
// tells that something changed: what comes of it the planner says, from fresh lists.
func followClusters(cmd *cobra.Command, to *target, set *settings, as format) error {
	if as != asTable {
		return fmt.Errorf("--watch prints a table only, not %s", as)
	}
	ctx := cmd.Context()
	s := newScreen(cmd.OutOrStdout())
	shown := map[string]string{}
	changed := make(chan struct{}, 1)
	var once bool
	for {
		list, r, err := listClusters(ctx, to, set)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if !once {
			once = true
			if err := r.notify(ctx, changed); err != nil {
				return err
			}
		}
		s.now = time.Now()
		s.changedClusters(list, to.allNamespaces, shown)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// notify tells of every change of a Cluster or claim that may be watched.
func (r *reading) notify(ctx context.Context, changed chan<- struct{}) error {
	for _, what := range []resource{clusters, claims} {
		events, err := r.of(what).Watch(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("watch %s: %w", what.GroupResource(), err)
		}
		go r.forward(ctx, what, events, changed)
	}
	return nil
}

// forward passes events on without their content. A watch that ends is begun anew.
func (r *reading) forward(ctx context.Context, what resource, events watch.Interface, changed chan<- struct{}) {
	for ctx.Err() == nil {
		for range events.ResultChan() {
			select {
			case changed <- struct{}{}:
			default: // told already
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if again, err := r.of(what).Watch(ctx, metav1.ListOptions{}); err == nil {
			events = again
		}
	}
}
