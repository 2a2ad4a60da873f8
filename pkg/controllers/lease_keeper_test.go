package controllers

import (
	"encoding/json"
	"net/http"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// What the API server says of the holder decides, not what the cache shows.
func TestALeaseIsKeptForAHolderThatUsesTheAddress(t *testing.T) {
	live := map[string]any{}
	cluster := func(name string, uid types.UID, host string) {
		c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "team", UID: uid}}
		c.APIVersion, c.Kind = clusterv1.GroupVersion.String(), "Cluster"
		c.Spec.ControlPlaneEndpoint.Host = host
		live["/apis/cluster.x-k8s.io/v1beta2/namespaces/team/clusters/"+name] = c
	}
	claim := func(cluster, bound, host string) {
		const path = "/apis/ipam.cluster.x-k8s.io/v1beta2/namespaces/team/"
		c := &ipamv1.IPAddressClaim{}
		c.APIVersion, c.Kind = ipamv1.GroupVersion.String(), "IPAddressClaim"
		c.Status.AddressRef.Name = bound
		live[path+"ipaddressclaims/vip-cp-"+cluster] = c
		if host != "" {
			a := &ipamv1.IPAddress{Spec: ipamv1.IPAddressSpec{Address: host}}
			a.APIVersion, a.Kind = ipamv1.GroupVersion.String(), "IPAddress"
			live[path+"ipaddresses/"+bound] = a
		}
	}
	cluster("carries", "u", "10.0.0.1")
	cluster("differs", "u", "10.0.0.2")
	cluster("again", "other", "10.0.0.1")
	for _, name := range []string{"claims", "binds", "waits", "claims-another"} {
		cluster(name, "u", "")
	}
	claim("claims", "one", "10.0.0.1")
	claim("binds", "unseen", "")
	claim("waits", "", "")
	claim("claims-another", "two", "10.0.0.2")
	claim("gone", "one", "10.0.0.1")
	claim("again", "one", "10.0.0.1")

	address, _ := vip.Key("10.0.0.1")
	config, clients := clientsFor(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer, found := live[r.URL.Path]
		if !found {
			status := apierrors.NewNotFound(clusterv1.GroupVersion.WithResource("clusters").GroupResource(), "x").Status()
			status.Kind, status.APIVersion = "Status", "v1"
			w.WriteHeader(http.StatusNotFound)
			answer = status
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	})
	keeper := &leaseKeeper{}
	var err error
	if keeper.writer, err = kube.NewWriter(clients); err != nil {
		t.Fatal(err)
	}
	if keeper.claims, err = kube.NewClaims(config, clients, nil, noClaims{}); err != nil {
		t.Fatal(err)
	}
	for holder, want := range map[string]bool{
		"team/carries": true, "team/differs": false, "team/again": false, "team/gone": false,
		"team/claims": true, "team/binds": true, "team/waits": false, "team/claims-another": false,
		"": false, "team/": false, "a/b/c": false, // of a Lease that somebody edited
	} {
		t.Run(holder, func(t *testing.T) {
			identity := "u/control-plane"
			lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &identity}}
			lease.Annotations = map[string]string{"vip.capi.gorizond.io/cluster": holder}
			got, err := keeper.used(t.Context(), lease, address)
			if err != nil || got != want {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
}

// noClaims is a cache of claims that shows none.
type noClaims struct{}

func (noClaims) Informer() cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(&cache.ListWatch{}, &ipamv1.IPAddressClaim{}, 0, cache.Indexers{})
}

func (noClaims) GroupVersionKind() schema.GroupVersionKind {
	return ipamv1.GroupVersion.WithKind("IPAddressClaim")
}
