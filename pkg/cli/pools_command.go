package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// Pools returns the command that lists the pools of VIPs.
func Pools() *cobra.Command {
	to, set, as, w := newTarget(), &settings{}, new(format), wanted{}
	cmd := &cobra.Command{
		Use:   "pools [NAME]",
		Short: "List the pools of VIPs, their room, and what is wrong with them",
		Long: "Lists every IPAM pool that carries the allocator's keys: whom it serves, how full it is, who waits for it,\n" +
			"and what is wrong with it. NAME, which may be namespace/name, lists who holds its addresses, too.\n" +
			"Only gets and lists; what may not be seen is named.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				w.name, w.addresses = args[0], true
			}
			list, err := listPools(cmd.Context(), to, set, w)
			if err != nil {
				return err
			}
			return printAs(cmd.OutOrStdout(), string(*as), list, func(s *screen) { s.pools(list, w.addresses) })
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completePools(cmd.Context(), to, set), cobra.ShellCompDirectiveNoFileComp
		},
	}
	to.bind(cmd)
	set.bind(cmd.Flags())
	as.bind(cmd)
	cmd.Flags().BoolVar(&w.addresses, "addresses", false, "list who holds which address")
	return cmd
}

// listPools lists the pools of all namespaces unless -n names one.
func listPools(ctx context.Context, to *target, set *settings, w wanted) (*PoolList, error) {
	namespace, err := to.namespace()
	if err != nil {
		return nil, err
	}
	if to.names() {
		w.namespace = namespace
	}
	r, config, _, err := set.connect(ctx, to)
	if err != nil {
		return nil, err
	}
	return r.poolList(ctx, w, namespace, config)
}

// completePools lists the names of pools for the shell, which has no use for errors.
func completePools(ctx context.Context, to *target, set *settings) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completionPatience)
	defer cancel()
	list, err := listPools(ctx, to, set, wanted{})
	if err != nil {
		return nil
	}
	var names []cobra.Completion
	for _, pool := range list.Pools {
		name := pool.Name
		if pool.Namespace != "" {
			name = pool.Namespace + "/" + name
		}
		names = append(names, name)
	}
	return names
}
