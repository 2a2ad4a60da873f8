package vip_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Texts that have broken controllers before.
var hostile = []string{
	"", " ", "10.0.0.1", "010.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "0.0.0.0", "::", "127.0.0.1", "10.0.0.1/24", "10.0.0.1:6443", "[fd00::1]",
	"FD00::1", "١٠.٠.٠.١", "10.0.0.1\x00", "10.0.0.1\n", "\x1b[31mred", "{{ .x }}", "${HOME}", ".*", "a_b", "a,b,,c", strings.Repeat(",", 1000),
	strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a.", 200), "true", "false", "*", "/", "a/b/c", "../..",
	"-9223372036854775808", "9223372036854775808", "1e9", "\xff\xfe", "control-plane", "ingress", "clusterVip", "a.b.c", "..", "~0~1",
}

func FuzzAddresses(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, err := vip.ParseAddress(text)
		key, isAddress := vip.Key(text)
		if err == nil {
			if !isAddress || key != mustKey(t, addr.String()) {
				t.Errorf("%q can serve as %s, but its key is %s", text, addr, key)
			}
			if addr.IsUnspecified() || addr.IsLoopback() || addr.IsMulticast() || addr.Zone() != "" {
				t.Errorf("%q can serve as %s", text, addr)
			}
		} else if len(err.Error()) > 500 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if isAddress && key.BitLen() != 128 {
			t.Errorf("%q has a key of %d bits", text, key.BitLen())
		}
	})
}

func mustKey(t *testing.T, text string) any {
	t.Helper()
	key, ok := vip.Key(text)
	if !ok {
		t.Errorf("%q has no key", text)
	}
	return key
}

func FuzzParseServes(f *testing.F) {
	for i, text := range hostile {
		f.Add(text, hostile[len(hostile)-1-i], text, text)
	}
	f.Add("rke2_k3s", "*,team-a/rke2", "a,b", "7")
	f.Fuzz(func(t *testing.T, label, annotation, namespaces, priority string) {
		serves := vip.ParseServes(
			map[string]string{vip.PoolClassKey: label, vip.PoolRoleKey: label},
			map[string]string{vip.PoolClassKey: annotation, vip.PoolRoleKey: annotation, vip.PoolNamespacesKey: namespaces, vip.PoolPriorityKey: priority},
		)
		if len(serves.Classes)+len(serves.Roles) == 0 && serves.Err == nil {
			t.Error("a pool that names nothing is not malformed")
		}
		if serves.Namespaces == nil {
			t.Error("a list of namespaces that is there is taken for none")
		}
		for _, class := range serves.Classes {
			if class.Name == "" || strings.ContainsAny(class.Name, "/ ,_\n{$") {
				t.Errorf("%+v is no class", class)
			}
			if !serves.Class(vip.ClassKey(class)) {
				t.Errorf("the pool does not serve %+v, which it names", class)
			}
		}
		for _, role := range serves.Roles {
			if _, ok := vip.ParseRole(string(role)); !ok {
				t.Errorf("%q is no role", role)
			}
		}
	})
}

func FuzzParseClaimName(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
		f.Add(vip.ControlPlane.ClaimName(text))
		f.Add(vip.Ingress.ClaimName(text))
	}
	f.Fuzz(func(t *testing.T, name string) {
		if cluster, role, ok := vip.ParseClaimName(name); ok && role.ClaimName(cluster) != name {
			t.Errorf("%q is the claim of %q, %s, which is named %q", name, cluster, role, role.ClaimName(cluster))
		}
	})
}

// The path comes from an annotation of the class, the value from the Cluster.
func FuzzVariablePaths(f *testing.F) {
	for _, path := range hostile {
		f.Add(path, `{"a":{"b":1}}`, "10.0.0.5")
	}
	f.Add("v.host", `{"port":8443}`, "10.0.0.5")
	f.Add("v.a~/b.c", `{"a~/b":{"c":"10.0.0.9"}}`, "10.0.0.5")
	f.Add("v", `"10.0.0.5"`, "10.0.0.5")
	f.Add("v.a", `null`, "10.0.0.5")
	f.Add("v.a.b", `[{"a":1}]`, "10.0.0.5")
	f.Add("v.", `{"":""}`, "10.0.0.5")
	f.Fuzz(func(t *testing.T, path, value, address string) {
		if !utf8.ValidString(path + address) {
			t.Skip("the API server stores valid UTF-8 only")
		}
		name, _, _ := strings.Cut(path, ".")
		s := readCase(t, "publish-both-roles")
		s.Class.Roles[vip.ControlPlane] = vip.ClassVariable{Path: path, Declared: path != ""}
		s.Class.Declares[name] = true
		s.Claims[vip.ControlPlane].Address.Text = address
		s.Cluster.Variables = []vip.Variable{{Name: name, Value: []byte(value)}}
		if !validJSON(value) {
			// The API server stores valid JSON only; but nothing may panic.
			vip.Plan(s)
			return
		}
		s.Cluster = newClusterDoc(&s.Cluster).read(s.Cluster)
		d := vip.Plan(s)
		if len(d.Patch) == 0 {
			return
		}
		next := after(t, s, &d)
		if again := vip.Plan(next); len(again.Patch) > 0 {
			t.Errorf("path %q, value %s: the next pass would patch again: %s", path, value, toLines(again.Patch))
		}
	})
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte(nil))
	for n := range byte(40) {
		var data []byte
		for i := range byte(120) {
			data = append(data, i*(2*n+1)+n)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := fuzzDice(data).snapshot()
		d := vip.Plan(s)
		checkDecision(t, s, &d)
	})
}
