package controllers

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
)

// showClaims counts the claims for VIPs; other claims are none of our business.
func (o *observer) showClaims(r metrics.Readings) error {
	claims, err := o.claims.List(metav1.NamespaceAll, labels.Everything())
	if err != nil {
		return fmt.Errorf("list IPAddressClaims: %w", err)
	}
	for _, claim := range claims {
		role, ours := kube.VIPClaim(claim)
		if !ours {
			continue
		}
		ready, pending := 1.0, 0.0
		if claim.Status.AddressRef.Name == "" {
			ready, pending = pending, ready
		}
		r.Add(metrics.ClaimsTotal, 1, string(role), claim.Namespace)
		r.Add(metrics.ClaimsReady, ready, string(role), claim.Namespace)
		r.Add(metrics.ClaimsPending, pending, string(role), claim.Namespace)
	}
	return nil
}
