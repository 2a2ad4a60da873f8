package vip

import (
	"fmt"
	"slices"
	"strings"
)

// steps say in one line what a person should do about a reason that is not ready. The words
// in capitals stand for names of the Cluster and of the pool at hand.
var steps = map[Reason]string{
	ClassNotFound:    "create ClusterClass CLASS, or correct spec.topology.classRef of the Cluster",
	ClassNotReady:    "see condition VariablesReady: kubectl describe clusterclass CLASSNAME -n CLASSNAMESPACE",
	NoPool:           "have a pool serve it: kubectl annotate globalinclusterippool POOL " + PoolClassKey + "=CLASSNAME " + PoolRoleKey + "=ROLE",
	PoolFiltered:     "correct the Cluster's annotation, or remove it: kubectl annotate cluster CLUSTER -n NAMESPACE FILTER-",
	PoolInvalid:      "correct that label or annotation: kubectl edit BLOCKER",
	PoolNotAllowed:   "add NAMESPACE to annotation " + PoolNamespacesKey + ": kubectl edit BLOCKER",
	PoolDeleting:     "add another pool for this class and role",
	PoolPaused:       "end the pause: kubectl annotate BLOCKER " + PausedAnnotation + "-",
	PoolExhausted:    "extend spec.addresses (kubectl edit BLOCKER), or add a pool for this class and role",
	PoolNotReady:     "look at the pool (kubectl describe BLOCKER) and at the log of its IPAM provider",
	PoolNotAccepted:  "let the pool serve this Cluster again (kubectl edit BLOCKER), or add a pool for this class and role: the claim then moves by itself",
	ClaimPending:     "if it lasts, see whether the IPAM provider runs: kubectl get deployments -A -l cluster.x-k8s.io/provider; and what its log says of CLAIM",
	ClaimMoved:       "nothing: the allocator makes the claim anew",
	ClaimForeign:     "find out whose claim it is: kubectl describe ipaddressclaim CLAIM -n NAMESPACE; if nobody's: kubectl delete ipaddressclaim CLAIM -n NAMESPACE",
	ClaimTerminating: "wait; if it lasts, look at its finalizers: kubectl get ipaddressclaim CLAIM -n NAMESPACE -o yaml",
	ClaimLost:        "if it lasts, exclude the address from its pool and remove annotation WRITTEN from the Cluster: the VIP then counts as chosen by hand",
	AddressInvalid:   "correct the addresses of the pool (kubectl edit BLOCKER), then: kubectl delete ipaddressclaim CLAIM -n NAMESPACE",
	AddressInUse:     "free it there, or extend spec.addresses (kubectl edit BLOCKER), or add a pool: the claim then moves by itself",
	CopiedVIP:        "remove it from the Cluster: kubectl edit cluster CLUSTER -n NAMESPACE; kubectl vip clean makes a manifest that can be copied",
	VariableRefused:  "correct the schema of the variable in ClusterClass CLASS, or name another one in its annotation VARIABLE",
	PatchRefused:     "see the message for the rule that refuses, and change the pool's addresses or the rule",
}

// Next says what a person should do about the outcome; empty for one that is ready.
func Next(s *Snapshot, o *Outcome) string {
	cluster, blocker := &s.Cluster, "the pool"
	if ref := s.blocker(o); ref != (PoolRef{}) {
		blocker = ref.Argument()
	}
	return strings.NewReplacer(
		"CLASSNAMESPACE", cluster.Class.Namespace, "CLASSNAME", cluster.Class.Name, "CLASS", cluster.Class.String(),
		"CLUSTER", cluster.Name, "NAMESPACE", cluster.Namespace, "ROLE", string(o.Role), "BLOCKER", blocker,
		"CLAIM", o.ClaimName, "FILTER", o.Role.PoolAnnotation(),
		"VARIABLE", o.Role.VariableAnnotation(), "WRITTEN", o.Role.WrittenAnnotation(),
	).Replace(steps[o.Reason])
}

// blocker is the pool that the outcome's reason is about: that of the claim, or the first
// that was passed over for the reason; zero if there is none.
func (s *Snapshot) blocker(o *Outcome) PoolRef {
	if o.Pool != (PoolRef{}) {
		return o.Pool
	}
	candidates := s.Placements[o.Role].Candidates
	if candidates == nil && o.Want != nil {
		candidates = o.Want.Candidates
	}
	for _, candidate := range candidates {
		if candidate.Verdict == o.Reason {
			return candidate.Pool.Ref
		}
	}
	return PoolRef{}
}

// Argument names the pool as kubectl takes it.
func (p PoolRef) Argument() string {
	words := strings.ToLower(p.Kind) + " " + p.Name
	if p.Namespace != "" {
		words += " -n " + p.Namespace
	}
	return words
}

// NearMiss is a pool that nearly serves a Cluster.
type NearMiss struct {
	Pool PoolRef
	// Why says what it lacks, Next what to do about it.
	Why, Next string
	// OtherRole says that it serves the class, but for the other role, as many a pool is meant to.
	OtherRole bool
}

// String returns "Kind name, which …".
func (n NearMiss) String() string { return n.Pool.String() + ", which " + n.Why }

// Closest finds, among pools that serve the Cluster's role not at all, the one that was most
// likely meant to. Which one it is changes with every pool, and naming it tells a tenant of
// others: so it is for those who can see the pools, and stands in no condition.
func Closest(s *Snapshot, role Role, pools []Pool) (NearMiss, bool) {
	var best NearMiss
	nearest := 0
	for i := range pools {
		miss, distance := s.misses(role, &pools[i])
		if distance > 0 && (nearest == 0 || distance < nearest || distance == nearest && miss.Pool.String() < best.Pool.String()) {
			best, nearest = miss, distance
		}
	}
	return best, nearest > 0
}

// misses says by what the pool misses the Cluster, and how far it is from serving it; 0 if it
// has nothing to do with the Cluster.
func (s *Snapshot) misses(role Role, pool *Pool) (miss NearMiss, distance int) {
	serves := &pool.Serves
	elsewhere := pool.Ref.Namespace != "" && pool.Ref.Namespace != s.Cluster.Namespace
	switch {
	case serves.Class(s.Cluster.Class) && elsewhere:
		return s.missesNamespace(role, pool)
	case elsewhere:
		return NearMiss{}, 0
	case serves.Class(s.Cluster.Class) && serves.Err == nil:
		return s.missesRole(role, pool)
	case serves.Err != nil && len(serves.Classes) == 0:
		return NearMiss{Pool: pool.Ref, Why: "cannot be read: " + Short(serves.Err.Error()), Next: "kubectl edit " + pool.Ref.Argument()}, 3
	case serves.Err != nil || serves.HasRole(role):
		return s.missesClass(pool)
	}
	return NearMiss{}, 0
}

// missesNamespace judges a pool of the class that stands in another namespace. Many teams may have
// a class of that name, so what is wrong in reach comes first.
func (s *Snapshot) missesNamespace(role Role, pool *Pool) (miss NearMiss, distance int) {
	if !pool.Serves.HasRole(role) {
		return NearMiss{}, 0
	}
	if distance = 4; !pool.Serves.names(s.Cluster.Class) {
		distance = 5
	}
	return NearMiss{
		Pool: pool.Ref, Why: "is in another namespace; a namespaced pool serves Clusters of its own",
		Next: fmt.Sprintf("make a pool in namespace %s, or a GlobalInClusterIPPool", s.Cluster.Namespace),
	}, distance
}

// missesRole judges a pool that serves the class.
func (s *Snapshot) missesRole(role Role, pool *Pool) (miss NearMiss, distance int) {
	argument := pool.Ref.Argument()
	switch serves := &pool.Serves; {
	case !serves.HasRole(role):
		return NearMiss{
			Pool: pool.Ref, OtherRole: true, Why: fmt.Sprintf("serves role %s only", serves.Roles[0]),
			Next: fmt.Sprintf("kubectl annotate %s --overwrite %s=%s,%s; or add a pool for role %s", argument, PoolRoleKey, ControlPlane, Ingress, role),
		}, 1
	case !serves.names(s.Cluster.Class):
		return NearMiss{
			Pool: pool.Ref, Why: `serves every class by "*": a * pool is used only by Clusters whose class declares the VIP variable`,
			Next: fmt.Sprintf("declare variable %s in ClusterClass %s, or: kubectl annotate %s --overwrite %s=%s", role.DefaultVariable(), s.Cluster.Class, argument, PoolClassKey, s.Cluster.Class.Name),
		}, 1
	}
	return NearMiss{}, 0
}

// missesClass judges a pool that serves other classes, of which one may be a slip.
func (s *Snapshot) missesClass(pool *Pool) (miss NearMiss, distance int) {
	class := s.Cluster.Class
	for _, entry := range pool.Serves.Classes {
		switch {
		case entry.Name == class.Name:
			miss.Why, distance = fmt.Sprintf("names class %s/%s, not %s", entry.Namespace, entry.Name, class), 2
		case Similar(entry.Name, class.Name):
			miss.Why, distance = fmt.Sprintf("names class %s, not %s", entry.Name, class.Name), 3
		default:
			continue
		}
		miss.Pool = pool.Ref
		miss.Next = fmt.Sprintf("kubectl annotate %s --overwrite %s=%s", pool.Ref.Argument(), PoolClassKey, class.Name)
		return miss, distance
	}
	return NearMiss{}, 0
}

// HasKeys tells whether somebody wrote a label or annotation of ours, if only one that means
// nothing.
func HasKeys(labels, annotations map[string]string) bool {
	for _, keys := range []map[string]string{labels, annotations} {
		for key := range keys {
			if strings.HasPrefix(key, Prefix) {
				return true
			}
		}
	}
	return false
}

// Similar tells whether one text looks like a slip of the other.
func Similar(a, b string) bool {
	if a == b || a == everyClass || b == everyClass {
		return false
	}
	slips := 2
	if min(len(a), len(b)) < 5 {
		slips = 1
	}
	return edits(strings.ToLower(a), strings.ToLower(b)) <= slips
}

// edits counts the letters that must be put in, left out or replaced.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(before+cost, above+1, row[j]+1)
			before = above
		}
	}
	return row[len(b)]
}

// meantRole is the role that a misspelt one was most likely meant to be.
func meantRole(text string) (Role, bool) {
	plain := strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(text))
	if len(plain) > 20 {
		return "", false
	}
	for _, role := range Roles() {
		whole := strings.ReplaceAll(string(role), "-", "")
		if len(plain) >= 4 && strings.Contains(whole, plain) || Similar(plain, whole) || plain == whole {
			return role, true
		}
	}
	return "", false
}

// meantKey finds the key that stands where the one that is missing should.
func meantKey(missing string, labels, annotations map[string]string) string {
	_, want, _ := strings.Cut(missing, "/")
	var candidates []string
	for _, keys := range []map[string]string{labels, annotations} {
		for key := range keys {
			prefix, name, qualified := strings.Cut(key, "/")
			if !qualified {
				prefix, name = "", key
			}
			known := key == PoolClassKey || key == PoolRoleKey || key == PoolNamespacesKey || key == PoolPriorityKey
			meant := Similar(name, want) || name == want || name == "class" && want == "cluster-class"
			if !known && meant && (prefix == "" || strings.Contains(prefix, "gorizond") || name == want) {
				candidates = append(candidates, key)
			}
		}
	}
	if len(candidates) == 0 {
		return ""
	}
	return slices.Min(candidates)
}
