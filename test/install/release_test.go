package install

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
)

const components = "addon-components.yaml"

// clusterWide are the kinds of the release that have no namespace.
var clusterWide = []string{"Namespace", "ClusterRole", "ClusterRoleBinding", "ExtensionConfig"}

func TestReleaseFiles(t *testing.T) {
	entries, err := os.ReadDir(releaseDir(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	want := []string{
		components, "capi-vip-allocator-" + strings.TrimPrefix(appVersion(t), "v") + ".tgz",
		"capi-vip-allocator-" + runtime.GOOS + "-" + runtime.GOARCH, "capi-vip-allocator.cdx.json", "capi-vip-allocator.yaml",
		"checksums.txt", "extension-config.yaml", "kubectl-vip-" + runtime.GOOS + "-" + runtime.GOARCH + ".tar.gz", "metadata.yaml", "propagation-rbac.yaml", "reserver-rbac.yaml", "vip.yaml",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the files are %q, want %q", got, want)
	}
	if !bytes.Equal(released(t, components), released(t, "capi-vip-allocator.yaml")) {
		t.Error("the components under their old name are others")
	}
}

// Users check them by `sha256sum --check`.
func TestChecksums(t *testing.T) {
	sums := map[string]string{}
	for line := range strings.Lines(string(released(t, "checksums.txt"))) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = sum
	}
	entries, err := os.ReadDir(releaseDir(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() == "checksums.txt" {
			continue
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(released(t, entry.Name()))); sums[entry.Name()] != sum {
			t.Errorf("the sum of %s is %q, want %s", entry.Name(), sums[entry.Name()], sum)
		}
		delete(sums, entry.Name())
	}
	if len(sums) > 0 {
		t.Errorf("there are sums of %v", sums)
	}
}

// The rules of clusterctl, of the Cluster API operator and of Turtles for what they
// install. Each rule has broken a provider somewhere.
func TestComponents(t *testing.T) {
	content := released(t, components)
	count := map[string]int{}
	for _, o := range objectsOf(t, content) {
		count[o.GetKind()]++
		if o.GetLabels()["cluster.x-k8s.io/provider"] != "addon-capi-vip-allocator" {
			t.Errorf("%s %s does not say which provider it belongs to", o.GetKind(), o.GetName())
		}
		switch namespace := o.GetNamespace(); {
		case slices.Contains(clusterWide, o.GetKind()) != (namespace == ""):
			t.Errorf("%s %s is in namespace %q", o.GetKind(), o.GetName(), namespace)
		case namespace != "" && namespace != allocator.Namespace:
			t.Errorf("%s %s would be moved out of %s", o.GetKind(), o.GetName(), namespace)
		}
		if o.GetKind() == "Deployment" {
			checkDeployment(t, o)
		}
		if o.GroupVersionKind().Group == "cert-manager.io" {
			t.Errorf("%s %s is deleted by Turtles", o.GetKind(), o.GetName())
		}
	}
	if count["Namespace"] != 1 || count["Deployment"] != 1 || count["ExtensionConfig"] != 0 {
		t.Errorf("there are %v", count)
	}
	for _, name := range []string{components, "extension-config.yaml", "propagation-rbac.yaml", "reserver-rbac.yaml"} {
		for _, word := range []string{"${", "cert-manager", "Helm", "helm.sh", "kube-system"} {
			if strings.Contains(string(released(t, name)), word) {
				t.Errorf("%s has %q", name, word)
			}
		}
	}
}

func checkDeployment(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	container, _ := containers[0].(map[string]any)
	if len(containers) != 1 || container["name"] != "manager" {
		t.Errorf("the operator finds no container manager in %v", containers)
	}
	if image := container["image"]; image != "ghcr.io/gorizond/capi-vip-allocator:"+appVersion(t) {
		t.Errorf("the image is %v", image)
	}
	// Whoever moves the Deployment to another namespace does not look into arguments.
	if args := fmt.Sprint(container["args"]); strings.Contains(args, allocator.Namespace) {
		t.Errorf("the namespace is among %s", args)
	}
}

func TestMetadata(t *testing.T) {
	var metadata clusterctlv1.Metadata
	if err := yaml.UnmarshalStrict(released(t, "metadata.yaml"), &metadata); err != nil {
		t.Fatal(err)
	}
	if metadata.APIVersion != "clusterctl.cluster.x-k8s.io/v1alpha3" || metadata.Kind != "Metadata" {
		t.Errorf("it is %s %s", metadata.APIVersion, metadata.Kind)
	}
	var last int32
	for i, series := range metadata.ReleaseSeries {
		last = series.Minor
		if series.Major != 0 || series.Minor != int32(i)+1 || series.Contract != "v1beta1" {
			t.Errorf("series %d is %+v", i, series)
		}
	}
	if want := fmt.Sprintf("v0.%d.", last); !strings.HasPrefix(appVersion(t), want) {
		t.Errorf("the last series is %s, the release %s", want, appVersion(t))
	}
}

// The manifest for krew names archives of this release by their sums, and each holds the plugin.
func TestKrewManifest(t *testing.T) {
	var manifest struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, ShortDescription string
			Platforms                 []struct{ URI, SHA256, Bin string }
		}
	}
	if err := yaml.Unmarshal(released(t, "vip.yaml"), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" || manifest.Metadata.Name != "vip" ||
		manifest.Spec.Version != appVersion(t) || manifest.Spec.ShortDescription == "" || len(manifest.Spec.Platforms) == 0 {
		t.Errorf("it is %+v", manifest)
	}
	for _, platform := range manifest.Spec.Platforms {
		folder, name := path.Split(platform.URI)
		if want := "https://github.com/gorizond/capi-vip-allocator/releases/download/" + appVersion(t) + "/"; folder != want {
			t.Errorf("%s is not in %s", platform.URI, want)
		}
		if sum := fmt.Sprintf("%x", sha256.Sum256(released(t, name))); sum != platform.SHA256 {
			t.Errorf("the sum of %s is %s, want %s", name, platform.SHA256, sum)
		}
		dir := t.TempDir()
		if out, err := exec.CommandContext(t.Context(), "tar", "--extract", "--gzip", "--file", filepath.Join(releaseDir(t), name), "--directory", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, platform.Bin), "version").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "capi-vip-allocator v") {
			t.Errorf("%s of %s prints %s: %v", platform.Bin, name, out, err)
		}
	}
}

// What the components leave out can be added to them.
func TestAdditions(t *testing.T) {
	for name, want := range map[string][]string{
		"propagation-rbac.yaml": {"ClusterRole", "ClusterRoleBinding"},
		"reserver-rbac.yaml":    {"ClusterRole", "ClusterRole"},
		"extension-config.yaml": {"ExtensionConfig", "Role", "RoleBinding", "Service"},
	} {
		var got []string
		for _, o := range objectsOf(t, released(t, name)) {
			got = append(got, o.GetKind())
			if namespace := o.GetNamespace(); namespace != "" && namespace != allocator.Namespace {
				t.Errorf("%s is in namespace %s", o.GetName(), namespace)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
}

func TestBinary(t *testing.T) {
	binary := filepath.Join(releaseDir(t), "capi-vip-allocator-"+runtime.GOOS+"-"+runtime.GOARCH)
	out, err := exec.CommandContext(t.Context(), binary, "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "capi-vip-allocator version v") {
		t.Errorf("it prints %s: %v", out, err)
	}
}

// injected are the flags that the Cluster API operator adds for what users write in a
// provider's spec.manager, each with the value that it would have.
var injected = []string{
	"--health-addr=127.0.0.1:0", "--metrics-bind-addr=127.0.0.1:0", "--diagnostics-address=127.0.0.1:0", "--insecure-diagnostics=false",
	"--webhook-host=localhost", "--webhook-port=9443", "--webhook-cert-dir=/tmp/certs", "--profiler-address=localhost:6060",
	"--sync-period=600s", "--v=5", "--feature-gates=A=true,B=false", "--leader-elect=true", "--leader-election-id=mine",
	"--leader-elect-lease-duration=60s", "--leader-elect-renew-deadline=40s", "--leader-elect-retry-period=5s",
	"--max-concurrent-reconciles=5", "--cluster-concurrency=3", "--namespace=default",
}

// The binary takes all that the operator may add, beside the arguments it has.
func TestInjectedFlags(t *testing.T) {
	e := newEnvironment(t)
	binary, err := filepath.Abs(filepath.Join(releaseDir(t), "capi-vip-allocator-"+runtime.GOOS+"-"+runtime.GOARCH))
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, o := range objectsOf(t, released(t, components)) {
		if o.GetKind() == "Deployment" {
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			args, _, _ = unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
		}
	}
	e.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: injected}}")
	args = append(args, injected...)
	args = append(args, "--kubeconfig="+e.Management.Kubeconfig())
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"run"}, args...)...)
	cmd.Env = append(os.Environ(), "POD_NAMESPACE=injected")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It leads: so it has taken everything.
	leads := regexp.MustCompile(`Leader elected`)
	var log strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if leads.MatchString(lines.Text()) {
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended: %v\n%s", err, log.String())
	}
	e.remove(t, namespaces, "", "injected")
}

func appVersion(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(chartDir, "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var meta struct{ AppVersion, Version string }
	if err := yaml.Unmarshal(content, &meta); err != nil {
		t.Fatal(err)
	}
	if meta.AppVersion != "v"+meta.Version {
		t.Errorf("the chart's version is %s and its appVersion %s", meta.Version, meta.AppVersion)
	}
	return meta.AppVersion
}

func objectsOf(t *testing.T, content []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &o.Object); err != nil {
			t.Fatalf("%v in %s", err, document)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}
