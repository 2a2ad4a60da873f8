package install

import (
	"strings"
	"testing"

	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/cmd/clusterctl/client/config"
	repositories "sigs.k8s.io/cluster-api/cmd/clusterctl/client/repository"
)

// Both forms of fetchConfig.url that docs/install.md names lead to a file of the release. The
// operator fetches releases/download/VERSION/FILE, and metadata.yaml beside it.
func TestURLForms(t *testing.T) {
	version := appVersion(t)
	const releases = "https://github.com/gorizond/capi-vip-allocator/releases/"
	for form, url := range map[string]string{
		"canonical":  releases + version + "/addon-components.yaml",
		"of earlier": releases + "download/" + version + "/capi-vip-allocator.yaml",
	} {
		short := strings.TrimPrefix(url, "https://github.com/gorizond/capi-vip-allocator")
		if !strings.Contains(document(t, "docs/install.md"), short) {
			t.Errorf("docs/install.md does not have the %s form %s", form, short)
		}
		reader := config.NewMemoryReader()
		if _, err := reader.AddProvider("capi-vip-allocator", clusterctlv1.AddonProviderType, url); err != nil {
			t.Fatal(err)
		}
		c, err := config.New(t.Context(), "", config.InjectReader(reader))
		if err != nil {
			t.Fatal(err)
		}
		repo, err := repositories.NewGitHubRepository(t.Context(), config.NewProvider("capi-vip-allocator", url, clusterctlv1.AddonProviderType), c.Variables())
		if err != nil {
			t.Fatalf("%s form: %v", form, err)
		}
		released(t, repo.ComponentsPath())
		// What stands at the place of the version is used where nobody states one.
		if want := strings.Split(strings.TrimPrefix(url, releases), "/")[0]; repo.DefaultVersion() != want {
			t.Errorf("%s form: the version is %s, want %s", form, repo.DefaultVersion(), want)
		}
	}
}
