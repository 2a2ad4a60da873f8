package management

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

// Provider is one of the programs that people run beside Cluster API, with its kinds and
// webhooks, for Options.Providers.
type Provider struct {
	program
	folder     string            // of its module, among the components
	namespace  string            // of its own manifests
	contracts  map[string]string // labels of its kinds: which versions follow which contract
	controller string            // one that has started when it serves
	arguments  func(ports []int) []string
}

// Name is that of the provider as a component: of its process and log.
func (p Provider) Name() string { return p.name }

// The providers that the module proxy serves.
var (
	KubeadmBootstrap    = kubeadm("bootstrap", "kubeadmconfig")
	KubeadmControlPlane = kubeadm("controlplane", "kubeadmcontrolplane")
	RKE2Bootstrap       = rke2("bootstrap", "rke2config")
	RKE2ControlPlane    = rke2("controlplane", "rke2controlplane")
	// The kinds of both are converted by the program that is installed last: the second.
	K3sBootstrap    = k3s("bootstrap", "kthreesconfig")
	K3sControlPlane = k3s("controlplane", "kthreescontrolplane")
)

// Fleet is Fleet's controller, which has flags of its own and no webhooks: for Build alone.
var Fleet = Provider{
	program: program{
		name: "fleet", pkg: "github.com/rancher/fleet/cmd/fleetcontroller", module: "github.com/rancher/fleet",
		crds: "charts/fleet-crd/templates",
	},
	folder: "fleet",
}

func kubeadm(part, controller string) Provider {
	return Provider{
		program: program{
			name: "kubeadm-" + part, pkg: "sigs.k8s.io/cluster-api/" + part + "/kubeadm", module: "sigs.k8s.io/cluster-api",
			stamps: []string{"sigs.k8s.io/cluster-api/version"},
			crds:   part + "/kubeadm/config/crd/bases", webhooks: part + "/kubeadm/config/webhook/manifests.yaml",
		},
		folder: "kubeadm", namespace: "kubeadm-" + part + "-system", controller: controller,
		arguments: func(ports []int) []string {
			return append(serving(ports), "--feature-gates=ClusterTopology=true", "--skip-crd-migration-phases=StorageVersionMigration,CleanupManagedFields")
		},
	}
}

func rke2(part, controller string) Provider {
	const module = "github.com/rancher/cluster-api-provider-rke2"
	return Provider{
		program: program{
			name: "rke2-" + part, pkg: module + "/" + part, module: module,
			crds: part + "/config/crd/bases", webhooks: part + "/config/webhook/manifests.yaml",
		},
		folder: "rke2", namespace: "rke2-" + part + "-system", controller: controller,
		contracts: map[string]string{"cluster.x-k8s.io/v1beta1": "v1alpha1_v1beta1"},
		arguments: serving,
	}
}

func k3s(part, controller string) Provider {
	const module = "github.com/k3s-io/cluster-api-k3s"
	return Provider{
		program: program{
			name: "k3s-" + part, pkg: ".", module: module,
			crds: part + "/config/crd/bases", webhooks: part + "/config/webhook/manifests.yaml",
		},
		folder: "k3s", namespace: "capi-k3s-" + part + "-system", controller: controller,
		contracts: map[string]string{"cluster.x-k8s.io/v1beta1": "v1beta1_v1beta2"},
		arguments: func(ports []int) []string {
			return []string{
				"--part=" + part, "--health-addr=" + loopback.Address(ports[healthPort]),
				"--metrics-addr=" + loopback.Address(ports[metricsPort]),
			}
		},
	}
}

// serving are the flags that programs with the library of Cluster API have in common.
func serving(ports []int) []string {
	return []string{
		"--health-addr=" + loopback.Address(ports[healthPort]),
		"--diagnostics-address=" + loopback.Address(ports[metricsPort]), "--insecure-diagnostics",
	}
}

// provider makes the component.
func (c *Cluster) provider(p Provider, binary string) *component {
	return &component{
		name: p.name, binary: binary, sockets: providerPorts,
		publish: func(ctx context.Context, ports []int) error {
			user := "system:serviceaccount:" + p.namespace + ":manager"
			if err := c.writeKubeconfig(c.kubeconfigPath(p.name), c.admin.Host, user, administrators); err != nil {
				return err
			}
			return c.installProvider(ctx, manifestsOf(binary), p.namespace, p.name+"-", ports[webhookPort], p.contracts)
		},
		flags: func(ports []int) []string {
			return append([]string{
				"--kubeconfig=" + c.kubeconfigPath(p.name), "--leader-elect=false",
				"--webhook-port=" + strconv.Itoa(ports[webhookPort]), "--webhook-cert-dir=" + c.authority.servingDir(),
			}, p.arguments(ports)...)
		},
		ready: c.providerReady(p.controller),
	}
}

// Kinds are those of a provider that does not run, in a component's module.
type Kinds struct {
	folder, module, crds string
	contracts            map[string]string // as of a Provider
}

var (
	// DockerKinds are the kinds of Cluster API's own provider for Docker.
	DockerKinds = Kinds{folder: "docker", module: "sigs.k8s.io/cluster-api/test", crds: "infrastructure/docker/config/crd/bases"}
	// VSphereKinds are the kinds of the provider for vSphere.
	VSphereKinds = Kinds{
		folder: "vsphere", module: "sigs.k8s.io/cluster-api-provider-vsphere", crds: "config/default/crd/bases",
		contracts: map[string]string{"cluster.x-k8s.io/v1beta1": "v1beta1"},
	}
)

// Fetch downloads the kinds unless they are there, and returns their folder.
func (k Kinds) Fetch(ctx context.Context) (dir string, err error) {
	sources, err := componentsDir(ctx)
	if err != nil {
		return "", err
	}
	source := filepath.Join(sources, k.folder)
	// A module that nobody has fetched yet has no folder.
	if _, err := goCommand(ctx, source, "mod", "download", k.module); err != nil {
		return "", fmt.Errorf("fetch %s: %w", k.module, err)
	}
	_, dir, err = program{module: k.module}.locate(ctx, source)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", k.module, err)
	}
	return filepath.Join(dir, k.crds), nil
}

// InstallKindsOf installs the kinds, in the version that is stored and without webhooks.
func (c *Cluster) InstallKindsOf(ctx context.Context, kinds Kinds) error {
	dir, err := kinds.Fetch(ctx)
	if err != nil {
		return err
	}
	return c.installStored(ctx, os.DirFS(dir), kinds.contracts)
}

// Neighbours are the providers that run beside each other here.
func Neighbours() []Provider {
	return []Provider{KubeadmBootstrap, KubeadmControlPlane, RKE2Bootstrap, RKE2ControlPlane, K3sBootstrap, K3sControlPlane}
}
