package controllers

import (
	"encoding/json"
	"net/http"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// What the API server says of the holder decides, not what the cache shows.
func TestALeaseIsKeptForAHolderThatCarriesTheAddress(t *testing.T) {
	const path = "/apis/cluster.x-k8s.io/v1beta2/namespaces/team/clusters/"
	cluster := func(uid types.UID, host string) *clusterv1.Cluster {
		c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "team", UID: uid}}
		c.APIVersion, c.Kind = clusterv1.GroupVersion.String(), "Cluster"
		c.Spec.ControlPlaneEndpoint.Host = host
		return c
	}
	live := map[string]*clusterv1.Cluster{
		path + "carries": cluster("u", "10.0.0.1"), path + "differs": cluster("u", "10.0.0.2"), path + "again": cluster("other", "10.0.0.1"),
	}
	address, _ := vip.Key("10.0.0.1")
	keeper := &leaseKeeper{writer: writerFor(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var answer any = live[r.URL.Path]
		if live[r.URL.Path] == nil {
			status := apierrors.NewNotFound(clusterv1.GroupVersion.WithResource("clusters").GroupResource(), "x").Status()
			status.Kind, status.APIVersion = "Status", "v1"
			w.WriteHeader(http.StatusNotFound)
			answer = status
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	})}
	for holder, want := range map[string]bool{
		"team/carries": true, "team/differs": false, "team/again": false, "team/gone": false,
		"": false, "team/": false, "a/b/c": false, // of a Lease that somebody edited
	} {
		t.Run(holder, func(t *testing.T) {
			identity := "u/control-plane"
			lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &identity}}
			lease.Annotations = map[string]string{"vip.capi.gorizond.io/cluster": holder}
			got, err := keeper.carried(t.Context(), lease, address)
			if err != nil || got != want {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
}
