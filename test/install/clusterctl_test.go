package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// certManager is as much of it as clusterctl looks at before it installs anything.
const certManager = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]ss.cert-manager.io}
spec:
  group: cert-manager.io
  scope: Namespaced
  names: {kind: %[2]s, listKind: %[2]sList, plural: %[1]ss, singular: %[1]s}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// coreProvider is how clusterctl remembers that it installed Cluster API.
const coreProvider = `
apiVersion: clusterctl.cluster.x-k8s.io/v1alpha3
kind: Provider
metadata:
  name: cluster-api
  namespace: capi-system
  labels: {clusterctl.cluster.x-k8s.io: "", cluster.x-k8s.io/provider: cluster-api}
providerName: cluster-api
type: CoreProvider
version: v1.14.2
`

const coreMetadata = `
apiVersion: clusterctl.cluster.x-k8s.io/v1alpha3
kind: Metadata
releaseSeries: [{major: 1, minor: 14, contract: v1beta2}]
`

// later is the release that the tests upgrade to.
const later = "v0.9.0"

// repository makes a local repository with this release, a later one, and as much of
// Cluster API as is asked for, and returns the configuration of clusterctl for it.
func repository(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	write := func(path string, content []byte) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const ours = "addon-capi-vip-allocator/"
	version := appVersion(t)
	metadata := released(t, "metadata.yaml")
	write(ours+version+"/"+components, released(t, components))
	write(ours+version+"/metadata.yaml", metadata)
	write(ours+later+"/"+components, []byte(strings.ReplaceAll(string(released(t, components)), version, later)))
	write(ours+later+"/metadata.yaml", append(metadata, "- {major: 0, minor: 9, contract: v1beta1}\n"...))
	write("cluster-api/v1.14.2/core-components.yaml", []byte("{apiVersion: v1, kind: Namespace, metadata: {name: capi-system}}\n"))
	write("cluster-api/v1.14.2/metadata.yaml", []byte(coreMetadata))
	write("clusterctl.yaml", fmt.Appendf(nil, `
providers:
- {name: cluster-api, type: CoreProvider, url: %[1]s/cluster-api/v1.14.2/core-components.yaml}
- {name: capi-vip-allocator, type: AddonProvider, url: %[1]s/%[2]s%[3]s/%[4]s}
`, dir, ours, version, components))
	return filepath.Join(dir, "clusterctl.yaml")
}

var providers = schema.GroupVersionResource{Group: "clusterctl.cluster.x-k8s.io", Version: "v1alpha3", Resource: "providers"}

// prepareClusterctl makes what clusterctl wants to find, cert-manager and Cluster API
// as if it had installed them.
func (e *environment) prepareClusterctl(t *testing.T, config string) {
	t.Helper()
	for name, kind := range map[string]string{"issuer": "Issuer", "certificate": "Certificate"} {
		e.Apply(t, fmt.Sprintf(certManager, name, kind))
	}
	e.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: capi-system}}")
	c, err := client.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	// Makes clusterctl's own kinds, and finds nothing to delete.
	kubeconfig := client.Kubeconfig{Path: e.Management.Kubeconfig()}
	if err := c.Delete(t.Context(), client.DeleteOptions{Kubeconfig: kubeconfig, AddonProviders: []string{"none"}}); err == nil {
		t.Fatal("clusterctl deleted what is not there")
	}
	e.Apply(t, coreProvider)
}

// The real clusterctl installs, upgrades and deletes the provider. A Cluster with a
// VIP does not notice.
func TestClusterctl(t *testing.T) {
	e := newEnvironment(t)
	e.useExamples(t)
	config := repository(t)
	e.prepareClusterctl(t, config)
	c, err := client.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := client.Kubeconfig{Path: e.Management.Kubeconfig()}
	before := e.inventory(t)

	version := appVersion(t)
	if _, err := c.Init(t.Context(), client.InitOptions{
		Kubeconfig: kubeconfig, AddonProviders: []string{"capi-vip-allocator:" + version}, WaitProviders: true, WaitProviderTimeout: patience,
	}); err != nil {
		t.Fatal(err)
	}
	e.isVersion(t, version)
	p := e.run(t)
	e.Apply(t, fmt.Sprintf(demoCluster, "by-clusterctl"))
	vip := e.getsVIP(t, "by-clusterctl")
	if _, err := p.Stop(); err != nil {
		t.Error(err)
	}

	if err := c.ApplyUpgrade(t.Context(), client.ApplyUpgradeOptions{
		Kubeconfig: kubeconfig, AddonProviders: []string{"capi-vip-allocator:" + later}, WaitProviders: true, WaitProviderTimeout: patience,
	}); err != nil {
		t.Fatal(err)
	}
	e.isVersion(t, later)
	p = e.run(t)
	e.Apply(t, fmt.Sprintf(demoCluster, "by-clusterctl-later"))
	e.getsVIP(t, "by-clusterctl-later")
	if _, err := p.Stop(); err != nil {
		t.Error(err)
	}

	const home = allocator.Namespace
	if err := c.Delete(t.Context(), client.DeleteOptions{Kubeconfig: kubeconfig, AddonProviders: []string{"capi-vip-allocator"}}); err != nil {
		t.Fatal(err)
	}
	e.leaves(t, before,
		"Namespace /"+home, "ServiceAccount "+home+"/default", "ConfigMap "+home+"/kube-root-ca.crt",
		"Lease "+home+"/capi-vip-allocator.gorizond.io",
		// clusterctl leaves them, of any provider.
		"ClusterRole /"+chart.ManagerName, "ClusterRoleBinding /"+chart.ManagerName,
		"IPAddressClaim default/vip-cp-by-clusterctl", "IPAddressClaim default/vip-ingress-by-clusterctl",
		"IPAddress default/vip-cp-by-clusterctl", "IPAddress default/vip-ingress-by-clusterctl",
		"IPAddressClaim default/vip-cp-by-clusterctl-later", "IPAddressClaim default/vip-ingress-by-clusterctl-later",
		"IPAddress default/vip-cp-by-clusterctl-later", "IPAddress default/vip-ingress-by-clusterctl-later",
	)
	if after := e.host(t.Context(), "by-clusterctl"); after != vip {
		t.Errorf("the VIP was %s and is %q", vip, after)
	}
	e.remove(t, clusters, "default", "by-clusterctl")
	e.remove(t, clusters, "default", "by-clusterctl-later")
	e.remove(t, namespaces, "", home)
	rbac := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: resource}
	}
	e.remove(t, rbac("clusterroles"), "", chart.ManagerName)
	e.remove(t, rbac("clusterrolebindings"), "", chart.ManagerName)
	e.leaves(t, before)
}

// isVersion checks that clusterctl and the Deployment agree on the version.
func (e *environment) isVersion(t *testing.T, version string) {
	t.Helper()
	scene.Until(t, patience, "clusterctl has noted "+version, func() error {
		provider, err := e.Client.Resource(providers).Namespace(allocator.Namespace).Get(t.Context(), "addon-capi-vip-allocator", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if provider.Object["version"] != version {
			return fmt.Errorf("it is %v", provider.Object["version"])
		}
		return nil
	})
	if image := e.deployed(t).Spec.Template.Spec.Containers[0].Image; !strings.HasSuffix(image, ":"+version) {
		t.Errorf("the image is %s", image)
	}
}
