package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
)

func TestNameOfTheCluster(t *testing.T) {
	for args, want := range map[string]string{
		"web": "web", "cluster web": "web", "cluster/web": "web", "Cluster web": "web", "clusters.cluster.x-k8s.io/web": "web", "cluster": "cluster",
		"pool web": "", "pool/web": "", "team/web": "", "cluster/": "", "cluster/a/b": "", "cluster/web web": "", "cluster team/web": "",
	} {
		got, err := clusterName(strings.Fields(args))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", args, got, err)
		}
	}
}

func TestNamesOfTheProgram(t *testing.T) {
	for name, want := range map[string][]string{
		"/usr/bin/kubectl-vip": {"pools"}, "kubectl-vip.exe": {"pools"}, "kubectl_complete-vip": {cobra.ShellCompRequestCmd, "pools"}, "capi-vip-allocator": nil,
	} {
		root, args := Plugin([]string{name, "pools"})
		if !slices.Equal(args, want) || (root == nil) != (want == nil) {
			t.Errorf("%s: %q", name, args)
		}
		if root == nil {
			continue
		}
		if root.AddCommand(Pools()); root.Runnable() || !strings.Contains(root.UsageString(), "kubectl vip [command]") {
			t.Errorf("its usage is %s", root.UsageString())
		}
	}
}

// The flags of the controller are its own.
func TestCommandsTakeOnlyWhatTheyUse(t *testing.T) {
	root := &cobra.Command{Use: "capi-vip-allocator"}
	config.Default().BindFlags(root.Flags())
	for _, cmd := range []*cobra.Command{Explain(), Pools(), Clean(), Reserve(), Version()} {
		root.AddCommand(cmd)
		for _, name := range []string{"leader-elect", "metrics-bind-address", "zap-devel"} {
			if err := cmd.ParseFlags([]string{"--" + name}); err == nil {
				t.Errorf("%s takes --%s", cmd.Name(), name)
			}
		}
	}
}

func TestFormatOfTheOutput(t *testing.T) {
	cmd := Pools()
	for value, ok := range map[string]bool{"json": true, "yaml": true, "table": true, "wide": false} {
		if err := cmd.ParseFlags([]string{"-o", value}); (err == nil) != ok {
			t.Errorf("-o %s: %v", value, err)
		}
	}
}
