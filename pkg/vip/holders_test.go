package vip_test

import (
	"encoding/json"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func crowdedCluster() *vip.Cluster {
	return &vip.Cluster{
		Endpoint:    vip.Endpoint{Host: "10.0.0.1"},
		Annotations: map[string]string{vip.Ingress.Stamp(): "::ffff:10.0.0.2", vip.ControlPlane.Stamp(): "api.example.com", "example.com/x": "10.0.0.9"},
		Variables: []vip.Variable{
			{Name: "clusterVip", Value: json.RawMessage(`"10.0.0.3"`)},
			{Name: "vips", Value: json.RawMessage(`{"a":{"b":"FD00::4"},"n":7,"list":["10.0.0.8"]}`)},
			{Name: "number", Value: json.RawMessage(`10`)},
			{Name: "broken", Value: json.RawMessage(`{`)},
			{Name: "nothing"},
		},
	}
}

func TestAddressesFindsEveryPlaceWhereAVIPCouldStand(t *testing.T) {
	got := vip.Addresses(crowdedCluster())
	for _, text := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::4"} {
		if key, _ := vip.Key(text); !got[key] {
			t.Errorf("%s is not found", text)
		}
	}
	if len(got) != 4 {
		t.Errorf("found %v", got)
	}
	if empty := vip.Addresses(&vip.Cluster{}); len(empty) != 0 {
		t.Errorf("an empty Cluster has %v", empty)
	}
}

func TestVIPsAreTheAddressesThatWhereNames(t *testing.T) {
	nested := (&caseClass{Paths: map[vip.Role]string{vip.Ingress: "vips.a.b"}, Variables: map[string]caseVariable{"clusterVip": {}, "vips.a.b": {}}}).view()
	for _, class := range []vip.Class{nested, {}} {
		c := crowdedCluster()
		got := vip.VIPs(c, class)
		for key := range vip.Addresses(c) {
			if named := vip.Where(c, class, key) != ""; named != got[key] {
				t.Errorf("%s: Where names it %t, VIPs has it %t", key, named, got[key])
			}
			delete(got, key)
		}
		if len(got) > 0 {
			t.Errorf("nobody looks for %v", got)
		}
	}
}

func TestWhereNamesTheField(t *testing.T) {
	nested := (&caseClass{Paths: map[vip.Role]string{vip.Ingress: "vips.a.b"}, Variables: map[string]caseVariable{"clusterVip": {}, "vips.a.b": {}}}).view()
	for _, test := range []struct {
		name, address, want string
		class               vip.Class
	}{
		{"the endpoint", "10.0.0.1", "spec.controlPlaneEndpoint.host", nested},
		{"a stamp, in whatever form", "10.0.0.2", "annotation vip.capi.gorizond.io/ingress-vip", nested},
		{"a variable", "10.0.0.3", "variable clusterVip", nested},
		{"a field of a variable", "fd00::4", "variable vips.a.b", nested},
		{"the default variable of a class that does not exist", "10.0.0.3", "variable clusterVip", vip.Class{}},
		{"a variable that is not the role's", "fd00::4", "", vip.Class{}},
		{"nowhere", "10.0.0.9", "", nested},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, ok := vip.Key(test.address)
			if got := vip.Where(crowdedCluster(), test.class, key); !ok || got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAHolderIsNamedAsFarAsItIsKnown(t *testing.T) {
	for want, holder := range map[string]vip.Holder{
		"Cluster team-a/c1 (Lease x)": {Kind: "Cluster", Name: "team-a/c1", Where: "Lease x"},
		"Cluster c1":                  {Kind: "Cluster", Name: "c1"},
		"IPAddress team-a/a":          {Kind: "IPAddress", Namespace: "team-a", Name: "a"},
	} {
		if got := holder.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
