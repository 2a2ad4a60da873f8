package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Explain returns the command that explains one Cluster.
func Explain() *cobra.Command {
	to, set, as := newTarget(), &settings{}, new(format)
	cmd := &cobra.Command{
		Use:   "explain [[cluster] NAME]",
		Short: "Explain what a Cluster's VIPs are, or what they wait for",
		Long: "Explains, by the controller's own planner, what the VIPs of a Cluster are or what they wait for:\n" +
			"claims, all pools in the order in which they are tried, gates, and what to do next.\n" +
			"Works while the controller is down. Only gets and lists; what may not be seen is named.\n" +
			"Without a name it lists the Clusters, as the command clusters does.",
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) == 1 && isClusterKind(args[0]) {
				return printClusters(cmd, to, set, *as)
			}
			name, err := clusterName(args)
			if err != nil {
				return err
			}
			explanation, err := explain(cmd.Context(), to, set, name)
			if err != nil {
				return err
			}
			return printAs(cmd.OutOrStdout(), string(*as), explanation, func(s *screen) { s.explanation(explanation) })
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 1 || (len(args) == 1 && !isClusterKind(args[0])) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeClusters(cmd.Context(), to), cobra.ShellCompDirectiveNoFileComp
		},
	}
	to.bind(cmd)
	set.bind(cmd.Flags())
	as.bind(cmd)
	return cmd
}

func explain(ctx context.Context, to *target, set *settings, name string) (*Explanation, error) {
	namespace, err := to.namespace()
	if err != nil {
		return nil, err
	}
	r, err := to.connect()
	if err != nil {
		return nil, err
	}
	cluster, err := r.findCluster(ctx, namespace, name, to.allNamespaces)
	if err != nil {
		return nil, err
	}
	config, controller, err := set.find(ctx, r)
	if err != nil {
		return nil, err
	}
	return r.explain(ctx, cluster, config, controller)
}

// isClusterKind tells whether the word is one of those that kubectl takes for Clusters.
func isClusterKind(word string) bool {
	return slices.Contains([]string{"cluster", "clusters", "cl", "clusters.cluster.x-k8s.io", "cluster.cluster.x-k8s.io"}, strings.ToLower(word))
}

// clusterName reads NAME, cluster NAME and cluster/NAME.
func clusterName(args []string) (string, error) {
	kind, name, slash := strings.Cut(args[0], "/")
	switch {
	case len(args) == 2 && slash:
		return "", fmt.Errorf("%q and %q: name one Cluster, as in cluster NAME or cluster/NAME", args[0], args[1])
	case len(args) == 2:
		name = args[1]
	case !slash:
		kind, name = "cluster", args[0]
	}
	if !isClusterKind(kind) {
		return "", fmt.Errorf("%q is no kind that can be explained, only cluster is; the namespace goes into -n", kind)
	}
	if name == "" || strings.Contains(name, "/") {
		return "", errors.New("name one Cluster, as in cluster NAME or cluster/NAME; the namespace goes into -n")
	}
	return name, nil
}

func completeClusters(ctx context.Context, to *target) []cobra.Completion {
	return completeNames(ctx, to, clusters)
}

// completeNames lists the names of objects for the shell, which has no use for errors.
func completeNames(ctx context.Context, to *target, what resource) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	namespace, err := to.namespace()
	if err != nil {
		return nil
	}
	if to.allNamespaces {
		namespace = metav1.NamespaceAll
	}
	r, err := to.connect()
	if err != nil {
		return nil
	}
	list, err := r.listIn(ctx, what, namespace)
	if err != nil {
		return nil
	}
	var names []cobra.Completion
	for i := range list {
		names = append(names, list[i].GetName())
	}
	return names
}
