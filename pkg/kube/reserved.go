package kube

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ReservedClaim is a claim for a Cluster of that name, which need not exist. It lacks the
// label with the Cluster's name: providers pass over claims of a Cluster that does not exist.
func ReservedClaim(cluster *vip.Cluster, role vip.Role, pool vip.PoolRef, until time.Time) *ipamv1.IPAddressClaim {
	claim := &ipamv1.IPAddressClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: cluster.Namespace, Name: role.ClaimName(cluster.Name),
		Labels:      map[string]string{vip.PoolRoleKey: string(role)},
		Annotations: map[string]string{vip.ReservedUntilAnnotation: FormatReservedUntil(until)},
	}}
	if filter := cluster.Labels[vip.WatchFilterLabel]; filter != "" {
		claim.Labels[vip.WatchFilterLabel] = filter
	}
	claim.Spec.PoolRef = ipamv1.IPPoolReference{APIGroup: pool.Group, Kind: pool.Kind, Name: pool.Name}
	return claim
}

// FormatReservedUntil is how ReservedUntil reads a time.
func FormatReservedUntil(until time.Time) string { return until.UTC().Format(time.RFC3339) }

// ReservedUntil tells until when the claim is reserved; reserved is false for one that is
// not, or that has an owner by now.
func ReservedUntil(claim *ipamv1.IPAddressClaim) (until time.Time, reserved bool, err error) {
	text, stated := claim.Annotations[vip.ReservedUntilAnnotation]
	if !stated || len(claim.OwnerReferences) > 0 {
		return time.Time{}, false, nil
	}
	if until, err = time.Parse(time.RFC3339, text); err != nil {
		return time.Time{}, true, fmt.Errorf("annotation %s of claim %s/%s: %.80q is no time in RFC 3339", vip.ReservedUntilAnnotation, claim.Namespace, claim.Name, text)
	}
	return until, true, nil
}
