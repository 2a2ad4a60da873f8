package vip_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

type servesCase struct {
	name                string
	labels, annotations map[string]string
	want                vip.Serves
	err                 string
}

var (
	rke2     = vip.ClassEntry{Name: "rke2"}
	bothList = []vip.Role{vip.ControlPlane, vip.Ingress}
)

func servesCases() []servesCase {
	long := strings.Repeat("a", 100)
	return []servesCase{
		{
			name:   "labels with one name each",
			labels: map[string]string{"cluster-class": "rke2", "role": "ingress"},
			want:   vip.Serves{Classes: []vip.ClassEntry{rke2}, Roles: []vip.Role{vip.Ingress}},
		},
		{
			name:   "labels with several names joined by an underscore",
			labels: map[string]string{"cluster-class": "rke2_k3s", "role": "control-plane_ingress"},
			want:   vip.Serves{Classes: []vip.ClassEntry{{Name: "k3s"}, rke2}, Roles: bothList},
		},
		{
			name:   "the comma form in labels of manifests read offline",
			labels: map[string]string{"cluster-class": "rke2,k3s", "role": "control-plane, ingress"},
			want:   vip.Serves{Classes: []vip.ClassEntry{{Name: "k3s"}, rke2}, Roles: bothList},
		},
		{
			name:   "annotations with spaces, empty items and a long name",
			labels: nil, annotations: map[string]string{"cluster-class": " rke2 ,, " + long + " , ", "role": "ingress ,control-plane"},
			want: vip.Serves{Classes: []vip.ClassEntry{{Name: long}, rke2}, Roles: bothList},
		},
		{
			name:   "the form of v0.7.1: label true, list in the annotation",
			labels: map[string]string{"cluster-class": "true", "role": "true"}, annotations: map[string]string{"cluster-class": "rke2", "role": "ingress"},
			want: vip.Serves{Classes: []vip.ClassEntry{rke2}, Roles: []vip.Role{vip.Ingress}},
		},
		{
			name:   "label and annotation united, each entry once",
			labels: map[string]string{"cluster-class": "rke2", "role": "ingress"}, annotations: map[string]string{"cluster-class": "k3s,rke2", "role": "control-plane,ingress"},
			want: vip.Serves{Classes: []vip.ClassEntry{{Name: "k3s"}, rke2}, Roles: bothList},
		},
		{
			name:        "namespaced classes, every class, priority and namespaces",
			annotations: map[string]string{"cluster-class": "*,team-a/rke2", "role": "ingress", "priority": " -3 ", "namespaces": "team-b, team-a"},
			want: vip.Serves{
				Classes: []vip.ClassEntry{{Name: "*"}, {Namespace: "team-a", Name: "rke2"}}, Roles: []vip.Role{vip.Ingress},
				Priority: -3, Namespaces: []string{"team-b", "team-a"},
			},
		},
		{
			name:        "an empty list of namespaces, which is no absent one",
			annotations: map[string]string{"cluster-class": "rke2", "role": "ingress", "namespaces": " , "},
			want:        vip.Serves{Classes: []vip.ClassEntry{rke2}, Roles: []vip.Role{vip.Ingress}, Namespaces: []string{}},
		},
		{name: "no role", labels: map[string]string{"cluster-class": "rke2"}, err: "role: the key is missing", want: vip.Serves{Classes: []vip.ClassEntry{rke2}}},
		{name: "no class", labels: map[string]string{"role": "ingress"}, err: "cluster-class: the key is missing", want: vip.Serves{Roles: []vip.Role{vip.Ingress}}},
		{
			name: "an unknown role beside a known one", annotations: map[string]string{"cluster-class": "rke2", "role": "ingress,egress"},
			err: `"egress" is no role`, want: vip.Serves{Classes: []vip.ClassEntry{rke2}, Roles: []vip.Role{vip.Ingress}},
		},
		{
			name: "a class that can be none", annotations: map[string]string{"cluster-class": "rke2,{{ .x }}", "role": "ingress"},
			err: "{{ .x }}", want: vip.Serves{Classes: []vip.ClassEntry{rke2}, Roles: []vip.Role{vip.Ingress}},
		},
		{name: "a class with two slashes", annotations: map[string]string{"cluster-class": "a/b/c", "role": "ingress"}, err: "a/b/c", want: vip.Serves{Roles: []vip.Role{vip.Ingress}}},
		{name: "a class with an empty namespace", annotations: map[string]string{"cluster-class": "/b", "role": "ingress"}, err: "/b", want: vip.Serves{Roles: []vip.Role{vip.Ingress}}},
		{name: "a class of 254 letters", annotations: map[string]string{"cluster-class": strings.Repeat("a", 254), "role": "ingress"}, err: "neither a class name", want: vip.Serves{Roles: []vip.Role{vip.Ingress}}},
		{
			name: "a priority that is none", annotations: map[string]string{"cluster-class": "rke2", "role": "ingress", "priority": "1.5"},
			err: `priority: "1.5" is no integer`, want: vip.Serves{Classes: []vip.ClassEntry{rke2}, Roles: []vip.Role{vip.Ingress}},
		},
		{
			name: "a namespace that can be none", annotations: map[string]string{"cluster-class": "rke2", "role": "ingress", "namespaces": "Team A"},
			err: `"Team A" is no namespace name`, want: vip.Serves{Classes: []vip.ClassEntry{rke2}, Roles: []vip.Role{vip.Ingress}, Namespaces: []string{"Team A"}},
		},
	}
}

func TestParseServesReads(t *testing.T) {
	for _, test := range servesCases() {
		t.Run(test.name, func(t *testing.T) {
			got := vip.ParseServes(fullKeys(test.labels), fullKeys(test.annotations))
			switch {
			case test.err == "" && got.Err != nil:
				t.Errorf("unexpected error: %v", got.Err)
			case test.err != "" && (got.Err == nil || !strings.Contains(got.Err.Error(), test.err) || !strings.Contains(got.Err.Error(), vip.Prefix)):
				t.Errorf("the error names neither key nor entry: %v", got.Err)
			}
			got.Err = nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestServesClass(t *testing.T) {
	class := vip.ClassKey{Namespace: "team-a", Name: "rke2"}
	for list, want := range map[string]bool{
		"rke2": true, "team-a/rke2": true, "*": true, "other,*": true, "team-b/rke2": false, "rke": false, "team-a/other": false, "rke2x": false,
	} {
		serves := vip.ParseServes(nil, fullKeys(map[string]string{"cluster-class": list, "role": "ingress"}))
		if got := serves.Class(class); got != want {
			t.Errorf("%s: %v, want %v", list, got, want)
		}
	}
}

func TestOnlyPoolsWithOurKeysTakePart(t *testing.T) {
	with := map[string]string{vip.PoolClassKey: ""}
	role := map[string]string{vip.PoolRoleKey: "x"}
	if !vip.HasPoolKeys(with, nil) || !vip.HasPoolKeys(nil, with) || !vip.HasPoolKeys(role, nil) || !vip.HasPoolKeys(nil, role) {
		t.Error("a pool with one of our keys does not take part")
	}
	if vip.HasPoolKeys(map[string]string{"cluster-class": "rke2"}, map[string]string{vip.PoolPriorityKey: "1"}) || vip.HasPoolKeys(nil, nil) {
		t.Error("a pool without our keys takes part")
	}
}

// A message ends up in a condition, for which the API server sets a limit.
func TestAThousandMalformedEntriesMakeAShortMessage(t *testing.T) {
	s := &vip.Snapshot{Cluster: (&caseCluster{}).view(), Class: (*caseClass)(nil).view()}
	var entries []string
	for i := range 1000 {
		entries = append(entries, fmt.Sprintf("no role %d", i))
	}
	s.Pools = append(s.Pools, (&casePool{Name: "p", Class: "rke2", Role: strings.Join(entries, ",")}).view())
	for conditionType, condition := range vip.Plan(s).Conditions {
		if len(condition.Message) > 4096 || strings.Contains(condition.Message, "\n") {
			t.Errorf("%s: a message of %d bytes: %.200q", conditionType, len(condition.Message), condition.Message)
		}
	}
}
