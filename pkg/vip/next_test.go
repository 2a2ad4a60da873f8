package vip_test

import (
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A key that cannot be read is told with what was most likely meant.
func TestWhatAPoolMayHaveMeant(t *testing.T) {
	both := "to serve both write control-plane_ingress in a label, or control-plane,ingress in an annotation"
	for says, keys := range map[string]map[string]string{
		`"both" is no role; ` + both:                                                                                      {"cluster-class": "rke2", "role": "both"},
		`"controlplane" is no role; did you mean control-plane?`:                                                          {"cluster-class": "rke2", "role": "controlplane"},
		`"ingres" is no role; did you mean ingress?`:                                                                      {"cluster-class": "rke2", "role": "ingres"},
		`"Ingress" is no role; did you mean ingress?`:                                                                     {"cluster-class": "rke2", "role": "Ingress"},
		`"plane" is no role; did you mean control-plane?`:                                                                 {"cluster-class": "rke2", "role": "plane"},
		`"gateway" is no role; the roles are control-plane and ing`:                                                       {"cluster-class": "rke2", "role": "gateway"},
		`role: the key is missing; found ` + vip.Prefix + `roles, di`:                                                     {"cluster-class": "rke2", "roles": "ingress"},
		`cluster-class: the key is missing; found ` + vip.Prefix + `class, did you mean ` + vip.Prefix + `cluster-class?`: {"class": "rke2", "role": "ingress"},
		`"F03": class names are lower case; did you mean f03?`:                                                            {"cluster-class": "F03", "role": "ingress"},
		`"Team-a/F03": class names are lower case; did you mean te`:                                                       {"cluster-class": "Team-a/F03", "role": "ingress"},
		`role: names nothing`: {"cluster-class": "rke2", "role": ""},
	} {
		if err := vip.ParseServes(nil, fullKeys(keys)).Err; err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v does not say %s", keys, err, says)
		}
	}
	// A key without our prefix is the usual slip too.
	labels := map[string]string{vip.PoolClassKey: "rke2", "role": "ingress"}
	if err := vip.ParseServes(labels, nil).Err; err == nil || !strings.Contains(err.Error(), "found role, did you mean "+vip.PoolRoleKey) {
		t.Errorf("%v: %v", labels, err)
	}
}

// The pool that was most likely meant, among those that do not serve the Cluster.
func TestClosestPool(t *testing.T) {
	s := &vip.Snapshot{Cluster: vip.Cluster{Namespace: "team-a", Name: "web", Class: vip.ClassKey{Namespace: "team-a", Name: "f04-cp"}}}
	pool := func(namespace, name, class, role string) vip.Pool {
		kind := "GlobalInClusterIPPool"
		if namespace != "" {
			kind = "InClusterIPPool"
		}
		return vip.Pool{
			Ref:    vip.PoolRef{Kind: kind, Namespace: namespace, Name: name},
			Serves: vip.ParseServes(nil, map[string]string{vip.PoolClassKey: class, vip.PoolRoleKey: role}),
		}
	}
	typo, elsewhere := pool("", "typo", "f4-cp", "control-plane"), pool("team-b", "elsewhere", "f04-cp", "control-plane")
	ingress, foreign := pool("", "ingress", "f04-cp", "ingress"), pool("", "foreign", "team-b/f04-cp", "control-plane")
	every, another := pool("", "every", "*", "control-plane"), pool("", "another", "kubeadm", "control-plane")
	for want, pools := range map[string][]vip.Pool{
		"GlobalInClusterIPPool ingress, which serves role ingress only":                                                                         {typo, elsewhere, ingress, foreign},
		"InClusterIPPool team-b/elsewhere, which is in another namespace; a namespaced pool serves Clusters of its own":                         {elsewhere, another},
		"GlobalInClusterIPPool foreign, which names class team-b/f04-cp, not team-a/f04-cp":                                                     {typo, elsewhere, foreign, another},
		"GlobalInClusterIPPool typo, which names class f4-cp, not f04-cp":                                                                       {another, typo},
		`GlobalInClusterIPPool every, which serves every class by "*": a * pool is used only by Clusters whose class declares the VIP variable`: {every},
		"": {another},
	} {
		miss, found := vip.Closest(s, vip.ControlPlane, pools)
		switch {
		case found != (want != ""):
			t.Errorf("found %v: %s, want %q", found, miss, want)
		case found && (miss.String() != want || miss.Next == ""):
			t.Errorf("%s (next %q), want %s", miss, miss.Next, want)
		}
	}
}

// Whatever keeps a role waiting, a condition says what to do about it.
func TestEveryReasonThatIsNotReadyHasANextStep(t *testing.T) {
	for _, reason := range vip.Reasons() {
		s := &vip.Snapshot{Cluster: vip.Cluster{Namespace: "team-a", Name: "web"}}
		step := vip.Next(s, &vip.Outcome{Role: vip.Ingress, Reason: reason})
		if (step == "") != reason.Ready() {
			t.Errorf("%s: the next step is %q", reason, step)
		}
		if strings.Contains(step, "BLOCKER") || strings.Contains(step, "CLUSTER ") {
			t.Errorf("%s: a name was left out: %q", reason, step)
		}
	}
}
