package vip_test

import (
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A user may apply the Cluster before its class. A claim that is made meanwhile
// would take an address from the pool that nobody wants.
func TestNoClaimForAVariableThatWasSetBeforeTheClassExists(t *testing.T) {
	for _, variable := range []string{"clusterVip", "ingressVip"} {
		t.Run(variable, func(t *testing.T) {
			s := readCase(t, "class-missing")
			s.Claims = nil
			s.Cluster.Variables = []vip.Variable{{Name: variable, Value: []byte(`"192.168.0.5"`)}}
			for role, outcome := range vip.Plan(s).Roles {
				if role.DefaultVariable() == variable && outcome.Ensure {
					t.Errorf("a claim is made on %s: %s", outcome.Pool, outcome.Message)
				}
			}
		})
	}
}

func TestPlanOfOneRoleAloneLeavesTheOtherOut(t *testing.T) {
	for _, folder := range caseFolders(t) {
		t.Run(folder, func(t *testing.T) {
			s := readCase(t, folder)
			for _, role := range vip.Roles() {
				checkAlone(t, s, role)
			}
		})
	}
}

func TestEveryCaseKeepsTheInvariants(t *testing.T) {
	for _, folder := range caseFolders(t) {
		t.Run(folder, func(t *testing.T) {
			s := readCase(t, folder)
			d := vip.Plan(s)
			checkDecision(t, s, &d)
		})
	}
}

// The counters of a metric and the patch that is tried alone rely on it.
func TestChangesSaysWhichRoleThePatchIsFor(t *testing.T) {
	for folder, want := range map[string]map[vip.Role]bool{
		"publish-both-roles":       {vip.ControlPlane: true, vip.Ingress: true},
		"new-without-ingress-pool": {vip.ControlPlane: true, vip.Ingress: false},
		"manual-ingress-variable":  {vip.ControlPlane: false, vip.Ingress: true},
		"converged":                {vip.ControlPlane: false, vip.Ingress: false},
		"class-not-ready":          {vip.ControlPlane: false},
	} {
		for role, changes := range want {
			if d := vip.Plan(readCase(t, folder)); d.Roles[role].Changes != changes {
				t.Errorf("%s: role %s: Changes is %v", folder, role, d.Roles[role].Changes)
			}
		}
	}
}

// Neither role may keep the other waiting, whatever is wrong with it.
func TestATroubledIngressDoesNotDelayTheControlPlane(t *testing.T) {
	want := vip.Plan(readCase(t, "publish-both-roles")).Roles[vip.ControlPlane]
	for name, trouble := range map[string]func(*vip.Snapshot){
		"no claim": func(s *vip.Snapshot) { s.Claims[vip.Ingress] = nil },
		"no pool": func(s *vip.Snapshot) {
			s.Claims[vip.Ingress], s.Pools[0].Serves.Roles = nil, s.Pools[0].Serves.Roles[:1]
		},
		"a stranger's claim":  func(s *vip.Snapshot) { s.Claims[vip.Ingress].OwnerUIDs = nil },
		"an unusable address": func(s *vip.Snapshot) { s.Claims[vip.Ingress].Address.Text = "0.0.0.0" },
		"a refused variable":  func(s *vip.Snapshot) { refuse(s, vip.Ingress) },
		"a lost claim": func(s *vip.Snapshot) {
			s.Claims[vip.Ingress], s.Cluster.Annotations = nil, map[string]string{vip.Ingress.WrittenAnnotation(): "none"}
		},
		"a claim being deleted": func(s *vip.Snapshot) { s.Claims[vip.Ingress].Deleting = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := readCase(t, "publish-both-roles")
			trouble(s)
			d := vip.Plan(s)
			got := d.Roles[vip.ControlPlane]
			if got.Reason != want.Reason || got.Address != want.Address || !got.Published {
				t.Errorf("the control plane is %s %s", got.Reason, got.Address)
			}
			if next := after(t, s, &d); next.Cluster.Endpoint.Host != want.Address {
				t.Errorf("the endpoint is %v", next.Cluster.Endpoint)
			}
		})
	}
}

func refuse(s *vip.Snapshot, role vip.Role) {
	variable := s.Class.Roles[role]
	variable.Problem = "its type is integer, not string"
	s.Class.Roles[role] = variable
}
