package vip_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A case is a folder of testdata. Its in.yaml is a Snapshot in short form; what it
// leaves out has the defaults below. testdata/README.md explains the fields.
type caseFile struct {
	About    string `json:"about"`
	Settings struct {
		Port        int32  `json:"port"`
		Namespace   string `json:"namespace"`
		WatchFilter string `json:"watchFilter"`
		HoldGate    bool   `json:"holdGate"`
	} `json:"settings"`
	Cluster caseCluster             `json:"cluster"`
	Class   *caseClass              `json:"class"`
	Pools   []casePool              `json:"pools"`
	Claims  map[vip.Role]*caseClaim `json:"claims"`
	Holders map[string][]string     `json:"holders"`
	// Recoveries name the pool that could give back a lost VIP.
	Recoveries map[vip.Role]string `json:"recoveries"`
}

type caseCluster struct {
	Labels         map[string]string            `json:"labels"`
	Annotations    map[string]string            `json:"annotations"`
	NoTopology     bool                         `json:"noTopology"`
	Deleting       bool                         `json:"deleting"`
	Paused         *bool                        `json:"paused"`
	OwnedByRancher bool                         `json:"ownedByRancher"`
	V1Beta1        bool                         `json:"v1beta1"`
	Endpoint       string                       `json:"endpoint"`
	Variables      []map[string]json.RawMessage `json:"variables"`
	Infrastructure bool                         `json:"infrastructure"`
	Provisioned    bool                         `json:"provisioned"`
	Conditions     map[vip.Role]vip.Reason      `json:"conditions"`
	APIServerPort  int32                        `json:"apiServerPort"`
}

type caseClass struct {
	State     string                  `json:"state"` // "", missing or notReady
	Paths     map[vip.Role]string     `json:"paths"`
	Variables map[string]caseVariable `json:"variables"`
	Port      struct {
		Variable      string `json:"variable"`
		Default       int32  `json:"default"`
		Beside        bool   `json:"beside"`
		BesideDefault int32  `json:"besideDefault"`
		Most          int32  `json:"most"` // that the field beside the host takes
	} `json:"port"`
}

type caseVariable struct {
	Default  string   `json:"default"`
	Problem  string   `json:"problem"`
	Admits   string   `json:"admits"` // regular expression
	Choices  []string `json:"choices"`
	Family   string   `json:"family"`
	NeededBy string   `json:"neededBy"`
	Consumed bool     `json:"consumed"`
	Ungated  string   `json:"ungated"`
	Shared   bool     `json:"shared"`
	Near     string   `json:"near"` // and the class does not declare it
}

type casePool struct {
	Name        string            `json:"name"` // namespace/name for a namespaced pool
	Kind        string            `json:"kind"`
	Class       string            `json:"class"`
	Role        string            `json:"role"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Free        *int64            `json:"free"`
	Grace       int               `json:"grace"` // seconds
	Addresses   []string          `json:"addresses"`
	Deleting    bool              `json:"deleting"`
	Paused      bool              `json:"paused"`
}

type caseClaim struct {
	Pool     string       `json:"pool"`
	Owner    string       `json:"owner"`    // UID, or none
	Stranger bool         `json:"stranger"` // the owner is no Cluster of this name
	Deleting bool         `json:"deleting"`
	Role     *string      `json:"role"`
	Outdated bool         `json:"outdated"`
	Bound    bool         `json:"bound"` // although no IPAddress is visible
	Binding  bool         `json:"binding"`
	Address  *caseAddress `json:"address"`
	// Refusal is the reason of the claim's Ready condition, when that is False.
	Cluster   string    `json:"cluster"`  // of its label
	Reserved  string    `json:"reserved"` // until when
	Refusal   string    `json:"refusal"`
	Contested bool      `json:"contested"`
	LeaseHeld bool      `json:"leaseHeld"`
	DeletedAt time.Time `json:"deletedAt"`
}

type caseAddress struct {
	Text     string `json:"text"`
	Claim    string `json:"claim"`
	Pool     string `json:"pool"`
	Deleting bool   `json:"deleting"`
	Outside  bool   `json:"outside"` // of its pool's ranges
}

// UnmarshalJSON takes the address alone, too.
func (a *caseAddress) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &a.Text) == nil {
		return nil
	}
	type plain caseAddress
	return json.Unmarshal(data, (*plain)(a))
}

const (
	caseNamespace = "team-a"
	caseName      = "c1"
	caseUID       = "uid-1"
)

func caseFolders(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	folders := make([]string, 0, len(files))
	for _, file := range files {
		folders = append(folders, filepath.Base(filepath.Dir(file)))
	}
	return folders
}

func readCase(t testing.TB, folder string) *vip.Snapshot {
	t.Helper()
	return readFile(t, folder).snapshot(t)
}

func readFile(t testing.TB, folder string) *caseFile {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", folder, "in.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file caseFile
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	if file.About == "" {
		t.Errorf("%s: in.yaml does not say what the case is about", folder)
	}
	return &file
}
