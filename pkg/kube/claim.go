package kube

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Claim views an IPAddressClaim of the role's name for the Cluster, with its
// IPAddress if that is visible.
func Claim(claim *ipamv1.IPAddressClaim, address *ipamv1.IPAddress, cluster *vip.Cluster, role vip.Role, scope PoolScope) *vip.Claim {
	view := &vip.Claim{
		Name: claim.Name, UID: string(claim.UID), ResourceVersion: claim.ResourceVersion,
		Deleting: !claim.DeletionTimestamp.IsZero(),
		Role:     vip.Role(claim.Labels[vip.PoolRoleKey]),
		Pool:     scope.Ref(claim.Spec.PoolRef, claim.Namespace),
		Bound:    claim.Status.AddressRef.Name != "",

		ClusterLabel: claim.Labels[vip.ClusterNameLabel], ReservedUntil: claim.Annotations[vip.ReservedUntilAnnotation],
	}
	if view.Deleting {
		view.DeletedAt = claim.DeletionTimestamp.Time
	}
	view.Refusal = refusal(claim)
	for _, owner := range claim.OwnerReferences {
		view.OwnerUIDs = append(view.OwnerUIDs, string(owner.UID))
		if isCluster(owner) && owner.Name == cluster.Name {
			view.OwnerClusters = append(view.OwnerClusters, string(owner.UID))
		}
	}
	if address != nil {
		view.Address = &vip.Address{
			Name: address.Name, Text: address.Spec.Address, Claim: address.Spec.ClaimRef.Name,
			Pool: scope.Ref(address.Spec.PoolRef, address.Namespace), Deleting: !address.DeletionTimestamp.IsZero(),
			Pinned: OwnedBy(address.OwnerReferences, cluster.UID),
		}
	}
	view.Outdated = outdated(claim, desiredMeta(claim, cluster, role))
	return view
}

// VIPClaim returns the role of a claim for a VIP: it has one of our names, and the
// Cluster of that name owns it. Whether that Cluster still exists is not asked.
func VIPClaim(claim *ipamv1.IPAddressClaim) (role vip.Role, ok bool) {
	cluster, role, ours := vip.ParseClaimName(claim.Name)
	if label := claim.Labels[vip.PoolRoleKey]; !ours || (label != "" && label != string(role)) {
		return "", false
	}
	return role, slices.ContainsFunc(claim.OwnerReferences, func(owner metav1.OwnerReference) bool {
		return isCluster(owner) && owner.Name == cluster
	})
}

// refusal reads the claim's Ready condition, in the form of either contract version.
func refusal(claim *ipamv1.IPAddressClaim) vip.Refusal {
	if ready := meta.FindStatusCondition(claim.Status.Conditions, readyCondition); ready != nil {
		if ready.Status == metav1.ConditionFalse {
			return vip.Refusal{Reason: ready.Reason, Message: ready.Message}
		}
		return vip.Refusal{}
	}
	for _, old := range claim.GetV1Beta1Conditions() {
		if string(old.Type) == readyCondition && old.Status == corev1.ConditionFalse {
			return vip.Refusal{Reason: old.Reason, Message: old.Message}
		}
	}
	return vip.Refusal{}
}

const readyCondition = "Ready"

// DesiredClaim is the role's claim as it should be. The spec of a claim is
// immutable, so an existing one keeps its pool. Finalizers are for new ones only.
func DesiredClaim(existing *ipamv1.IPAddressClaim, cluster *vip.Cluster, role vip.Role, pool vip.PoolRef) *ipamv1.IPAddressClaim {
	desired := &ipamv1.IPAddressClaim{ObjectMeta: desiredMeta(existing, cluster, role)}
	if existing != nil {
		desired.Spec = *existing.Spec.DeepCopy()
		return desired
	}
	desired.Spec.PoolRef = ipamv1.IPPoolReference{APIGroup: pool.Group, Kind: pool.Kind, Name: pool.Name}
	if IsInCluster(pool) {
		// The provider would add it first and bind the claim only when it sees that: a
		// whole round of a burst. And a claim deleted before that would go at once, and
		// leave behind the IPAddress that a VIP was to be taken back with.
		desired.Finalizers = []string{releaseFinalizer}
	}
	return desired
}

func desiredMeta(existing *ipamv1.IPAddressClaim, cluster *vip.Cluster, role vip.Role) metav1.ObjectMeta {
	desired := metav1.ObjectMeta{
		Namespace: cluster.Namespace, Name: role.ClaimName(cluster.Name),
		Labels: map[string]string{vip.PoolRoleKey: string(role)},
	}
	if !cluster.Held() {
		// It keeps the address through `clusterctl move`. Providers neither bind nor release a
		// claim with the name of a paused Cluster, so a held one's gets it when it is let go.
		desired.Labels[vip.ClusterNameLabel] = cluster.Name
	}
	if filter := cluster.Labels[vip.WatchFilterLabel]; filter != "" {
		desired.Labels[vip.WatchFilterLabel] = filter
	}
	if existing != nil {
		for _, owner := range existing.OwnerReferences {
			if string(owner.UID) != cluster.UID {
				desired.OwnerReferences = append(desired.OwnerReferences, owner)
			}
		}
	}
	desired.OwnerReferences = append(desired.OwnerReferences, ownerReference(cluster))
	return desired
}

// ownerReference lets the garbage collector free the address with the Cluster.
// blockOwnerDeletion stays unset: it would have the claim deleted first.
func ownerReference(cluster *vip.Cluster) metav1.OwnerReference {
	return metav1.OwnerReference{
		// A version that is not served would keep the collector from freeing it.
		APIVersion: cmp.Or(cluster.APIVersion, clusterv1.GroupVersion.String()), Kind: clusterKind,
		Name: cluster.Name, UID: types.UID(cluster.UID),
	}
}

// OwnedBy tells whether the object of that UID is among the owners.
func OwnedBy(owners []metav1.OwnerReference, uid string) bool {
	for _, owner := range owners {
		if string(owner.UID) == uid {
			return true
		}
	}
	return false
}

const clusterKind = "Cluster"

func isCluster(owner metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(owner.APIVersion, "/")
	return owner.Kind == clusterKind && group == clusterv1.GroupVersion.Group
}

// outdated tells whether labels or our owner reference differ. An additional
// controller flag is tolerated: earlier releases set it.
func outdated(claim *ipamv1.IPAddressClaim, desired metav1.ObjectMeta) bool {
	for key, value := range desired.Labels {
		if claim.Labels[key] != value {
			return true
		}
	}
	want := desired.OwnerReferences[len(desired.OwnerReferences)-1]
	for _, owner := range claim.OwnerReferences {
		if owner.UID == want.UID {
			return owner.APIVersion != want.APIVersion || owner.BlockOwnerDeletion != nil
		}
	}
	return true
}
