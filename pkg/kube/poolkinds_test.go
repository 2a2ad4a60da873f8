package kube_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

func TestParsePoolKinds(t *testing.T) {
	metal3 := schema.GroupResource{Group: "ipam.metal3.io", Resource: "ippools"}
	for _, test := range []struct {
		name    string
		entries []string
		want    []schema.GroupResource
		err     string
	}{
		{"nothing", nil, nil, ""},
		{"a kind", []string{"ippools.ipam.metal3.io"}, []schema.GroupResource{metal3}, ""},
		{"a kind twice, with spaces", []string{" ippools.ipam.metal3.io", "ippools.ipam.metal3.io "}, []schema.GroupResource{metal3}, ""},
		{"no group", []string{"ippools"}, nil, `"ippools"`},
		{"nothing between commas", []string{"", "ippools.ipam.metal3.io"}, []schema.GroupResource{metal3}, `""`},
		{"no resource", []string{".ipam.metal3.io"}, nil, `".ipam.metal3.io"`},
		{"two that are wrong", []string{"a", "b"}, nil, `"b"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := kube.ParsePoolKinds(test.entries)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestPrefixPoolsAreNoneOfOurKinds(t *testing.T) {
	want := []schema.GroupResource{{Group: ipam, Resource: "globalinclusterippools"}, {Group: ipam, Resource: "inclusterippools"}}
	if got := kube.InClusterPools(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func served(lists ...*metav1.APIResourceList) *fake.FakeDiscovery {
	return &fake.FakeDiscovery{Fake: &clienttesting.Fake{Resources: lists}}
}

func list(groupVersion string, resources ...metav1.APIResource) *metav1.APIResourceList {
	return &metav1.APIResourceList{GroupVersion: groupVersion, APIResources: resources}
}

func TestDiscoverPoolKind(t *testing.T) {
	wanted := schema.GroupResource{Group: ipam, Resource: "inclusterippools"}
	resource := metav1.APIResource{Name: "inclusterippools", Kind: "InClusterIPPool", Namespaced: true}
	other := metav1.APIResource{Name: "inclusterippools/status", Kind: "InClusterIPPool"}
	kind := func(version string) kube.PoolKind {
		return kube.PoolKind{GroupVersionResource: wanted.WithVersion(version), Kind: "InClusterIPPool", Namespaced: true}
	}
	for _, test := range []struct {
		name   string
		server *fake.FakeDiscovery
		want   kube.PoolKind
		found  bool
	}{
		{"is not found where nothing is served", served(), kube.PoolKind{}, false},
		{"is not found in another group", served(list("ipam.metal3.io/v1alpha2", resource)), kube.PoolKind{}, false},
		{"is not found by a subresource", served(list(ipam+"/v1alpha2", other)), kube.PoolKind{}, false},
		{"is found", served(list(ipam+"/v1alpha2", other, resource)), kind("v1alpha2"), true},
		{"is found in the newest version", served(list(ipam+"/v1alpha1", resource), list(ipam+"/v1beta1", resource), list(ipam+"/v1alpha2", resource)), kind("v1beta1"), true},
		{"prefers a stable version", served(list(ipam+"/v1beta2", resource), list(ipam+"/v1", resource)), kind("v1"), true},
		{"is found in an older version where the newest lacks it", served(list(ipam+"/v1beta2"), list(ipam+"/v1alpha2", resource)), kind("v1alpha2"), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, found, err := kube.DiscoverPoolKind(test.server, wanted)
			if err != nil || found != test.found || got != test.want {
				t.Errorf("%+v, %v, %v", got, found, err)
			}
		})
	}
}

func TestADiscoveryThatFailsIsNoAbsentKind(t *testing.T) {
	server := served(list(ipam+"/v1alpha2", metav1.APIResource{Name: "inclusterippools"}))
	server.PrependReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no route to host")
	})
	_, found, err := kube.DiscoverPoolKind(server, schema.GroupResource{Group: ipam, Resource: "inclusterippools"})
	if err == nil || found {
		t.Errorf("found %v, %v", found, err)
	}
}
