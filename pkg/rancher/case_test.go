package rancher_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/rancher"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var update = flag.Bool("update", false, "rewrite plan.yaml of every case from what Plan says now")

// caseFile is in.yaml: a Cluster and the objects that may be its targets. The
// Cluster is team-a/prod of UID prod, with a topology.
type caseFile struct {
	About          string         `json:"about"`
	Cluster        *caseCluster   `json:"cluster"` // absent: it is gone
	Unsettled      []vip.Role     `json:"unsettled"`
	Settling       []vip.Role     `json:"settling"` // on every target
	Workspaces     []string       `json:"workspaces"`
	RancherUnknown bool           `json:"rancherUnknown"`
	Rancher        []caseMetadata `json:"rancher"`
	Fleet          []caseMetadata `json:"fleet"`
}

type caseCluster struct {
	Annotations map[string]string `json:"annotations"`
	Paused      bool              `json:"paused"`
	Deleting    bool              `json:"deleting"`
	ByRancher   bool              `json:"ownedByRancher"`
}

// caseMetadata is metadata of a Kubernetes object.
type caseMetadata struct {
	metav1.ObjectMeta `json:",inline"`
}

// planFile is plan.yaml.
type planFile struct {
	Reason  vip.Reason  `json:"reason,omitempty"`
	Blocks  []string    `json:"blocks,omitempty"`
	Patches []planPatch `json:"patches"`
}

type planPatch struct {
	Target string         `json:"target"`
	Body   map[string]any `json:"body"`
}

func TestPlanOfEveryCase(t *testing.T) {
	for _, folder := range caseFolders(t) {
		t.Run(folder, func(t *testing.T) {
			source, targets, options := readCase(t, folder)
			got := render(t, rancher.Plan(source, targets, options))
			path := filepath.Join("testdata", folder, "plan.yaml")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the plan differs from %s (go test ./pkg/rancher -update rewrites it).\n--- got\n%s--- want\n%s", path, got, want)
			}
			slices.Reverse(targets)
			if again := render(t, rancher.Plan(source, targets, options)); !bytes.Equal(again, got) {
				t.Errorf("another order of the targets gives another plan:\n%s", again)
			}
		})
	}
}

func caseFolders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, entry := range entries {
		folders = append(folders, entry.Name())
	}
	return folders
}

func readCase(t *testing.T, folder string) (rancher.Source, []rancher.Target, rancher.Options) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", folder, "in.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var in caseFile
	if err := yaml.UnmarshalStrict(data, &in); err != nil {
		t.Fatal(err)
	}
	return in.source(), in.targets(), rancher.Options{Workspaces: in.Workspaces, RancherUnknown: in.RancherUnknown}
}

func (c *caseFile) source() rancher.Source {
	cluster := vip.Cluster{Namespace: "team-a", Name: "prod", UID: "prod", HasTopology: true}
	if c.Cluster == nil {
		source := rancher.NewSource(&cluster, vip.Settings{})
		return rancher.Source{Key: source.Key, State: rancher.Gone}
	}
	cluster.Annotations, cluster.Paused, cluster.Deleting = c.Cluster.Annotations, &c.Cluster.Paused, c.Cluster.Deleting
	cluster.OwnedByRancher = c.Cluster.ByRancher
	source := rancher.NewSource(&cluster, vip.Settings{})
	for _, role := range c.Unsettled {
		source.Unsettled[role] = true
	}
	return source
}

func (c *caseFile) targets() []rancher.Target {
	var targets []rancher.Target
	for kind, objects := range map[rancher.Kind][]caseMetadata{rancher.RancherCluster: c.Rancher, rancher.FleetCluster: c.Fleet} {
		for i := range objects {
			target := rancher.NewTarget(kind, &metav1.PartialObjectMetadata{ObjectMeta: objects[i].ObjectMeta})
			target.Settling = map[vip.Role]bool{}
			for _, role := range c.Settling {
				target.Settling[role] = true
			}
			targets = append(targets, target)
		}
	}
	return targets
}

func render(t *testing.T, d rancher.Decision) []byte {
	t.Helper()
	file := planFile{Reason: d.Reason, Blocks: d.Blocks, Patches: []planPatch{}}
	for i := range d.Patches {
		body, err := d.Patches[i].Body()
		if err != nil {
			t.Fatal(err)
		}
		patch := planPatch{Target: d.Patches[i].Target.String()}
		if err := yaml.Unmarshal(body, &patch.Body); err != nil {
			t.Fatal(err)
		}
		file.Patches = append(file.Patches, patch)
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
