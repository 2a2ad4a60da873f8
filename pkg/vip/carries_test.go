package vip_test

import (
	"encoding/json"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func TestCarries(t *testing.T) {
	scalar, object := "clusterVip", "controlPlaneEndpoint.host"
	for _, test := range []struct {
		name          string
		role          vip.Role
		path          string // of the class's variable; empty if it has none
		fallback      string // the variable's default
		host, value   string // value is JSON
		stamp, record string // the role's stamp and -written
		want          bool
	}{
		{name: "nothing", role: vip.ControlPlane, path: scalar},
		{name: "endpoint alone", role: vip.ControlPlane, path: scalar, host: "10.0.0.1"},
		{name: "variable alone", role: vip.ControlPlane, path: scalar, value: `"10.0.0.1"`},
		{name: "both", role: vip.ControlPlane, path: scalar, host: "10.0.0.1", value: `"10.0.0.1"`, want: true},
		{name: "empty variable", role: vip.ControlPlane, path: scalar, host: "10.0.0.1", value: `""`},
		{name: "variable of another type", role: vip.ControlPlane, path: scalar, host: "10.0.0.1", value: `7`},
		{name: "field of an object", role: vip.ControlPlane, path: object, host: "10.0.0.1", value: `{"host":"10.0.0.1","port":6443}`, want: true},
		{name: "object without the field", role: vip.ControlPlane, path: object, host: "10.0.0.1", value: `{"port":6443}`},
		{name: "no variable", role: vip.ControlPlane, host: "10.0.0.1", want: true},
		{name: "the class's default", role: vip.ControlPlane, path: scalar, fallback: "10.0.0.9", host: "10.0.0.1", value: `"10.0.0.9"`},
		{name: "a VIP that is the default", role: vip.ControlPlane, path: scalar, fallback: "10.0.0.9", host: "10.0.0.9", value: `"10.0.0.9"`, want: true},
		{name: "a default that we published", role: vip.Ingress, path: "ingressVip", fallback: "10.0.0.9", value: `"10.0.0.9"`, record: "ingressVip", want: true},
		{name: "ingress in its variable", role: vip.Ingress, path: "ingressVip", value: `"10.0.0.2"`, want: true},
		{name: "ingress stamped only", role: vip.Ingress, path: "ingressVip", stamp: "10.0.0.2"},
		{name: "ingress stamped, no variable", role: vip.Ingress, stamp: "10.0.0.2", want: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &vip.Snapshot{Class: vip.Class{Exists: true, Ready: true, Roles: map[vip.Role]vip.ClassVariable{
				test.role: {Path: test.path, Declared: test.path != "", Default: test.fallback},
			}}}
			s.Cluster.Endpoint.Host = test.host
			s.Cluster.Annotations = map[string]string{test.role.Stamp(): test.stamp, test.role.WrittenAnnotation(): test.record}
			if test.value != "" {
				name := test.path
				if test.path == object {
					name = "controlPlaneEndpoint"
				}
				s.Cluster.Variables = []vip.Variable{{Name: name, Value: json.RawMessage(test.value)}}
			}
			if got := s.Carries(test.role); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
