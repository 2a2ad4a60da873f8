package kube_test

import (
	"context"
	"errors"
	"regexp"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func TestALeaseIsNamedAfterItsAddress(t *testing.T) {
	names := map[string]string{}
	for _, text := range []string{"10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "FD00:0::1", "255.255.255.254"} {
		key, _ := vip.Key(text)
		name := kube.LeaseName(key)
		if !regexp.MustCompile(`^vip-[0-9a-f]{32}$`).MatchString(name) {
			t.Errorf("%s: %s", text, name)
		}
		back, ok := kube.LeasedAddress(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if !ok || back != key {
			t.Errorf("%s leads back to %s, %v", name, back, ok)
		}
		if other, known := names[name]; known && other != key.String() {
			t.Errorf("%s and %s share the name %s", other, key, name)
		}
		names[name] = key.String()
	}
	if len(names) != 3 {
		t.Errorf("three addresses have the names %v", names)
	}
	for _, name := range []string{"", "vip-", "vip-xyz", "vip-0a", "capi-vip-allocator.gorizond.io"} {
		if key, ok := kube.LeasedAddress(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}); ok {
			t.Errorf("%q is the Lease of %s", name, key)
		}
	}
}

func TestOnlyOneGetsTheLeaseOfAnAddress(t *testing.T) {
	ctx := context.Background()
	leases := kube.NewLeases(fake.NewClientset(), fake.NewClientset(), "ns")
	key, _ := vip.Key("10.0.0.1")
	first := kube.LeaseHolder{ClusterUID: "u1", Role: vip.Ingress, Cluster: "team-a/c1"}
	for range 2 {
		// Having it is as good as getting it.
		if other, err := leases.Acquire(ctx, key, first); err != nil || other != nil {
			t.Fatalf("%+v, %v", other, err)
		}
	}
	for name, second := range map[string]kube.LeaseHolder{
		"another Cluster":                  {ClusterUID: "u2", Role: vip.Ingress, Cluster: "team-a/c2"},
		"the other role of the Cluster":    {ClusterUID: "u1", Role: vip.ControlPlane, Cluster: "team-a/c1"},
		"a new Cluster of the name of old": {ClusterUID: "u3", Role: vip.Ingress, Cluster: "team-a/c1"},
	} {
		if other, err := leases.Acquire(ctx, key, second); err != nil || other == nil || *other != first {
			t.Errorf("%s: %+v, %v", name, other, err)
		}
	}
	elsewhere, _ := vip.Key("10.0.0.2")
	if other, err := leases.Acquire(ctx, elsewhere, kube.LeaseHolder{ClusterUID: "u2", Role: vip.Ingress}); err != nil || other != nil {
		t.Errorf("another address: %+v, %v", other, err)
	}
}

func TestALeaseSaysForPeopleWhatItIs(t *testing.T) {
	ctx := context.Background()
	client := fake.NewClientset()
	key, _ := vip.Key("10.0.0.1")
	if _, err := kube.NewLeases(client, client, "ns").Acquire(ctx, key, kube.LeaseHolder{ClusterUID: "u1", Role: vip.Ingress, Cluster: "team-a/c1"}); err != nil {
		t.Fatal(err)
	}
	lease, err := client.CoordinationV1().Leases("ns").Get(ctx, kube.LeaseName(key), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if lease.Annotations[vip.Prefix+"address"] != "10.0.0.1" || lease.Annotations[vip.Prefix+"cluster"] != "team-a/c1" {
		t.Errorf("annotations %v", lease.Annotations)
	}
	if holder := kube.Holder(lease); holder != (kube.LeaseHolder{ClusterUID: "u1", Role: vip.Ingress, Cluster: "team-a/c1"}) {
		t.Errorf("holder %+v", holder)
	}
	if holder := kube.Holder(&coordinationv1.Lease{}); holder != (kube.LeaseHolder{}) {
		t.Errorf("of an empty Lease: %+v", holder)
	}
}

func TestReleasingALeaseThatIsGoneIsNoError(t *testing.T) {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "vip-x", Namespace: "ns", UID: "u", ResourceVersion: "1"}}
	if err := kube.NewLeases(fake.NewClientset(), fake.NewClientset(), "ns").Release(context.Background(), lease); err != nil {
		t.Error(err)
	}
	if err := kube.NewLeases(fake.NewClientset(lease), fake.NewClientset(lease), "ns").Release(context.Background(), lease); err != nil {
		t.Error(err)
	}
}

// The keeper of Leases tries again on an error only.
func TestReleasingALeaseThatChangedIsAnError(t *testing.T) {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "vip-x", Namespace: "ns", UID: "u", ResourceVersion: "1"}}
	client := fake.NewClientset(lease)
	client.PrependReactor("delete", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(coordinationv1.Resource("leases"), lease.Name, errors.New("the resourceVersion differs"))
	})
	if err := kube.NewLeases(client, client, "ns").Release(t.Context(), lease); !apierrors.IsConflict(err) {
		t.Errorf("got %v", err)
	}
}
