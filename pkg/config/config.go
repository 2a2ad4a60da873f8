// Package config is the allocator's command line.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Config is everything that can be set from outside.
type Config struct {
	Kubeconfig       string
	EnableReconciler bool
	Namespace        string
	WatchFilter      string
	DefaultPort      int32
	PoolKinds        []string
	HoldGate         string
	Workers          int

	MetricsAddress      string
	DiagnosticsAddress  string
	InsecureDiagnostics bool
	HealthAddress       string
	LogLevel            string
	LogFormat           string

	RuntimeExtension     bool
	RuntimeExtensionPort int
	RuntimeExtensionName string

	Propagate       string
	FleetWorkspaces []string

	LeaderElect    bool
	LeaseName      string
	LeaseNamespace string
	LeaseDuration  time.Duration
	RenewDeadline  time.Duration
	RetryPeriod    time.Duration
}

// Values of Config.Propagate.
const (
	PropagateAuto = "auto"
	PropagateOff  = "off"
)

// Default is the configuration of a process without flags.
func Default() *Config {
	namespace := os.Getenv("POD_NAMESPACE")
	if namespace == "" {
		namespace = "capi-vip-allocator-system"
	}
	return &Config{
		// Workers mostly wait for the API server. With fewer, Cluster API's own requests
		// would crowd out ours when many Clusters can be published at once.
		EnableReconciler: true, DefaultPort: 6443, Workers: 200,
		MetricsAddress: ":8080", HealthAddress: ":8081", LogLevel: "info", LogFormat: "text",
		RuntimeExtensionPort: 9443, RuntimeExtensionName: "vip-allocator", Propagate: PropagateAuto,
		LeaseName: "capi-vip-allocator.gorizond.io", LeaseNamespace: namespace,
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
	}
}

// Validate reports everything that is wrong, each error naming its flag.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, flag, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("--%s: "+format, append([]any{flag}, args...)...))
		}
	}
	check(c.DefaultPort >= 1 && c.DefaultPort <= 65535, "default-port", "%d is no TCP port", c.DefaultPort)
	check(c.Workers >= 1, "max-concurrent-reconciles", "%d is less than 1", c.Workers)
	if c.Namespace != "" {
		check(len(validation.IsDNS1123Label(c.Namespace)) == 0, "namespace", "%q is no namespace name", c.Namespace)
	}
	if c.HoldGate != "" {
		check(len(validation.IsDNS1123Subdomain(c.HoldGate)) == 0, "hold-gate", "%q is no ConfigMap name", c.HoldGate)
	}
	check(vip.LegalLabelValue(c.WatchFilter) || c.WatchFilter == "", "watch-filter", "%q is no label value", c.WatchFilter)
	if _, err := kube.ParsePoolKinds(c.PoolKinds); err != nil {
		errs = append(errs, fmt.Errorf("--pool-kinds: %w", err))
	}
	for flag, address := range map[string]string{
		"metrics-bind-address": c.MetricsAddress, "diagnostics-address": c.DiagnosticsAddress, "health-probe-bind-address": c.HealthAddress,
	} {
		if err := checkAddress(address); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	check(c.RuntimeExtensionPort >= 1 && c.RuntimeExtensionPort <= 65535, "runtime-extension-port", "%d is no TCP port", c.RuntimeExtensionPort)
	check(len(validation.IsDNS1123Label(c.RuntimeExtensionName)) == 0, "runtime-extension-name", "%q is no DNS label", c.RuntimeExtensionName)
	check(c.Propagate == PropagateAuto || c.Propagate == PropagateOff, "propagate", "%q is neither auto nor off", c.Propagate)
	for _, workspace := range c.FleetWorkspaces {
		check(len(validation.IsDNS1123Label(workspace)) == 0, "fleet-workspaces", "%q is no namespace name", workspace)
	}
	namespace, name := c.ElectionLease()
	check(len(validation.IsDNS1123Label(namespace)) == 0 && len(validation.IsDNS1123Subdomain(name)) == 0,
		"leader-election-id", "%q is neither a name nor namespace/name", c.LeaseName)
	check(c.LeaseDuration > c.RenewDeadline, "leader-elect-lease-duration", "%s is not longer than the renew deadline %s", c.LeaseDuration, c.RenewDeadline)
	check(c.RenewDeadline > c.RetryPeriod+c.RetryPeriod/5, "leader-elect-renew-deadline", "%s is not 1.2 times longer than the retry period %s", c.RenewDeadline, c.RetryPeriod)
	check(c.RetryPeriod > 0, "leader-elect-retry-period", "%s is not positive", c.RetryPeriod)
	return errors.Join(errs...)
}

// ElectionLease tells where the Lease of the leader election is. The Cluster API operator
// writes namespace and name into one flag.
func (c *Config) ElectionLease() (namespace, name string) {
	if namespace, name, both := strings.Cut(c.LeaseName, "/"); both {
		return namespace, name
	}
	return c.LeaseNamespace, c.LeaseName
}

func checkAddress(address string) error {
	if address == "0" || address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not of the form host:port: %w", address, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q has no port number", address)
	}
	return nil
}

// AllPoolKinds are the built-in kinds and those of --pool-kinds, which must be valid.
func (c *Config) AllPoolKinds() []schema.GroupResource {
	more, _ := kube.ParsePoolKinds(c.PoolKinds)
	kinds := kube.InClusterPools()
	for _, kind := range more {
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// Settings are what the planner depends on.
func (c *Config) Settings() vip.Settings {
	return vip.Settings{
		DefaultPort: c.DefaultPort, Namespace: c.Namespace, WatchFilter: c.WatchFilter, HookGate: c.RuntimeExtension,
	}
}
