package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	web     = "Cluster team/web"
	cpClaim = "IPAddressClaim team/vip-cp-web"
	poolA   = "GlobalInClusterIPPool /vip-a"
	poolB   = "GlobalInClusterIPPool /vip-b"
	manager = "Deployment capi-vip-allocator-system/capi-vip-allocator-controller-manager"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// fresh takes everything away that the controller has done for the Cluster.
func (s *scene) fresh() {
	s.set(web, nil, "metadata", "annotations")
	s.set(web, map[string]any{vip.WatchFilterLabel: "a"}, "metadata", "labels")
	s.set(web, nil, "spec", "controlPlaneEndpoint")
	s.set(web, nil, "spec", "topology", "variables")
	s.set(web, nil, "status")
	for _, kind := range []string{"IPAddressClaim", "IPAddress"} {
		delete(s.objects, kind+" team/vip-cp-web")
		delete(s.objects, kind+" team/vip-ingress-web")
	}
}

func (s *scene) conditions(conditions ...map[string]any) {
	var all []any
	for _, c := range conditions {
		c["lastTransitionTime"] = "2026-11-22T09:58:00Z"
		all = append(all, c)
	}
	s.set(web, all, "status", "conditions")
}

func TestExplanations(t *testing.T) {
	for name, edit := range map[string]func(*scene){
		"served": func(*scene) {},
		"new":    (*scene).fresh,
		"waiting": func(s *scene) {
			s.fresh()
			s.set(poolA, map[string]any{"total": int64(90), "free": int64(0), "used": int64(90)}, "status", "ipAddresses")
			delete(s.objects, "GlobalInClusterIPPool /vip-ingress")
			s.conditions(
				map[string]any{"type": "ControlPlaneVIPReady", "status": "False", "reason": "PoolExhausted", "message": "no pool can serve"},
				map[string]any{"type": "IngressVIPReady", "status": "False", "reason": "PoolPaused", "message": "no pool can serve"},
				map[string]any{"type": "TopologyReconciled", "status": "False", "reason": "ReconcileFailed", "message": "error computing the desired state: " + strings.Repeat("failed to, ", 30) + "error calling fail: waiting for the VIP"})
			s.set(manager, nil, "status")
		},
		"foreign-claim": func(s *scene) {
			s.set(web, nil, "metadata", "annotations")
			s.set(web, nil, "spec", "controlPlaneEndpoint")
			s.set(web, nil, "spec", "topology", "variables")
			s.set(cpClaim, nil, "metadata", "ownerReferences")
			s.set(cpClaim, nil, "metadata", "labels", "cluster.x-k8s.io/cluster-name")
		},
		"patch-refused": func(s *scene) {
			s.set(web, nil, "metadata", "annotations")
			s.set(web, nil, "spec", "controlPlaneEndpoint")
			s.set(web, nil, "spec", "topology", "variables")
			s.conditions(map[string]any{"type": "ControlPlaneVIPReady", "status": "False", "reason": "PatchRefused", "message": "the API server refuses the change: must be in 192.0.2.0/24"})
		},
		"paused": func(s *scene) { s.fresh(); s.set(web, true, "spec", "paused") },
		"held": func(s *scene) {
			s.fresh()
			s.set(web, true, "spec", "paused")
			s.set(web, map[string]any{vip.HeldAnnotation: "true"}, "metadata", "annotations")
			s.add(holdGate)
			s.set(manager, []any{map[string]any{"name": "manager", "args": []any{"--hold-gate=hold", "--enable-runtime-extension", "--watch-filter=a"}}}, "spec", "template", "spec", "containers")
			delete(s.objects, poolA)
			delete(s.objects, poolB)
		},
		"other-watch-filter": func(s *scene) { s.set(web, map[string]any{}, "metadata", "labels") },
		"no-class":           func(s *scene) { s.fresh(); delete(s.objects, "ClusterClass team/demo") },
		"clusters-only": func(s *scene) {
			s.forbidden = []string{"clusterclasses", "ipaddressclaims", "ipaddresses", "globalinclusterippools", "inclusterippools", "leases", "deployments"}
		},
		"clusters-only-new": func(s *scene) {
			s.fresh()
			s.forbidden = []string{"clusterclasses", "ipaddressclaims", "ipaddresses", "globalinclusterippools", "inclusterippools", "leases", "deployments"}
		},
		"one-namespace": func(s *scene) {
			s.forbidden = []string{"clusters outside team", "clusterclasses list", "ipaddressclaims outside team", "ipaddresses outside team", "globalinclusterippools", "inclusterippools outside team", "leases", "deployments"}
		},
		"no-provider": func(s *scene) {
			s.fresh()
			s.without = []string{"globalinclusterippools", "inclusterippools", "ipaddressclaims", "ipaddresses"}
		},
		"downstream": func(s *scene) { s.add(rancher) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			edit(s)
			var out bytes.Buffer
			(&screen{out: &out, now: now}).explanation(s.explain())
			golden(t, "explain/"+name+".txt", out.Bytes())
		})
	}
}

const holdGate = `{apiVersion: v1, kind: ConfigMap, metadata: {name: hold, namespace: capi-vip-allocator-system}}`

const rancher = `
apiVersion: management.cattle.io/v3
kind: Cluster
metadata:
  name: c-abcde
  uid: m-1
  labels: {cluster-api.cattle.io/capi-cluster-owner: web, cluster-api.cattle.io/capi-cluster-owner-ns: team, vip.capi.gorizond.io/ingress-vip: 10.10.1.10}
---
apiVersion: management.cattle.io/v3
kind: Cluster
metadata: {name: c-other, uid: m-2}
---
apiVersion: fleet.cattle.io/v1alpha1
kind: Cluster
metadata:
  name: c-abcde
  namespace: fleet-default
  uid: f-1
  labels: {management.cattle.io/cluster-name: c-abcde}
  annotations: {vip.capi.gorizond.io/ingress-vip: 10.10.1.10, vip.capi.gorizond.io/control-plane-vip: 10.10.0.10}
---
apiVersion: fleet.cattle.io/v1alpha1
kind: Cluster
metadata:
  name: web-by-caapf
  namespace: team
  uid: f-2
  ownerReferences: [{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, name: web, uid: cluster-1}]
`

// The struct is public: a field that is renamed here breaks somebody's script.
func TestExplanationAsJSON(t *testing.T) {
	s := newScene(t)
	s.forbidden = []string{"leases"}
	var out bytes.Buffer
	explanation := s.explain()
	if err := printAs(&out, asJSON, explanation, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "explain/served.json", out.Bytes())
	back := &Explanation{}
	if err := json.Unmarshal(out.Bytes(), back); err != nil || len(back.Roles) != 2 {
		t.Errorf("it does not read back: %v", err)
	}
	var asText bytes.Buffer
	if err := printAs(&asText, asYAML, explanation, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "explain/served.yaml", asText.Bytes())
}

// Colours are for terminals, and must not shift a column.
func TestColoursChangeNothingButColours(t *testing.T) {
	explanation := newScene(t).explain()
	var plain, coloured bytes.Buffer
	(&screen{out: &plain, now: now}).explanation(explanation)
	(&screen{out: &coloured, now: now, colour: true}).explanation(explanation)
	if plain.String() == coloured.String() {
		t.Error("there are no colours")
	}
	if got := text.StripEscape(coloured.String()); got != plain.String() {
		t.Errorf("without its colours it is\n%s", got)
	}
}

// On a narrow terminal a sentence goes on where it began.
func TestSentencesWrap(t *testing.T) {
	const width = 80
	s := newScene(t)
	s.fresh()
	delete(s.objects, poolA)
	delete(s.objects, poolB)
	var out bytes.Buffer
	(&screen{out: &out, now: now, width: width}).explanation(s.explain())
	first, rest, _ := strings.Cut(out.String(), "  message     ")
	for line := range strings.Lines(strings.SplitAfter(rest, "next")[0]) {
		if len(line) > width {
			t.Errorf("%q is too long", line)
		}
	}
	if !strings.Contains(rest, "\n              free address") || first == "" {
		t.Errorf("the message goes on elsewhere:\n%s", rest)
	}
}

// A pipe is no terminal.
func TestNoColoursOffTerminal(t *testing.T) {
	if s := newScreen(&bytes.Buffer{}); s.colour || s.width != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAnUnknownClusterIsAnError(t *testing.T) {
	s := newScene(t)
	_, err := s.reading().findCluster(t.Context(), "team", "wep", false)
	if err == nil || err.Error() != "Cluster team/wep does not exist; -n names its namespace, -A looks in all of them" {
		t.Error(err)
	}
	s.without = []string{"clusters"}
	if _, err = s.reading().findCluster(t.Context(), "team", "web", false); err == nil || err.Error() != "cluster.x-k8s.io is not served: Cluster API is not installed here" {
		t.Error(err)
	}
}
