package config

import (
	"regexp"

	"github.com/spf13/pflag"
)

// BindFlags adds the flags to the set, with the current values as defaults.
func (c *Config) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.Kubeconfig, "kubeconfig", c.Kubeconfig, "kubeconfig of the management cluster; empty means in-cluster or the usual places")
	flags.BoolVar(&c.EnableReconciler, "enable-reconciler", c.EnableReconciler, "allocate VIPs; false leaves the probes, metrics and the runtime extension")
	flags.StringVar(&c.Namespace, "namespace", c.Namespace, "write only Clusters of this namespace; reads stay cluster-wide")
	flags.StringVar(&c.WatchFilter, "watch-filter", c.WatchFilter, "write only Clusters whose label cluster.x-k8s.io/watch-filter has this value")
	flags.Int32Var(&c.DefaultPort, "default-port", c.DefaultPort, "TCP port of an endpoint where neither user nor class names one")
	flags.StringSliceVar(&c.PoolKinds, "pool-kinds", c.PoolKinds, "further kinds of IPAM pools, as resource.group (ippools.ipam.metal3.io,...)")
	flags.StringVar(&c.HoldGate, "hold-gate", c.HoldGate, "name of the ConfigMap in our namespace that switches the hold gate on; without it held Clusters are let go")
	flags.IntVar(&c.Workers, "max-concurrent-reconciles", c.Workers, "Clusters handled at once")

	flags.StringVar(&c.MetricsAddress, "metrics-bind-address", c.MetricsAddress, "address of /metrics; 0 turns it off")
	flags.StringVar(&c.DiagnosticsAddress, "diagnostics-address", c.DiagnosticsAddress, "address of /metrics by HTTPS, for bearer tokens of those who may get it; empty or 0 turns it off")
	flags.BoolVar(&c.InsecureDiagnostics, "insecure-diagnostics", c.InsecureDiagnostics, "serve --diagnostics-address by HTTP, to everybody")
	flags.StringVar(&c.HealthAddress, "health-probe-bind-address", c.HealthAddress, "address of /healthz and /readyz; 0 turns them off")
	flags.StringVar(&c.LogLevel, "log-level", c.LogLevel, "panic, fatal, error, warning, info, debug or trace")
	flags.StringVar(&c.LogFormat, "log-format", c.LogFormat, "text or json")

	flags.BoolVar(&c.RuntimeExtension, "enable-runtime-extension", c.RuntimeExtension, "answer Cluster API's hook BeforeClusterCreate, which keeps new Clusters waiting for their VIPs; needs an ExtensionConfig")
	flags.IntVar(&c.RuntimeExtensionPort, "runtime-extension-port", c.RuntimeExtensionPort, "TCP port of the runtime extension")
	flags.StringVar(&c.RuntimeExtensionName, "runtime-extension-name", c.RuntimeExtensionName, "name of the runtime extension's handler")

	flags.StringVar(&c.Propagate, "propagate", c.Propagate, "auto carries VIPs to Rancher and Fleet Clusters where those are installed and we may patch them; off takes back what was carried")
	flags.StringSliceVar(&c.FleetWorkspaces, "fleet-workspaces", c.FleetWorkspaces, "namespaces of hand-made Fleet Clusters that may ask for the VIPs of a Cluster by the labels vip.capi.gorizond.io/cluster-name and cluster-namespace")

	flags.BoolVar(&c.LeaderElect, "leader-elect", c.LeaderElect, "write only while holding the Lease, so that replicas can stand by")
	flags.StringVar(&c.LeaseName, "leader-election-id", c.LeaseName, "name of the Lease, or namespace/name")
	flags.DurationVar(&c.LeaseDuration, "leader-elect-lease-duration", c.LeaseDuration, "how long a standby waits for a leader that is silent")
	flags.DurationVar(&c.RenewDeadline, "leader-elect-renew-deadline", c.RenewDeadline, "how long a leader tries to renew before it gives up")
	flags.DurationVar(&c.RetryPeriod, "leader-elect-retry-period", c.RetryPeriod, "time between attempts to acquire or renew")

	flags.StringVar(&c.HealthAddress, "health-addr", c.HealthAddress, "same as --health-probe-bind-address")
	flags.StringVar(&c.MetricsAddress, "metrics-bind-addr", c.MetricsAddress, "same as --metrics-bind-address")
	hide(flags, "health-addr", "metrics-bind-addr")
	acceptWithoutEffect(flags)
}

// acceptWithoutEffect takes the flags that earlier releases had, and those that
// the Cluster API operator adds to any provider: a process that refused them
// would not start.
func acceptWithoutEffect(flags *pflag.FlagSet) {
	for _, name := range []string{
		"webhook-host", "webhook-cert-dir", "profiler-address", "feature-gates",
		"zap-encoder", "zap-log-level", "zap-stacktrace-level", "zap-time-encoding",
	} {
		flags.String(name, "", "accepted without effect")
		hide(flags, name)
	}
	flags.Bool("zap-devel", false, "accepted without effect")
	flags.Int("webhook-port", 0, "accepted without effect")
	flags.Duration("sync-period", 0, "accepted without effect")
	flags.IntP("v", "v", 0, "accepted without effect")
	hide(flags, "zap-devel", "webhook-port", "sync-period", "v")
}

func hide(flags *pflag.FlagSet, names ...string) {
	for _, name := range names {
		// MarkHidden fails only for a flag that does not exist, and these do.
		_ = flags.MarkHidden(name)
	}
}

// A kind may be named with its group: --cluster.cluster.x-k8s.io-concurrency.
var concurrency = regexp.MustCompile(`^--[a-z0-9.-]+-concurrency(=.*)?$`)

// DropConcurrency removes flags of the form --<kind>-concurrency, of which the
// Cluster API operator adds one for each kind that a user names.
func DropConcurrency(args []string) []string {
	kept := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		match := concurrency.FindStringSubmatch(args[i])
		if match == nil {
			kept = append(kept, args[i])
		} else if match[1] == "" && i+1 < len(args) {
			i++ // its value
		}
	}
	return kept
}
