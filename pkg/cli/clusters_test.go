package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// moreClusters are Clusters in every state that the list tells apart.
const moreClusters = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: manual, namespace: team, uid: cluster-4, creationTimestamp: "2026-11-22T09:00:00Z", labels: {cluster.x-k8s.io/watch-filter: a}, annotations: {vip.capi.gorizond.io/ingress-enabled: "false"}}
spec: {controlPlaneEndpoint: {host: "fd00::9", port: 6443}, topology: {classRef: {name: demo}, version: v1.36.3}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: paused, namespace: office, uid: cluster-5, creationTimestamp: "2026-11-22T09:00:00Z"}
spec: {paused: true, topology: {classRef: {name: demo, namespace: team}, version: v1.36.3}}`

func TestClusterLists(t *testing.T) {
	for name, test := range map[string]struct {
		edit      func(*scene)
		namespace string
	}{
		"all":           {edit: func(s *scene) { s.add(waiter); s.add(moreClusters) }},
		"one-namespace": {edit: func(s *scene) { s.add(moreClusters) }, namespace: "office"},
		"empty":         {edit: func(*scene) {}, namespace: "nowhere"},
		"down":          {edit: func(s *scene) { s.fresh(); s.set(manager, int64(0), "spec", "replicas"); s.set(manager, nil, "status") }},
		"clusters-only": {edit: func(s *scene) {
			s.forbidden = []string{"clusterclasses", "ipaddressclaims", "ipaddresses", "globalinclusterippools", "inclusterippools", "leases", "deployments"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			test.edit(s)
			var out bytes.Buffer
			(&screen{out: &out, now: now}).clusters(s.clusters(test.namespace), test.namespace == "")
			golden(t, "clusters/"+name+".txt", out.Bytes())
		})
	}
}

// Who follows is told of a Cluster once for every change, and of none for an age.
func TestFollowingPrintsWhatChanged(t *testing.T) {
	s := newScene(t)
	s.fresh()
	shown := map[string]string{}
	next := func() string {
		var out bytes.Buffer
		(&screen{out: &out, now: now}).changedClusters(s.clusters(""), true, shown)
		return out.String()
	}
	if first := next(); !strings.Contains(first, "web") {
		t.Errorf("at first it prints %q", first)
	}
	if again := next(); again != "" {
		t.Errorf("nothing changed, and it prints %q", again)
	}
	s.set(web, map[string]any{"host": "10.10.0.77", "port": int64(6443)}, "spec", "controlPlaneEndpoint")
	if changed := next(); !strings.Contains(changed, "10.10.0.77") || !strings.Contains(changed, "manual") {
		t.Errorf("after a change it prints %q", changed)
	}
	delete(s.objects, web)
	if gone := next(); !strings.Contains(gone, "team/web is gone") {
		t.Errorf("after the deletion it prints %q", gone)
	}
}

func TestDiagnoses(t *testing.T) {
	for name, edit := range map[string]func(*scene){
		"sound": func(s *scene) {
			// What the scene has for other tests is odd in itself.
			delete(s.objects, poolB)
			s.set("GlobalInClusterIPPool /vip-ingress", int64(120), "spec", "addressReuseGracePeriodSeconds")
			s.set("GlobalInClusterIPPool /vip-ingress", map[string]any{"total": int64(9), "free": int64(8), "used": int64(1)}, "status", "ipAddresses")
			s.add(providers)
			s.set(manager, []any{map[string]any{"name": "manager", "image": "example/capi-vip-allocator:v0.9.0", "args": []any{"--enable-runtime-extension", "--watch-filter=a"}}}, "spec", "template", "spec", "containers")
		},
		"down": func(s *scene) {
			s.set(manager, int64(0), "spec", "replicas")
			s.set(manager, nil, "status")
			s.fresh()
		},
		"without-provider": func(s *scene) {
			s.fresh()
			s.without = []string{"globalinclusterippools", "inclusterippools", "ipaddressclaims", "ipaddresses"}
		},
		"rights": func(s *scene) { s.forbidden = []string{"allocator patch clusters", "allocator list inclusterippools"} },
		"hook-gate-unasked": func(s *scene) {
			s.add(strings.ReplaceAll(providers, "RuntimeSDK=true", "RuntimeSDK=false"))
			s.set(manager, []any{map[string]any{"name": "manager", "image": "registry.example:5000/capi-vip-allocator:v0.9.0", "args": []any{"--enable-runtime-extension", "--watch-filter=a"}}}, "spec", "template", "spec", "containers")
		},
		"faults": func(s *scene) {
			s.add(morePools)
			s.add(waiter)
			s.add(providers)
			s.set("Deployment capi-system/capi-controller-manager", nil, "status")
		},
		"forbidden": func(s *scene) {
			s.forbidden = []string{"clusters outside team", "clusterclasses list", "ipaddressclaims outside team", "ipaddresses outside team", "globalinclusterippools", "inclusterippools outside team", "leases", "deployments", "subjectaccessreviews"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			edit(s)
			var out bytes.Buffer
			(&screen{out: &out, now: now}).diagnosis(s.doctor(), true)
			golden(t, "doctor/"+name+".txt", out.Bytes())
		})
	}
}

const providers = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: capi-controller-manager, namespace: capi-system, labels: {cluster.x-k8s.io/provider: cluster-api}}
spec: {replicas: 1, template: {spec: {containers: [{name: manager, image: "registry.k8s.io/cluster-api/cluster-api-controller:v1.14.2", args: ["--leader-elect", "--feature-gates=MachinePool=true,ClusterTopology=true,RuntimeSDK=true"]}]}}}
status: {readyReplicas: 1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: capi-ipam-in-cluster-controller-manager, namespace: capi-ipam-in-cluster-system, labels: {cluster.x-k8s.io/provider: ipam-in-cluster}}
spec: {template: {spec: {containers: [{name: manager, image: "registry.k8s.io/capi-ipam-ic/cluster-api-ipam-in-cluster-controller:v1.1.0@sha256:0123"}]}}}
status: {readyReplicas: 1}`

// The Lease tells who writes where the Deployment does not: a controller that runs elsewhere.
func TestWhoRuns(t *testing.T) {
	lease := func(holder, renewed string) string {
		return `{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: capi-vip-allocator.gorizond.io, namespace: capi-vip-allocator-system},
  spec: {holderIdentity: "` + holder + `", leaseDurationSeconds: 15, renewTime: "` + renewed + `"}}`
	}
	for name, test := range map[string]struct {
		edit func(*scene)
		down string
	}{
		"its replicas": {func(*scene) {}, ""},
		"nobody":       {func(s *scene) { delete(s.objects, manager) }, "there is no Deployment"},
		"whoever holds the Lease": {func(s *scene) {
			delete(s.objects, manager)
			s.add(lease("laptop", "2026-11-22T09:59:50.000000Z"))
		}, ""},
		"nobody since the Lease ran out": {func(s *scene) {
			s.set(manager, nil, "status")
			s.add(lease("laptop", "2026-11-22T09:50:00.000000Z"))
		}, "0 of 2 replicas of Deployment"},
		"nobody since the Lease was given back": {func(s *scene) {
			s.set(manager, int64(0), "spec", "replicas")
			s.set(manager, nil, "status")
			s.add(lease("", "2026-11-22T09:59:50.000000Z"))
		}, "is scaled to 0"},
		"who knows": {func(s *scene) { s.forbidden = []string{"deployments", "leases"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.edit(s)
			r, set := s.reading(), s.settings()
			set.now = func() time.Time { return now }
			_, controller, err := set.find(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if (controller.Down == "") != (test.down == "") || !strings.Contains(controller.Down, test.down) || (controller.Next == "") != (test.down == "") {
				t.Errorf("it says %q, next %q", controller.Down, controller.Next)
			}
		})
	}
}

// With nobody there to do it, that is the first thing to hear, and what to do.
func TestNobodyRunsComesFirst(t *testing.T) {
	s := newScene(t)
	s.fresh()
	s.set(manager, int64(0), "spec", "replicas")
	s.set(manager, nil, "status")
	e := s.explain()
	var out bytes.Buffer
	(&screen{out: &out, now: now}).explanation(e)
	if !strings.HasPrefix(out.String(), "The allocator is not running: ") {
		t.Errorf("it begins otherwise:\n%s", out.String())
	}
	if r := e.Roles[0]; r.Reason != string(vip.ClaimPending) || !strings.HasPrefix(r.Next, "start the allocator: kubectl scale deployment") {
		t.Errorf("it says %+v", r)
	}
}
