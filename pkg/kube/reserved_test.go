package kube_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func TestReservedClaim(t *testing.T) {
	until := time.Date(2026, 12, 1, 3, 4, 5, 6, time.FixedZone("", 3600))
	claim := kube.ReservedClaim(&c1, vip.Ingress, ourPool, until)
	if claim.Name != "vip-ingress-c1" || claim.Namespace != "team-a" || claim.Annotations["vip.capi.gorizond.io/reserved-until"] != "2026-12-01T02:04:05Z" {
		t.Errorf("%+v", claim)
	}
	if _, linked := claim.Labels[vip.ClusterNameLabel]; linked || len(claim.OwnerReferences) > 0 {
		t.Errorf("a provider waits for the Cluster of %+v", claim)
	}
	if role, ours := kube.VIPClaim(claim); ours {
		t.Errorf("it is a claim of a Cluster, for role %s", role)
	}
	if read, reserved, err := kube.ReservedUntil(claim); !reserved || err != nil || !read.Equal(until.Truncate(time.Second)) {
		t.Errorf("%s, %v, %v", read, reserved, err)
	}
	claim.Annotations[vip.ReservedUntilAnnotation] = "soon"
	if _, reserved, err := kube.ReservedUntil(claim); !reserved || err == nil {
		t.Errorf("%v, %v", reserved, err)
	}
	claim.OwnerReferences = []metav1.OwnerReference{{Kind: "Cluster", Name: "c1", UID: "uid-1"}}
	if _, reserved, err := kube.ReservedUntil(claim); reserved || err != nil {
		t.Errorf("with an owner: %v, %v", reserved, err)
	}
}
