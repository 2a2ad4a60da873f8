package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/config"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// document returns the text of a Markdown file.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is the first block of code below a heading of a document.
func block(t *testing.T, name, heading, language string) string {
	t.Helper()
	_, section, found := strings.Cut(document(t, name), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no %s", name, heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	_, code, found := strings.Cut(section, "```"+language+"\n")
	code, _, closed := strings.Cut(code, "```")
	if !found || !closed {
		t.Fatalf("%s has no block of %s below %s", name, language, heading)
	}
	return code
}

// tools is a folder with the programs that users have: kubectl, helm, clusterctl.
func (e *environment) tools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	kubectl, err := e.Management.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{"kubectl": filepath.Join(kubectl, "kubectl")}
	for _, name := range []string{"helm", "clusterctl"} {
		out, err := exec.CommandContext(t.Context(), "go", "tool", "-n", name).Output()
		if err != nil {
			t.Fatalf("build %s: %v", name, err)
		}
		paths[name] = strings.TrimSpace(string(out))
	}
	for name, path := range paths {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shell types a block into a shell, with the release's URLs replaced by files.
type shell struct {
	*environment
	tools, dir, repository string
}

// types returns what is printed.
func (s *shell) types(t *testing.T, code string) string {
	t.Helper()
	download := "https://github.com/gorizond/capi-vip-allocator/releases/download/" + appVersion(t)
	code = strings.NewReplacer(
		download, releaseDir(t),
		"https://github.com/gorizond/capi-vip-allocator/releases", filepath.Join(s.repository, "addon-capi-vip-allocator"),
		// There is no installed Cluster API to ask GitHub about.
		"providers:\n", "providers:\n- {name: cluster-api, type: CoreProvider, url: "+s.repository+"/cluster-api/v1.14.2/core-components.yaml}\n",
	).Replace(code)
	if strings.Contains(code, "https://") {
		t.Fatalf("this would leave the machine: %s", code)
	}
	bash := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", code)
	bash.Dir = s.dir
	bash.Env = append(os.Environ(), "PATH="+s.tools+string(os.PathListSeparator)+os.Getenv("PATH"),
		"KUBECONFIG="+s.Management.Kubeconfig(), "HOME="+s.dir, "CLUSTERCTL_DISABLE_VERSIONCHECK=true")
	out, err := bash.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What the documents tell users to type installs the allocator, and takes it away.
func TestReadme(t *testing.T) {
	e := newEnvironment(t)
	e.useExamples(t)
	s := e.shell(t)
	for name, way := range map[string]struct{ install, uninstall string }{
		"helm":       {"### Helm", "### By Helm"},
		"clusterctl": {"### clusterctl", "### By clusterctl"},
		"yaml":       {"### YAML", "### By YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			before := e.inventory(t)
			s.types(t, block(t, "docs/install.md", way.install, "sh"))
			if d := e.deployed(t); d.Status.AvailableReplicas != *d.Spec.Replicas {
				t.Errorf("%d of %d replicas are available", d.Status.AvailableReplicas, *d.Spec.Replicas)
			}
			p := e.run(t)
			e.Apply(t, fmt.Sprintf(demoCluster, "by-"+name))
			e.getsVIP(t, "by-"+name)
			if _, err := p.Stop(); err != nil {
				t.Error(err)
			}
			if name == "yaml" {
				s.types(t, section(t, "**Carrying VIPs"))
				s.types(t, section(t, "**The hook gate**"))
				s.types(t, section(t, "With the hook gate, first delete"))
			}
			e.remove(t, clusters, "default", "by-"+name)
			s.types(t, block(t, "docs/operations.md", way.uninstall, "sh"))
			if name != "yaml" {
				s.types(t, block(t, "docs/operations.md", "### What stays", "sh"))
			}
			e.leaves(t, before)
		})
	}
}

// The README's own steps, as they stand there, lead to what it says one then sees.
func TestReadmeFirstSteps(t *testing.T) {
	e := newEnvironment(t)
	s := e.shell(t)
	if c, err := config.New(t.Context(), ""); err != nil {
		t.Error(err)
	} else if _, err := c.Providers().Get("in-cluster", clusterctlv1.IPAMProviderType); err != nil {
		t.Errorf("clusterctl init --ipam in-cluster: %v", err)
	}
	before := e.inventory(t)
	if readme, guide := block(t, "README.md", "### 2. The allocator", "sh"), block(t, "docs/install.md", "### Helm", "sh"); readme != guide {
		t.Errorf("README.md and docs/install.md install by Helm in two ways:\n%s\n%s", readme, guide)
	}
	s.types(t, block(t, "README.md", "### 2. The allocator", "sh"))
	p := e.run(t)

	binary := filepath.Join(releaseDir(t), "capi-vip-allocator-"+strings.ReplaceAll(platform(), "/", "-"))
	for _, name := range []string{"capi-vip-allocator", "kubectl-vip"} {
		if err := os.Symlink(binary, filepath.Join(s.tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	class, err := filepath.Abs(filepath.Join(root, "examples", "clusterclass.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.types(t, "kubectl apply -f "+class)
	if out := s.types(t, "capi-vip-allocator lint "+class); !strings.Contains(out, "errors: 0, warnings: 0") {
		t.Errorf("lint says of the class %s", out)
	}
	pool := resting.ReplaceAllString(block(t, "README.md", "### 3. A pool", "yaml"), "")
	for _, manifest := range []string{pool, block(t, "README.md", "### 5. A Cluster", "yaml")} {
		s.types(t, "kubectl apply -f - <<'EOF'\n"+manifest+"EOF")
	}
	e.getsVIP(t, "first")
	want := strings.Fields(block(t, "README.md", "## What you then see", "console"))
	scene.Until(t, patience, "kubectl vip clusters prints what the README shows", func() error {
		got := strings.Fields("$ kubectl vip clusters " + s.types(t, "kubectl vip clusters"))
		if len(got) == len(want) { // pools and addresses are those of other tests, too, and the age is another
			copy(got[len(want)-6:len(want)-1], want[len(want)-6:])
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("it prints %q, not %q", got, want)
		}
		return nil
	})
	for _, command := range []string{"kubectl vip explain first", "kubectl vip pools vips", "kubectl vip pools"} {
		if out := s.types(t, command); !strings.Contains(out, "vips") {
			t.Errorf("%s prints %s", command, out)
		}
	}
	if out := s.types(t, "kubectl vip doctor || true"); strings.Contains(out, "error  ") {
		t.Errorf("doctor finds errors: %s", out)
	}
	if _, err := p.Stop(); err != nil {
		t.Error(err)
	}
	e.remove(t, clusters, "default", "first")
	s.types(t, "kubectl delete -f "+class+"\nkubectl delete globalinclusterippool vips")
	s.types(t, block(t, "docs/operations.md", "### By Helm", "sh"))
	s.types(t, block(t, "docs/operations.md", "### What stays", "sh"))
	e.leaves(t, before)
}

// section is the block after some words of docs/operations.md.
func section(t *testing.T, words string) string {
	t.Helper()
	_, rest, found := strings.Cut(document(t, "docs/operations.md"), words)
	_, code, opened := strings.Cut(rest, "```sh\n")
	code, _, closed := strings.Cut(code, "```")
	if !found || !opened || !closed {
		t.Fatalf("no block after %q", words)
	}
	return code
}

// What cannot run here names files and versions that exist.
func TestReadmeManifests(t *testing.T) {
	provider := objectOf(t, block(t, "docs/install.md", "### Rancher Turtles", "yaml"))
	spec, _, _ := unstructured.NestedMap(provider.Object, "spec")
	url, _, _ := unstructured.NestedString(spec, "fetchConfig", "url")
	want := "https://github.com/gorizond/capi-vip-allocator/releases/" + appVersion(t) + "/" + components
	if spec["type"] != "addon" || spec["version"] != appVersion(t) || url != want || provider.GetNamespace() != allocator.Namespace {
		t.Errorf("the provider is %v", provider.Object)
	}

	repo := objectOf(t, block(t, "docs/install.md", "### Fleet", "yaml"))
	spec, _, _ = unstructured.NestedMap(repo.Object, "spec")
	if _, found := spec["paths"]; found || spec["revision"] != appVersion(t) {
		t.Errorf("the GitRepo is %v", spec)
	}
	type fleetYAML struct {
		DefaultNamespace string
		Helm             struct{ Chart, ReleaseName string }
	}
	var bundle, own fleetYAML
	if err := yaml.Unmarshal([]byte(document(t, "fleet.yaml")), &bundle); err != nil {
		t.Fatal(err)
	}
	// One with values is of the same release.
	_, text, _ := strings.Cut(document(t, "docs/install.md"), "have a `fleet.yaml` of your own")
	_, text, _ = strings.Cut(text, "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	if err := yaml.Unmarshal([]byte(text), &own); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("download/%s/capi-vip-allocator-%s.tgz", appVersion(t), strings.TrimPrefix(appVersion(t), "v"))
	if own.DefaultNamespace != bundle.DefaultNamespace || own.Helm.ReleaseName != bundle.Helm.ReleaseName || !strings.HasSuffix(own.Helm.Chart, file) {
		t.Errorf("the fleet.yaml with values is %+v, the other %+v", own, bundle)
	}
	if _, err := os.Stat(filepath.Join(root, bundle.Helm.Chart, "Chart.yaml")); err != nil || bundle.DefaultNamespace != allocator.Namespace || bundle.Helm.ReleaseName != releaseName {
		t.Errorf("the bundle is %+v: %v", bundle, err)
	}
}

// Every version in what users copy is that of the chart.
func TestDocumentedVersion(t *testing.T) {
	versions := regexp.MustCompile(`/(?:releases/|download/|capi-vip-allocator-)(v?\d+\.\d+\.\d+)`)
	for _, name := range []string{"README.md", "docs/install.md", "UPGRADING.md", "docs/operations.md"} {
		for _, found := range versions.FindAllStringSubmatch(document(t, name), -1) {
			if "v"+strings.TrimPrefix(found[1], "v") != appVersion(t) {
				t.Errorf("%s has %s", name, found[0])
			}
		}
	}
}

func objectOf(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}
