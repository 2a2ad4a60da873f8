package cli

import (
	"cmp"
	"slices"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// holdings lists who holds or claims an address of the pool, bound claims first.
func (l *look) holdings(pool *kube.Pool) []Holding {
	scope := l.Pools.Scope()
	result := []Holding{}
	known := map[string]bool{}
	for _, address := range l.Addresses {
		if scope.Ref(address.Spec.PoolRef, address.Namespace) != pool.Ref {
			continue
		}
		claim := address.Spec.ClaimRef.Name
		known[address.Namespace+"/"+claim] = true
		h := Holding{Address: address.Spec.Address, Namespace: address.Namespace, Claim: claim, Since: address.CreationTimestamp}
		l.describe(&h, l.claimOf(address.Namespace, claim))
		result = append(result, h)
	}
	for _, claim := range l.Claims {
		if scope.Ref(claim.Spec.PoolRef, claim.Namespace) != pool.Ref || known[claim.Namespace+"/"+claim.Name] {
			continue
		}
		h := Holding{Namespace: claim.Namespace, Claim: claim.Name, Since: claim.CreationTimestamp}
		l.describe(&h, claim)
		result = append(result, h)
	}
	slices.SortFunc(result, func(a, b Holding) int {
		return cmp.Or(compareAddresses(a.Address, b.Address), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Claim, b.Claim))
	})
	return result
}

// compareAddresses puts what is no address last.
func compareAddresses(a, b string) int {
	keyA, okA := vip.Key(a)
	keyB, okB := vip.Key(b)
	switch {
	case okA && okB:
		return keyA.Compare(keyB)
	case okA:
		return -1
	case okB:
		return 1
	}
	return strings.Compare(a, b)
}

func (l *look) claimOf(namespace, name string) *ipamv1.IPAddressClaim {
	for _, claim := range l.Claims {
		if claim.Namespace == namespace && claim.Name == name {
			return claim
		}
	}
	return nil
}

// describe names the Cluster and role of one of our claims, and what is odd about it.
func (l *look) describe(h *Holding, claim *ipamv1.IPAddressClaim) {
	var notes []string
	if claim == nil && !l.misses(claims.kind) {
		notes = append(notes, "its claim does not exist")
	}
	if claim != nil && !claim.DeletionTimestamp.IsZero() {
		notes = append(notes, "being released")
	}
	if h.Address == "" {
		notes = append(notes, "not bound")
	}
	cluster, role, ours := vip.ParseClaimName(h.Claim)
	switch {
	case !ours:
	case claim == nil || l.owned(claim, cluster):
		h.Cluster, h.Role = cluster, string(role)
	case l.misses(clusters.kind):
		h.Cluster, h.Role = cluster, string(role)
		notes = append(notes, "by its name")
	default:
		notes = append(notes, "named like a VIP claim, but not owned by a Cluster of that name")
	}
	h.Note = strings.Join(notes, ", ")
}

// owned tells whether the Cluster of that name exists and owns the claim.
func (l *look) owned(claim *ipamv1.IPAddressClaim, name string) bool {
	return slices.ContainsFunc(l.Clusters, func(c *clusterv1.Cluster) bool {
		return c.Namespace == claim.Namespace && c.Name == name && kube.OwnedBy(claim.OwnerReferences, string(c.UID))
	})
}
