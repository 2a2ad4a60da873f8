package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		if cluster, role, _ := vip.ParseBookingName(address.Name); kube.IsBooking(address) {
			result = append(result, Holding{
				Address: address.Spec.Address, Namespace: address.Namespace, Cluster: cluster, Role: string(role),
				Since: address.CreationTimestamp, Note: "booked: the VIP was typed, and there is no claim",
			})
			continue
		}
		h := Holding{Address: address.Spec.Address, Namespace: address.Namespace, Claim: claim, Since: address.CreationTimestamp}
		l.describe(&h, l.claimOf(address.Namespace, claim), pool)
		result = append(result, h)
	}
	for _, claim := range l.Claims {
		if scope.Ref(claim.Spec.PoolRef, claim.Namespace) != pool.Ref || known[claim.Namespace+"/"+claim.Name] {
			continue
		}
		h := Holding{Namespace: claim.Namespace, Claim: claim.Name, Since: claim.CreationTimestamp}
		l.describe(&h, claim, pool)
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
func (l *look) describe(h *Holding, claim *ipamv1.IPAddressClaim, pool *kube.Pool) {
	var notes []string
	if claim == nil && !l.misses(claims.kind) {
		notes = append(notes, "its claim does not exist")
	}
	if h.Address == "" {
		notes = append(notes, "not bound")
	}
	cluster, role, ours := vip.ParseClaimName(h.Claim)
	if claim != nil && !claim.DeletionTimestamp.IsZero() {
		notes = append(notes, l.released(h, claim, pool, cluster))
	}
	switch {
	case !ours, claim != nil && !claim.DeletionTimestamp.IsZero() && !l.owned(claim, cluster):
	case claim == nil || l.owned(claim, cluster):
		h.Cluster, h.Role = cluster, string(role)
	case l.misses(clusters.kind):
		h.Cluster, h.Role = cluster, string(role)
		notes = append(notes, "by its name")
	default:
		notes = append(notes, fmt.Sprintf("named like the claim of Cluster %s/%s, which does not own it", h.Namespace, cluster))
	}
	h.Note = strings.Join(notes, ", ")
}

// released says who gave an address back, and when it can be somebody else's.
func (l *look) released(h *Holding, claim *ipamv1.IPAddressClaim, pool *kube.Pool, cluster string) string {
	words := "being released"
	switch {
	case cluster == "":
	case l.owned(claim, cluster):
		words = "released by Cluster " + h.Namespace + "/" + cluster
	case !l.misses(clusters.kind):
		h.ReleasedBy = h.Namespace + "/" + cluster
		words = "released by deleted Cluster " + h.ReleasedBy
	}
	if pool.Grace > 0 && h.Address != "" {
		h.FreeAt = new(metav1.NewTime(claim.DeletionTimestamp.Add(pool.Grace)))
		words += ", free again at " + h.FreeAt.UTC().Format(time.TimeOnly) + " UTC"
	}
	return words
}

// resting says of the addresses in their grace period how many there are, and of the next one
// whose it was.
func resting(holdings []Holding) (words string, count int) {
	var next *Holding
	for i := range holdings {
		if h := &holdings[i]; h.FreeAt != nil {
			count++
			if next == nil || h.FreeAt.Before(next.FreeAt) {
				next = h
			}
		}
	}
	if next == nil {
		return "", 0
	}
	return fmt.Sprintf("%d in grace; the next is %s, %s", count, next.Address, next.Note), count
}

// owned tells whether the Cluster of that name exists and owns the claim.
func (l *look) owned(claim *ipamv1.IPAddressClaim, name string) bool {
	return slices.ContainsFunc(l.Clusters, func(c *clusterv1.Cluster) bool {
		return c.Namespace == claim.Namespace && c.Name == name && kube.OwnedBy(claim.OwnerReferences, string(c.UID))
	})
}
