// Command capi-vip-allocator gives every Cluster API Cluster its virtual IPs.
package main

import (
	"errors"
	"os"

	"github.com/rancher/wrangler/v3/pkg/signals"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/gorizond/capi-vip-allocator/pkg/cli"
	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/server"
	"github.com/gorizond/capi-vip-allocator/pkg/version"
)

//go:generate go run ./pkg/codegen/cleanup
//go:generate go run ./pkg/codegen

func main() {
	if err := command().ExecuteContext(signals.SetupSignalContext()); err != nil {
		var code cli.ExitCode
		if !errors.As(err, &code) {
			logrus.Error(err)
			code = 1
		}
		os.Exit(int(code))
	}
}

func command() *cobra.Command {
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
	root.SetArgs(config.DropConcurrency(os.Args[1:]))
	c.BindFlags(root.Flags())
	root.AddCommand(cli.LintCommand())
	return root
}
