package vip_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var update = flag.Bool("update", false, "rewrite plan.yaml of every case from what the planner says now")

// planFile is the readable form of a Decision; its patch is added line by line.
type planFile struct {
	Skipped string                 `json:"skipped,omitempty"`
	Roles   map[vip.Role]*planRole `json:"roles,omitempty"`
}

type planRole struct {
	Reason    vip.Reason `json:"reason"`
	Message   string     `json:"message"`
	Notes     []string   `json:"notes,omitempty"`
	Address   string     `json:"address,omitempty"`
	Pool      string     `json:"pool,omitempty"`
	Ensure    bool       `json:"ensure,omitempty"`
	Release   string     `json:"release,omitempty"`
	Pin       string     `json:"pin,omitempty"`
	Lease     bool       `json:"lease,omitempty"`
	Waiting   bool       `json:"waiting,omitempty"`
	Published bool       `json:"published,omitempty"`
}

func TestPlanOfEveryCaseFolder(t *testing.T) {
	for _, folder := range caseFolders(t) {
		t.Run(folder, func(t *testing.T) {
			decision := vip.Plan(readCase(t, folder))
			got := renderPlan(t, &decision)
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
				t.Errorf("the plan differs from %s (go test ./pkg/vip -update rewrites it).\n--- got\n%s--- want\n%s", path, got, want)
			}
		})
	}
}

func renderPlan(t *testing.T, d *vip.Decision) []byte {
	t.Helper()
	file := planFile{Skipped: string(d.Skipped), Roles: map[vip.Role]*planRole{}}
	for role, o := range d.Roles {
		rendered := &planRole{
			Reason: o.Reason, Message: o.Message, Address: o.Address,
			Ensure: o.Ensure, Lease: o.Lease, Waiting: o.Waiting, Published: o.Published,
		}
		if o.Pool != (vip.PoolRef{}) {
			rendered.Pool = o.Pool.String()
		}
		if o.Pin.IsValid() {
			rendered.Pin = o.Pin.Unmap().String()
		}
		if o.Release != nil {
			rendered.Release = o.Release.Name
		}
		for _, note := range o.Notes {
			rendered.Notes = append(rendered.Notes, string(note.Reason)+": "+note.Message)
		}
		file.Roles[role] = rendered
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBufferString(strings.TrimPrefix(string(text), "{}\n"))
	if len(d.Patch) == 0 {
		out.WriteString("patch: []\n")
		return out.Bytes()
	}
	out.WriteString("patch:\n")
	for _, op := range d.Patch {
		out.WriteString("- " + line(t, op) + "\n")
	}
	return out.Bytes()
}

// line writes one operation the way RFC 6902 shows them.
func line(t *testing.T, op vip.PatchOp) string {
	t.Helper()
	var fields any = op
	if op.Op == "remove" {
		fields = map[string]string{"op": op.Op, "path": op.Path}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// What the planner decides must not depend on anything but the Snapshot, and the
// Snapshot is the caller's.
func TestPlanIsAPureFunction(t *testing.T) {
	for _, folder := range caseFolders(t) {
		t.Run(folder, func(t *testing.T) {
			s := readCase(t, folder)
			first := vip.Plan(s)
			second := vip.Plan(s)
			if a, b := renderPlan(t, &first), renderPlan(t, &second); !bytes.Equal(a, b) {
				t.Errorf("two plans of one Snapshot differ:\n%s\n%s", a, b)
			}
			file := readFile(t, folder)
			slices.Reverse(file.Pools)
			reversed := vip.Plan(file.snapshot(t))
			if a, b := renderPlan(t, &first), renderPlan(t, &reversed); !bytes.Equal(a, b) {
				t.Errorf("the order in which pools are listed changes the plan:\n%s\n%s", a, b)
			}
		})
	}
}
