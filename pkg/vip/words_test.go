package vip_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func TestParseAddress(t *testing.T) {
	for _, text := range []string{"10.0.0.1", "255.255.255.254", "fd00::1", "FD00::1", "2001:db8::ffff:1", "::ffff:10.0.0.1"} {
		t.Run("takes "+text, func(t *testing.T) {
			if addr, err := vip.ParseAddress(text); err != nil || !addr.IsValid() {
				t.Errorf("%q: %v, %v", text, addr, err)
			}
		})
	}
	for why, text := range map[string]string{
		"leading zeros": "010.0.0.1", "zone": "fe80::1%eth0", "global with zone": "fd00::1%eth0", "unspecified": "0.0.0.0", "unspecified IPv6": "::",
		"this network": "0.0.0.1", "loopback": "127.0.0.1", "loopback IPv6": "::1", "mapped loopback": "::ffff:127.0.0.1", "link-local": "169.254.1.1", "link-local IPv6": "fe80::1",
		"multicast": "224.0.0.1", "multicast IPv6": "ff02::1", "mapped multicast": "::ffff:224.0.0.1", "broadcast": "255.255.255.255", "mapped broadcast": "::ffff:255.255.255.255",
		"spaces": " 10.0.0.1", "a newline": "10.0.0.1\n", "CIDR": "10.0.0.1/24", "a port": "10.0.0.1:6443", "brackets": "[fd00::1]",
		"nothing": "", "a host name": "api.example.com", "512 letters": strings.Repeat("a", 512), "Arabic digits": "١٠.٠.٠.١", "NUL": "10.0.0.1\x00",
		"too few parts": "10.0.1", "a number": "167772161", "a range": "10.0.0.1-10.0.0.9",
	} {
		t.Run("refuses "+why, func(t *testing.T) {
			_, err := vip.ParseAddress(text)
			if err == nil {
				t.Fatalf("%q is taken", text)
			}
			if len(err.Error()) > 200 || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("the error is not fit to be shown: %q", err)
			}
		})
	}
}

func TestKeyMakesAddressesComparable(t *testing.T) {
	same := [][2]string{{"10.0.0.1", "::ffff:10.0.0.1"}, {"fd00::1", "FD00:0::0001"}, {"10.0.0.1", "10.0.0.1"}}
	for _, pair := range same {
		a, okA := vip.Key(pair[0])
		b, okB := vip.Key(pair[1])
		if !okA || !okB || a != b {
			t.Errorf("%q and %q are different: %v, %v", pair[0], pair[1], a, b)
		}
	}
	if a, _ := vip.Key("10.0.0.1"); a.String() != "::ffff:10.0.0.1" {
		t.Errorf("the key of an IPv4 address is %s", a)
	}
	for _, text := range []string{"api.example.com", "", "fe80::1%eth0", "10.0.0.1/32", "010.0.0.1"} {
		if key, ok := vip.Key(text); ok {
			t.Errorf("%q has the key %s", text, key)
		}
	}
}

func TestLegalLabelValue(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "10.0.0.1": true, "a": true, "api.example.com": true, "A_b-c.9": true,
		strings.Repeat("a", 63): true, strings.Repeat("a", 64): false, "fd00::1": false, "a b": false, "-a": false, "a.": false, "a\n": false, "ü": false,
	} {
		if got := vip.LegalLabelValue(text); got != want {
			t.Errorf("%.70q: %v, want %v", text, got, want)
		}
	}
}

func TestClaimNamesLeadBackToTheirCluster(t *testing.T) {
	for _, cluster := range []string{"c1", "1.2.3", "cp-x", "ingress-x", "vip-cp-c1", strings.Repeat("a", 253)} {
		for _, role := range vip.Roles() {
			gotCluster, gotRole, ok := vip.ParseClaimName(role.ClaimName(cluster))
			if !ok || gotCluster != cluster || gotRole != role {
				t.Errorf("%s of %s: %q, %s, %v", role, cluster, gotCluster, gotRole, ok)
			}
		}
	}
	for _, claim := range []string{"", "vip-cp-", "vip-ingress-", "vip-", "c1", "xvip-cp-c1", "VIP-CP-c1"} {
		if cluster, role, ok := vip.ParseClaimName(claim); ok {
			t.Errorf("%q is taken for the claim of %q, %s", claim, cluster, role)
		}
	}
}

// Objects in the field carry these names; none may ever change.
func TestPublicNames(t *testing.T) {
	want := map[vip.Role][]string{
		vip.ControlPlane: {
			"control-plane", "vip-cp-c1", "vip.capi.gorizond.io/control-plane-enabled", "vip.capi.gorizond.io/control-plane-pool",
			"vip.capi.gorizond.io/control-plane-vip", "vip.capi.gorizond.io/has-control-plane-vip", "vip.capi.gorizond.io/control-plane-written",
			"vip.capi.gorizond.io/control-plane-variable", "clusterVip", "ControlPlaneVIPReady",
		},
		vip.Ingress: {
			"ingress", "vip-ingress-c1", "vip.capi.gorizond.io/ingress-enabled", "vip.capi.gorizond.io/ingress-pool",
			"vip.capi.gorizond.io/ingress-vip", "vip.capi.gorizond.io/has-ingress-vip", "vip.capi.gorizond.io/ingress-written",
			"vip.capi.gorizond.io/ingress-variable", "ingressVip", "IngressVIPReady",
		},
	}
	for role, names := range want {
		got := []string{
			string(role), role.ClaimName("c1"), role.EnabledAnnotation(), role.PoolAnnotation(), role.Stamp(), role.StampedLabel(),
			role.WrittenAnnotation(), role.VariableAnnotation(), role.DefaultVariable(), role.ConditionType(),
		}
		if !slices.Equal(got, names) {
			t.Errorf("role %s:\ngot  %v\nwant %v", role, got, names)
		}
	}
	keys := []string{vip.PoolClassKey, vip.PoolRoleKey, vip.PoolNamespacesKey, vip.PoolPriorityKey, vip.BackfillAnnotation, vip.HeldAnnotation, vip.ClusterNameLabel, vip.WatchFilterLabel, vip.PausedAnnotation,
		vip.PropagatedAnnotation, vip.FleetNameLabel, vip.FleetNamespaceLabel}
	wantKeys := []string{
		"vip.capi.gorizond.io/cluster-class", "vip.capi.gorizond.io/role", "vip.capi.gorizond.io/namespaces", "vip.capi.gorizond.io/priority",
		"vip.capi.gorizond.io/backfill", "vip.capi.gorizond.io/held", "cluster.x-k8s.io/cluster-name", "cluster.x-k8s.io/watch-filter", "cluster.x-k8s.io/paused",
		"vip.capi.gorizond.io/propagated", "vip.capi.gorizond.io/cluster-name", "vip.capi.gorizond.io/cluster-namespace",
	}
	if !slices.Equal(keys, wantKeys) {
		t.Errorf("got %v\nwant %v", keys, wantKeys)
	}
}

func TestParseRoleTakesNothingElse(t *testing.T) {
	for _, role := range vip.Roles() {
		if got, ok := vip.ParseRole(string(role)); !ok || got != role {
			t.Errorf("%s: %s, %v", role, got, ok)
		}
	}
	for _, text := range []string{"", "true", "Ingress", "controlplane", "control-plane,ingress"} {
		if role, ok := vip.ParseRole(text); ok {
			t.Errorf("%q is role %s", text, role)
		}
	}
}

func TestReasonsAreOneClosedSet(t *testing.T) {
	seen := map[vip.Reason]bool{}
	for _, reason := range vip.Reasons() {
		if seen[reason] {
			t.Errorf("%s stands twice", reason)
		}
		seen[reason] = true
		// The API server takes condition reasons of this form only.
		if !strings.HasPrefix(string(reason), strings.ToUpper(string(reason[:1]))) || strings.ContainsAny(string(reason), " -") {
			t.Errorf("%q is no reason of a condition", reason)
		}
		if reason.Ready() && reason.Transient() {
			t.Errorf("%s is both an end and a step", reason)
		}
		if reason.Transient() && reason.Warning() && reason != vip.ClaimTerminating && reason != vip.ClaimPending {
			t.Errorf("%s passes by itself and warns", reason)
		}
	}
	for _, note := range []vip.Reason{vip.InvalidAnnotation, vip.PropagationBlocked, vip.NoTarget} {
		if seen[note] || note.Ready() {
			t.Errorf("%s is taken for an outcome", note)
		}
	}
	ready := vip.Decision{Roles: map[vip.Role]*vip.Outcome{vip.Ingress: {Reason: vip.Disabled}}}
	waiting := vip.Decision{Roles: map[vip.Role]*vip.Outcome{vip.Ingress: {Reason: vip.Manual}, vip.ControlPlane: {Reason: vip.NoPool}}}
	if !ready.Ready() || waiting.Ready() {
		t.Error("a decision is ready once each of its roles is")
	}
}

func TestTextsForPeople(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"InClusterIPPool n/x": vip.PoolRef{Kind: "InClusterIPPool", Namespace: "n", Name: "x"}, "GlobalInClusterIPPool x": vip.PoolRef{Kind: "GlobalInClusterIPPool", Name: "x"},
		"n/c": vip.ClassKey{Namespace: "n", Name: "c"}, "Cluster n/c (variable v)": vip.Holder{Kind: "Cluster", Namespace: "n", Name: "c", Where: "variable v"},
		"IPAddress n/a": vip.Holder{Kind: "IPAddress", Namespace: "n", Name: "a"},
	} {
		if got.String() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestShortTextsSteerNobodysTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"two\nlines ":               "two; lines",
		"\x1b[31mred\x1b[0m":        " [31mred [0m",
		"\u009b31mred":              " 31mred",
		"a\u202eb\u2066c":           "a b c",
		"NUL\x00, DEL\x7f":          "NUL , DEL ",
		"Zürich, 東京":                "Zürich, 東京",
		strings.Repeat("a", 10<<20): strings.Repeat("a", 1024) + "…",
	} {
		if got := vip.Short(text); got != want {
			t.Errorf("%.40q becomes %.40q, want %.40q", text, got, want)
		}
	}
}
