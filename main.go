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
	case used.Annotations[runsController] != "":
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
		root, rest = program(), config.DropConcurrency(args[1:])
		root.AddCommand(controller())
	}
	root.SetArgs(rest)
	root.AddCommand(cli.Clusters(), cli.Explain(), cli.Pools(), cli.Doctor(), cli.Lint(), cli.Clean(), cli.Reserve(), cli.UI(), cli.Version())
	return root
}

// runsController marks the command that is the controller, whose errors are lines of a log.
const runsController = "controller"

// program is the controller inside a Pod, whose manifests name no command. Elsewhere a bare
// call is more likely a slip than the wish to have a laptop write to a cluster.
func program() *cobra.Command {
	root := controller()
	root.Use, root.Version = "capi-vip-allocator", version.String()
	root.SilenceUsage, root.SilenceErrors = true, true
	root.Long += "\nWithout a command it is the controller inside a Pod, and prints this elsewhere."
	if server.InPod() {
		return root
	}
	root.Annotations = nil
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		cmd.SetOut(cmd.ErrOrStderr())
		if err := cmd.Help(); err != nil {
			return fmt.Errorf("help: %w", err)
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "\nThis is no Pod: say capi-vip-allocator run to start the controller.")
		return cli.ExitCode(misused)
	}
	return root
}

// misused is the exit status of a call that names no command.
const misused = 2

func controller() *cobra.Command {
	c := config.Default()
	cmd := &cobra.Command{
		Use:               "run",
		Short:             "Run the controller that gives every Cluster API Cluster its virtual IPs",
		Long:              "Runs the controller that takes a control-plane VIP and an ingress VIP out of IPAM pools\nfor each Cluster of a ClusterClass, and writes them before infrastructure is built.",
		Args:              cobra.NoArgs,
		Annotations:       map[string]string{runsController: "true"},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return server.Run(cmd.Context(), c) },
	}
	c.BindFlags(cmd.Flags())
	return cmd
}
