package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gorizond/capi-vip-allocator/pkg/version"
)

// Names by which this program acts as a plugin of kubectl, and completes what is
// typed after `kubectl vip`.
const (
	pluginName     = "kubectl-vip"
	completionName = "kubectl_complete-vip"
)

// Plugin returns the command of the plugin of kubectl, without subcommands, and the
// arguments for it. It is nil if the program was not called as one.
func Plugin(args []string) (*cobra.Command, []string) {
	name, rest := strings.TrimSuffix(filepath.Base(args[0]), ".exe"), args[1:]
	switch name {
	case pluginName:
	case completionName:
		rest = append([]string{cobra.ShellCompRequestCmd}, rest...)
	default:
		return nil, nil
	}
	return &cobra.Command{
		Use:           pluginName,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl vip"},
		Short:         "Looks at the virtual IPs of Cluster API Clusters",
		Long:          "Looks at the virtual IPs that capi-vip-allocator gives to Cluster API Clusters, and reserves such.\nAll commands but reserve change nothing.",
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}, rest
}

// Version prints what was built.
func Version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), "capi-vip-allocator", version.String())
		},
	}
}

// format is the flag -o.
type format string

func (f *format) bind(cmd *cobra.Command) {
	*f = asTable
	cmd.Flags().VarP(f, "output", "o", "output format: table, json or yaml")
	// It fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{asTable, asJSON, asYAML}, cobra.ShellCompDirectiveNoFileComp))
}

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	if !slices.Contains([]string{asTable, asJSON, asYAML}, text) {
		return fmt.Errorf("%q is none of table, json, yaml", text)
	}
	*f = format(text)
	return nil
}

// completionPatience bounds how long a shell waits for names.
const completionPatience = 5 * time.Second
