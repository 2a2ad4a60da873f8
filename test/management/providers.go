package management

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

// The namespaces in which the usual manifests put the providers.
const (
	capiNamespace = "capi-system"
	ipamNamespace = "capi-ipam-in-cluster-system"
)

// Both providers listen on three ports.
const (
	webhookPort = iota // on all addresses: the programs have no flag for it
	healthPort
	metricsPort
	providerPorts
)

func (c *Cluster) capi(release Release, runtimeSDK bool) *component {
	manifests := manifestsOf(c.binaries.CAPI)
	return &component{
		name:    CAPI,
		binary:  c.binaries.CAPI,
		sockets: providerPorts,
		publish: func(ctx context.Context, ports []int) error {
			return c.installProvider(ctx, manifests, capiNamespace, "capi-", ports[webhookPort], nil)
		},
		flags: func(ports []int) []string {
			flags := append(c.providerFlags(CAPI, ports),
				"--diagnostics-address="+loopback.Address(ports[metricsPort]),
				"--insecure-diagnostics",
				"--health-addr="+loopback.Address(ports[healthPort]),
				"--feature-gates=ClusterTopology=true,RuntimeSDK="+strconv.FormatBool(runtimeSDK),
			)
			if minor, err := release.minor(); err == nil && minor >= 10 {
				// Nothing old is stored here, and the migration would compete with the tests.
				flags = append(flags, "--skip-crd-migration-phases=StorageVersionMigration,CleanupManagedFields")
			}
			return flags
		},
		ready: c.providerReady("topology/cluster"),
	}
}

func (c *Cluster) ipam(release Release) *component {
	manifests := manifestsOf(c.binaries.IPAM)
	return &component{
		name:    IPAM,
		binary:  c.binaries.IPAM,
		sockets: providerPorts,
		publish: func(ctx context.Context, ports []int) error {
			return c.installProvider(ctx, manifests, ipamNamespace, "capi-ipam-in-cluster-", ports[webhookPort], nil)
		},
		flags: func(ports []int) []string {
			flags := append(c.providerFlags(IPAM, ports), "--health-probe-bind-address="+loopback.Address(ports[healthPort]))
			if old, err := release.onlyV1Beta1(); err == nil && old {
				return append(flags, "--metrics-bind-address="+loopback.Address(ports[metricsPort]))
			}
			return append(flags, "--diagnostics-address="+loopback.Address(ports[metricsPort]), "--insecure-diagnostics")
		},
		ready: c.providerReady("ipaddressclaim"),
	}
}

func (c *Cluster) providerFlags(name string, ports []int) []string {
	return []string{
		"--kubeconfig=" + c.kubeconfigPath(name),
		"--leader-elect=false",
		"--webhook-port=" + strconv.Itoa(ports[webhookPort]),
		"--webhook-cert-dir=" + c.authority.servingDir(),
		"--webhook-cert-name=" + filepath.Base(c.authority.servingFile()),
		"--webhook-key-name=" + filepath.Base(c.authority.servingKey()),
	}
}
