package cli

import (
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// remedies say in one line what a person should do about a reason that is not ready.
// The words in capitals stand for names of the Cluster at hand.
var remedies = map[vip.Reason]string{
	vip.ClassNotFound:    "create ClusterClass CLASS, or correct spec.topology.classRef of the Cluster",
	vip.ClassNotReady:    "nothing for now; if it lasts: kubectl describe clusterclass CLASSNAME -n CLASSNAMESPACE (condition VariablesReady)",
	vip.NoPool:           "kubectl annotate globalinclusterippool POOL " + vip.PoolClassKey + "=CLASSNAME " + vip.PoolRoleKey + "=ROLE",
	vip.PoolFiltered:     "correct annotation FILTER of the Cluster, or remove it: kubectl annotate cluster CLUSTER -n NAMESPACE FILTER-",
	vip.PoolInvalid:      "correct the key that the message names on the pool",
	vip.PoolNotAllowed:   "add NAMESPACE to annotation " + vip.PoolNamespacesKey + " of a pool below, or remove that annotation",
	vip.PoolDeleting:     "add another pool for this class and role",
	vip.PoolPaused:       "unpause the pool: remove its annotation " + vip.PausedAnnotation,
	vip.PoolExhausted:    "extend spec.addresses of a pool below, or let another pool serve this class and role",
	vip.PoolNotReady:     "look at the pool and at the log of its IPAM provider",
	vip.PoolNotAccepted:  "let the pool serve this Cluster again, or add another pool: the claim then moves by itself",
	vip.ClaimPending:     "nothing for now; if it lasts, see whether the IPAM provider runs and what its log says of CLAIM",
	vip.ClaimMoved:       "nothing: the controller makes the claim anew",
	vip.ClaimForeign:     "find out whose claim it is; if nobody's: kubectl delete ipaddressclaim CLAIM -n NAMESPACE",
	vip.ClaimTerminating: "nothing for now; if it lasts, look at the finalizers: kubectl get ipaddressclaim CLAIM -n NAMESPACE -o yaml",
	vip.ClaimLost:        "if it lasts, exclude the address from its pool and remove annotation WRITTEN from the Cluster: the VIP then counts as chosen by hand",
	vip.AddressInvalid:   "correct the addresses of the pool, then: kubectl delete ipaddressclaim CLAIM -n NAMESPACE",
	vip.AddressInUse:     "free the address where the message says, or add another pool: the claim then moves by itself",
	vip.CopiedVIP:        "remove from the Cluster what the message names; kubectl vip clean makes a manifest that can be copied",
	vip.VariableRefused:  "correct the schema of the variable in ClusterClass CLASS, or name another one in its annotation VARIABLE",
	vip.PatchRefused:     "see the message for the rule that refuses, and change the pool's addresses or the rule",
}

// remedy is the line for the role, with the names of this Cluster.
func remedy(s *vip.Snapshot, role vip.Role, r *Role) string {
	cluster := &s.Cluster
	return strings.NewReplacer(
		"CLASSNAMESPACE", cluster.Class.Namespace, "CLASSNAME", cluster.Class.Name, "CLASS", cluster.Class.String(),
		"CLUSTER", cluster.Name, "NAMESPACE", cluster.Namespace, "ROLE", string(role),
		"CLAIM", role.ClaimName(cluster.Name), "FILTER", role.PoolAnnotation(),
		"VARIABLE", role.VariableAnnotation(), "WRITTEN", role.WrittenAnnotation(),
	).Replace(remedies[vip.Reason(r.Reason)])
}
