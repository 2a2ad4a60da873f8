// Command capi-vip-allocator gives every Cluster API Cluster its virtual IPs.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/rancher/wrangler/v3/pkg/signals"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/gorizond/capi-vip-allocator/pkg/cli"
	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/server"
	"github.com/gorizond/capi-vip-allocator/pkg/version"
)

//go:generate go run ./pkg/codegen/cleanup
//go:generate go run ./pkg/codegen

func main() { os.Exit(sandbox.Main(os.Args, run)) }

func run() (status int) {
	root := command(os.Args)
	used, err := root.ExecuteContextC(signals.SetupSignalContext())
	if err == nil {
		return 0
	}
	var code cli.ExitCode
	switch {
	case errors.As(err, &code):
		return int(code)
	case used == root && root.Runnable():
		logrus.Error(err)
	default:
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	return 1
}

// command is the controller or, by the name of the program, the plugin of kubectl,
// with the commands that both have.
func command(args []string) *cobra.Command {
	root, rest := cli.Plugin(args)
	if root == nil {
		root, rest = controller(), config.DropConcurrency(args[1:])
	}
	root.SetArgs(rest)
	root.AddCommand(cli.Explain(), cli.Pools(), cli.Lint(), cli.UI(), cli.Version())
	return root
}

func controller() *cobra.Command {
	c := config.Default()
	root := &cobra.Command{
		Use:           "capi-vip-allocator",
		Short:         "Gives every Cluster API Cluster its virtual IPs",
		Long:          "Runs the controller that takes a control-plane VIP and an ingress VIP out of IPAM pools\nfor each Cluster of a ClusterClass, and writes them before infrastructure is built.",
		Version:       version.String(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return server.Run(cmd.Context(), c) },
	}
	c.BindFlags(root.Flags())
	return root
}
