package install

import (
	"bufio"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

type values = map[string]any

const releaseName = "capi-vip-allocator"

var chartDir = filepath.Join(root, "charts", "capi-vip-allocator")

// everything switches on all that needs no kinds of others.
func everything(port int) values {
	return values{
		"replicas":         3,
		"holdGate":         values{"enabled": true, "namespaceSelector": values{"matchLabels": values{"held": "yes"}}},
		"runtimeExtension": values{"enabled": true, "port": port, "extensionConfig": values{"namespaceSelector": values{"matchLabels": values{"hooked": "yes"}}}},
		"propagation":      values{"enabled": true, "fleetWorkspaces": []any{"fleet-default"}},
		"networkPolicy":    values{"enabled": true},
		"metrics":          values{"dashboard": values{"enabled": true}},
		"poolKinds":        []any{"ippools.ipam.metal3.io"},
		"extraEnv":         []any{values{"name": "GOMEMLIMIT", "value": "400MiB"}},
	}
}

func (e *environment) helm(t *testing.T) (*action.Configuration, *helmchart.Chart) {
	t.Helper()
	settings := cli.New()
	settings.KubeConfig = e.Management.Kubeconfig()
	settings.SetNamespace(allocator.Namespace)
	config := &action.Configuration{}
	if err := config.Init(settings.RESTClientGetter(), allocator.Namespace, "secret", t.Logf); err != nil {
		t.Fatal(err)
	}
	loaded, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return config, loaded
}

func TestLint(t *testing.T) {
	for name, given := range map[string]values{"defaults": {}, "everything": everything(9443)} {
		l := action.NewLint()
		l.Strict = true
		l.KubeVersion = &chartutil.KubeVersion{Version: chart.Kubernetes, Major: "1", Minor: "36"}
		for _, err := range l.Run([]string{chartDir}, given).Errors {
			t.Errorf("with %s: %v", name, err)
		}
	}
}

// A release is installed, changed, rolled back and uninstalled, by Helm itself and
// waiting for each step. A Cluster with a VIP does not notice, and nothing is left but
// what docs/operations.md says.
func TestHelm(t *testing.T) {
	e := newEnvironment(t)
	e.useExamples(t)
	before := e.inventory(t)
	config, loaded := e.helm(t)

	install := action.NewInstall(config)
	install.ReleaseName, install.Namespace, install.CreateNamespace = releaseName, allocator.Namespace, true
	install.Wait, install.Timeout = true, patience
	first, err := install.RunWithContext(t.Context(), loaded, values{})
	if err != nil {
		t.Fatal(err)
	}
	e.holds(t, first)
	if !strings.Contains(first.Info.Notes, "2 pools say which ClusterClasses they serve") || !strings.Contains(first.Info.Notes, "kubectl vip doctor") {
		t.Errorf("the notes are %s", first.Info.Notes)
	}
	p := e.run(t)
	e.Apply(t, strings.Replace(demoCluster, "%s", "by-helm", 1))
	vip := e.getsVIP(t, "by-helm")
	if _, err := p.Stop(); err != nil {
		t.Error(err)
	}

	upgrade := action.NewUpgrade(config)
	upgrade.Namespace, upgrade.Wait, upgrade.Timeout = allocator.Namespace, true, patience
	ports, err := loopback.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := upgrade.RunWithContext(t.Context(), releaseName, loaded, everything(ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	e.holds(t, second)
	p = e.run(t)
	e.Apply(t, strings.Replace(demoCluster, "%s", "by-upgrade", 1))
	e.getsVIP(t, "by-upgrade")
	if _, err := p.Stop(); err != nil {
		t.Error(err)
	}

	rollback := action.NewRollback(config)
	rollback.Version, rollback.Wait, rollback.Timeout = first.Version, true, patience
	if err := rollback.Run(releaseName); err != nil {
		t.Fatal(err)
	}
	third, err := action.NewGet(config).Run(releaseName)
	if err != nil {
		t.Fatal(err)
	}
	e.holds(t, third)
	if third.Manifest != first.Manifest {
		t.Error("it is not rolled back")
	}
	for _, name := range namesOf(t, second) {
		if !slices.Contains(namesOf(t, first), name) && e.inventory(t)[name] != nil {
			t.Errorf("%s stayed after the rollback", name)
		}
	}

	uninstall := action.NewUninstall(config)
	uninstall.Wait, uninstall.Timeout = true, patience
	if _, err := uninstall.Run(releaseName); err != nil {
		t.Fatal(err)
	}
	const home = allocator.Namespace
	e.leaves(t, before,
		"Namespace /"+home, "ServiceAccount "+home+"/default", "ConfigMap "+home+"/kube-root-ca.crt",
		"Lease "+home+"/capi-vip-allocator.gorizond.io",
		"Secret "+home+"/capi-vip-allocator-runtime-extension-tls",
		"IPAddressClaim default/vip-cp-by-helm", "IPAddressClaim default/vip-ingress-by-helm",
		"IPAddress default/vip-cp-by-helm", "IPAddress default/vip-ingress-by-helm",
		"IPAddressClaim default/vip-cp-by-upgrade", "IPAddressClaim default/vip-ingress-by-upgrade",
		"IPAddress default/vip-cp-by-upgrade", "IPAddress default/vip-ingress-by-upgrade",
	)
	if after := e.host(t.Context(), "by-helm"); after != vip {
		t.Errorf("the VIP was %s and is %q", vip, after)
	}
	e.remove(t, clusters, "default", "by-helm")
	e.remove(t, clusters, "default", "by-upgrade")
	e.remove(t, namespaces, "", home)
	e.leaves(t, before)
}

// holds checks that the release is deployed and all of its objects are there.
func (e *environment) holds(t *testing.T, r *release.Release) {
	t.Helper()
	if r.Info.Status != release.StatusDeployed {
		t.Errorf("the release is %s", r.Info.Status)
	}
	there := e.inventory(t)
	for _, name := range namesOf(t, r) {
		if there[name] == nil {
			t.Errorf("%s is not there", name)
		}
	}
	if d := e.deployed(t); d.Status.AvailableReplicas != *d.Spec.Replicas {
		t.Errorf("%d of %d replicas are available", d.Status.AvailableReplicas, *d.Spec.Replicas)
	}
}

// namesOf are the objects of the release, as inventory has them.
func namesOf(t *testing.T, r *release.Release) []string {
	t.Helper()
	var names []string
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(r.Manifest)))
	for {
		document, err := reader.Read()
		if err != nil {
			return names
		}
		var o metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(document, &o); err != nil {
			t.Fatal(err)
		}
		if o.Kind != "" {
			names = append(names, o.Kind+" "+o.Namespace+"/"+o.Name)
		}
	}
}
