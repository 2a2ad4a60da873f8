package cli

import (
	"bytes"
	"testing"
)

func TestPoolLists(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*scene)
		wanted
	}{
		"all": {edit: func(s *scene) {
			s.add(morePools)
			s.add(waiter)
		}},
		"one-namespace": {edit: func(s *scene) { s.add(morePools) }, wanted: wanted{namespace: "office"}},
		"one":           {edit: func(s *scene) { s.add(oddClaims); s.add(inGrace) }, wanted: wanted{name: "vip-a", addresses: true}},
		"in-grace":      {edit: func(s *scene) { s.add(inGrace) }},
		"booked":        {edit: func(s *scene) { s.add(bookedVIP) }, wanted: wanted{name: "vip-a", addresses: true}},
		"empty": {edit: func(s *scene) {
			for _, pool := range []string{"vip-a", "vip-b", "vip-ingress"} {
				delete(s.objects, "GlobalInClusterIPPool /"+pool)
			}
		}},
		"forbidden": {edit: func(s *scene) {
			s.forbidden = []string{"clusters", "clusterclasses", "ipaddressclaims", "globalinclusterippools", "deployments"}
			s.without = []string{"inclusterippools"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			test.edit(s)
			var out bytes.Buffer
			(&screen{out: &out, now: now}).pools(s.pools(test.wanted), test.addresses)
			golden(t, "pools/"+name+".txt", out.Bytes())
		})
	}
}

const morePools = `
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: InClusterIPPool
metadata:
  name: local
  namespace: office
  annotations: {vip.capi.gorizond.io/cluster-class: "team/demo,a,b,c,*", vip.capi.gorizond.io/role: "control-plane, ingress"}
spec: {addresses: ["fd00::/64"], prefix: 64, addressReuseGracePeriodSeconds: 60}
status: {ipAddresses: {total: 9223372036854775807, free: 9223372036854775806, used: 1, outOfRange: 0}}
---
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: typo
  labels: {vip.capi.gorizond.io/cluster-class: demo, vip.capi.gorizond.io/role: controlplane}
  annotations: {vip.capi.gorizond.io/namespaces: ""}
  deletionTimestamp: "2026-11-22T09:00:00Z"
spec: {addresses: [192.0.2.1-192.0.2.4], prefix: 24, addressReuseGracePeriodSeconds: 60}
status: {ipAddresses: {total: 4, free: 9, used: 0}}
---
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: closed
  labels: {vip.capi.gorizond.io/cluster-class: demo, vip.capi.gorizond.io/role: ingress}
  annotations: {vip.capi.gorizond.io/namespaces: office}
spec: {addresses: [192.0.2.11-192.0.2.14], prefix: 24, addressReuseGracePeriodSeconds: 60}
status: {ipAddresses: {total: 4, free: 1, used: 3}}
---
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata: {name: not-ours}
spec: {addresses: [10.10.0.1-10.10.0.254], prefix: 24}`

// waiter finds no ingress VIP: one pool is full, the other closed to it.
const waiter = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: second, namespace: team, uid: cluster-3, labels: {cluster.x-k8s.io/watch-filter: a}}
spec: {topology: {classRef: {name: demo}, version: v1.36.3}}`

const inGrace = `
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata: {name: vip-cp-f24, namespace: team, creationTimestamp: "2026-11-22T09:50:00Z", deletionTimestamp: "2026-11-22T09:59:00Z"}
spec: {poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}}
---
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddress
metadata: {name: vip-cp-f24, namespace: team, creationTimestamp: "2026-11-22T09:50:01Z"}
spec: {address: 10.10.0.24, prefix: 24, claimRef: {name: vip-cp-f24}, poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}}`

const bookedVIP = `
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddress
metadata: {name: vip-manual-cp-typed, namespace: team, labels: {vip.capi.gorizond.io/manual: "true"}, creationTimestamp: "2026-11-22T09:50:01Z"}
spec: {address: 10.10.0.30, prefix: 24, claimRef: {name: vip-manual-cp-typed}, poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}}`

const oddClaims = `
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata: {name: vip-cp-ghost, namespace: team, creationTimestamp: "2026-11-22T09:50:00Z", deletionTimestamp: "2026-11-22T09:51:00Z"}
spec: {poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}}
---
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddress
metadata: {name: orphan, namespace: office, creationTimestamp: "2026-11-21T10:00:01Z"}
spec: {address: 10.10.0.9, prefix: 24, claimRef: {name: orphan}, poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}}`

func TestAnUnknownPoolIsAnError(t *testing.T) {
	s := newScene(t)
	r, set := s.reading(), s.settings()
	config, _, err := set.find(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.poolList(t.Context(), wanted{name: "vip-c"}, "team", config)
	if err == nil || err.Error() != "no pool vip-c carries vip.capi.gorizond.io/cluster-class or vip.capi.gorizond.io/role" {
		t.Error(err)
	}
}
