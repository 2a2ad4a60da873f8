package hook

import (
	"fmt"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Observer reads everything that concerns the Cluster as it is given, with what its
// class consumes. It may be called concurrently.
type Observer interface {
	Observe(cluster *clusterv1.Cluster) (*vip.Snapshot, error)
}

// What a Cluster waits for, whatever its roles. All messages are constant: Cluster
// API copies them to the condition TopologyReconciled, and one that changed with
// every call would be a write with every call.
const (
	waitSync   = "the VIP allocator has just started and does not know the Clusters yet"
	waitBehind = "the VIP allocator has not seen this Cluster yet"
	waitClass  = "the VIP allocator has not seen this ClusterClass with its variables reconciled yet"
	waitPaused = "the Cluster is paused, so that the VIP allocator gives it no VIP"
)

// stranger tells whether the Cluster alone shows that it is none of our business. Such
// a one must not wait for caches that have not synced.
func stranger(cluster *clusterv1.Cluster, settings vip.Settings) bool {
	skipped := vip.Plan(&vip.Snapshot{Cluster: kube.Cluster(cluster), Settings: settings}).Skipped
	return skipped != "" && skipped != vip.SkipPaused
}

// verdict returns what the Cluster waits for; empty means that it may be built.
func verdict(s *vip.Snapshot) string {
	decision := vip.Plan(s)
	switch decision.Skipped {
	case "":
	case vip.SkipPaused:
		// Cluster API asks about no paused Cluster, and with a yes there would be no VIP.
		return waitPaused
	default:
		return ""
	}
	if !s.Class.Exists || !s.Class.Ready {
		return waitClass
	}
	var waits []string
	for _, role := range vip.Roles() {
		outcome := decision.Roles[role]
		if outcome == nil || outcome.Reason == vip.Disabled || outcome.Reason == vip.VariableInUse {
			continue
		}
		if !s.Carries(role) && s.WaitsFor(role) {
			waits = append(waits, fmt.Sprintf("waiting for the %s VIP: %s (see condition %s of the Cluster)", role, text(s, outcome), role.ConditionType()))
		}
	}
	return strings.Join(waits, "; ")
}

// inProgress stands for every step that passes by itself: the message must not
// change while a VIP is on its way.
const inProgress = "it is being allocated"

// text is one constant text per reason. What the condition says in detail changes
// with pools and claims.
func text(s *vip.Snapshot, outcome *vip.Outcome) string {
	reason := outcome.Reason
	if outcome.Want != nil && reason == vip.ClaimPending {
		// Only the allocator that leads knows what room there is, and has said so.
		if told := s.Cluster.Conditions[outcome.Role.ConditionType()]; !told.True && texts[told.Reason] != "" {
			reason = told.Reason
		}
	}
	if outcome.Reason.Ready() && outcome.Changes {
		return inProgress
	}
	if text, known := texts[reason]; known {
		return text
	}
	return string(reason)
}

var texts = map[vip.Reason]string{
	vip.ClaimPending:     inProgress,
	vip.ClaimMoved:       inProgress,
	vip.Allocated:        inProgress,
	vip.ClaimTerminating: "the claim of an earlier Cluster of this name has not gone yet",
	vip.ClaimForeign:     "somebody else's IPAddressClaim has the name that ours needs",
	vip.ClaimLost:        "it was published from a claim that is gone",
	vip.ClaimUnused:      "the class's variable does not hold it; set it by hand",
	vip.DuplicateAddress: "the class's variable does not hold it; set it by hand",
	vip.Manual:           "it was set by hand, but the class's variable does not hold it; set it there too",
	vip.NoPool:           "no pool serves this ClusterClass and role; label or annotate one with " + vip.PoolClassKey + " and " + vip.PoolRoleKey,
	vip.PoolFiltered:     "an annotation of the Cluster excludes every pool that matches",
	vip.PoolInvalid:      "the pool that would serve has a malformed label or annotation",
	vip.PoolNotAllowed:   "the pool that would serve excludes the Cluster's namespace",
	vip.PoolDeleting:     "the pool that would serve is being deleted",
	vip.PoolPaused:       "the pool that would serve is paused",
	vip.PoolExhausted:    "the pool that would serve has no free address; extend it or add a pool",
	vip.PoolNotReady:     "the provider of the pool cannot serve from it",
	vip.PoolNotAccepted:  "the claim is bound to a pool that does not serve this Cluster",
	vip.AddressInvalid:   "the provider bound the claim to something that is no usable address",
	vip.AddressInUse:     "the address that was bound is used by somebody else",
	vip.CopiedVIP:        "it is that of the Cluster whose manifest was copied",
	vip.VariableRefused:  "the class's variable cannot take the address",

	vip.VariableNotBackfilled: "the class's variable does not hold it; set it by hand",
}
