package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
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
	list, err := listClusters(cmd.Context(), to, set)
	if err != nil {
		return err
	}
	return printAs(cmd.OutOrStdout(), string(as), list, func(s *screen) { s.clusters(list, to.allNamespaces) })
}

func listClusters(ctx context.Context, to *target, set *settings) (*ClusterList, error) {
	namespace, err := to.namespace()
	if err != nil {
		return nil, err
	}
	r, config, controller, err := set.connect(ctx, to)
	if err != nil {
		return nil, err
	}
	only := namespace
	if to.allNamespaces {
		only = metav1.NamespaceAll
	}
	return r.clusterList(ctx, only, namespace, config, controller)
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
	changed, err := notify(ctx, to)
	if err != nil {
		return err
	}
	s, shown := newScreen(cmd.OutOrStdout()), map[string]string{}
	for {
		list, err := listClusters(ctx, to, set)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop while listing
		}
		if err != nil {
			return err
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

// notify tells of every change of a Cluster or claim that the user may watch.
func notify(ctx context.Context, to *target) (<-chan struct{}, error) {
	namespace, err := to.namespace()
	if err != nil {
		return nil, err
	}
	if to.allNamespaces {
		namespace = metav1.NamespaceAll
	}
	r, err := to.connect()
	if err != nil {
		return nil, err
	}
	changed := make(chan struct{}, 1)
	for _, what := range []resource{clusters, claims} {
		client := r.of(what).Namespace(namespace)
		events, err := client.Watch(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", what.GroupResource(), err)
		}
		go forward(ctx, client, events, changed)
	}
	return changed, nil
}

// forward passes events on without their content. A watch that ends is begun anew.
func forward(ctx context.Context, client dynamic.ResourceInterface, events watch.Interface, changed chan<- struct{}) {
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
		if again, err := client.Watch(ctx, metav1.ListOptions{}); err == nil {
			events = again
		}
	}
}
