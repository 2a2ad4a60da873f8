package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Candidate is a pool and why it was passed over for a Cluster and role.
type Candidate struct {
	Pool *Pool
	// Verdict is empty for a pool that can serve.
	Verdict Reason
	// Detail says more about the verdict.
	Detail string
	// Match says how exactly the pool names the Cluster's class.
	Match Match
	// Choices are the only addresses of the pool that the class's variable admits, as Key
	// returns them; nil if it admits others.
	Choices []netip.Addr
	// Pin is the address that the allocator chose; invalid if any will do.
	Pin netip.Addr
}

// Candidates judges every pool that names the Cluster's class and the role, from
// the one to try first, but for its room. Pools of other classes and roles are left out.
func Candidates(s *Snapshot, role Role) []Candidate {
	var result []Candidate
	for i := range s.Pools {
		pool := &s.Pools[i]
		if !pool.Serves.Class(s.Cluster.Class) {
			continue
		}
		if pool.Ref.Namespace != "" && pool.Ref.Namespace != s.Cluster.Namespace {
			continue
		}
		if pool.Serves.Err == nil && !pool.Serves.HasRole(role) {
			continue
		}
		candidate := Candidate{Pool: pool, Match: pool.Serves.match(s.Cluster.Class)}
		candidate.Verdict, candidate.Detail = judge(s, role, &candidate)
		result = append(result, candidate)
	}
	slices.SortFunc(result, rank)
	return result
}

func judge(s *Snapshot, role Role, candidate *Candidate) (Reason, string) {
	pool := candidate.Pool
	if pool.Serves.Err != nil {
		return PoolInvalid, Short(pool.Serves.Err.Error())
	}
	if verdict, detail := accepts(s, role, pool); verdict != "" {
		return verdict, detail
	}
	var err error
	if candidate.Choices, err = s.admitted(role, pool); err != nil {
		return VariableRefused, fmt.Sprintf("variable %s of ClusterClass %s refuses all of its addresses: %v", s.Class.Roles[role].Path, s.Cluster.Class, err)
	}
	return pool.unable()
}

// admitted are the only addresses of the pool that can be written to the class's variable,
// nil if there are others, or an error if none can; which matters as long as that is to be
// written. It goes by the format and by a list of choices; what a pattern refuses is known
// once there is an address.
func (s *Snapshot) admitted(role Role, pool *Pool) (choices []netip.Addr, err error) {
	v := view(s, role, newPatch(&s.Cluster))
	if !v.variable.Declared || v.variable.Problem != "" || pool.Holds == nil || !v.mayFill(true) {
		return nil, nil
	}
	if family := v.variable.Family; family != "" && pool.Lowest.IsValid() && (family == "ipv4") != pool.Lowest.Is4() {
		return nil, fmt.Errorf("its format is %s", family)
	}
	if v.variable.Choices == nil {
		return nil, nil
	}
	for _, choice := range v.variable.Choices {
		if key, ok := Key(choice); ok && pool.Holds(key.Unmap()) {
			choices = append(choices, key)
		}
	}
	if choices == nil {
		return nil, fmt.Errorf("it takes %.80s and the like only", v.variable.Choices[0])
	}
	return choices, nil
}

// accepts tells whether the pool may serve the Cluster at all, whatever its state.
func accepts(s *Snapshot, role Role, pool *Pool) (Reason, string) {
	if pool.Ref.Namespace == "" && !pool.Serves.servesNamespace(s.Cluster.Namespace) {
		return PoolNotAllowed, "its annotation " + PoolNamespacesKey + " leaves out this namespace"
	}
	if filter := s.Cluster.Annotations[role.PoolAnnotation()]; filter != "" && !FilterAdmits(filter, pool.Ref) {
		return PoolFiltered, fmt.Sprintf("the Cluster's annotation %s asks for %.80q", role.PoolAnnotation(), filter)
	}
	return "", ""
}

// FilterAdmits tells whether a Cluster's filter annotation, which is "name" or
// "namespace/name", admits the pool.
func FilterAdmits(filter string, pool PoolRef) bool {
	namespace, name, qualified := strings.Cut(strings.TrimSpace(filter), "/")
	if !qualified {
		return pool.Name == namespace
	}
	return pool.Namespace == namespace && pool.Name == name
}

// serves tells whether the pool is still one that the Cluster's claim may be on.
func serves(s *Snapshot, role Role, ref PoolRef) bool {
	for i := range s.Pools {
		pool := &s.Pools[i]
		if pool.Ref != ref {
			continue
		}
		verdict, _ := accepts(s, role, pool)
		inReach := ref.Namespace == "" || ref.Namespace == s.Cluster.Namespace
		return inReach && verdict == "" && pool.Serves.Err == nil &&
			pool.Serves.HasRole(role) && pool.Serves.Class(s.Cluster.Class)
	}
	return false
}

func usable(candidates []Candidate) bool {
	return slices.ContainsFunc(candidates, func(c Candidate) bool { return c.Verdict == "" })
}

// whyNone turns the verdicts over all candidates into one outcome. The order of
// the cases is that of nearness: a full pool is closer to serving than one that
// the Cluster may not use.
func whyNone(s *Snapshot, role Role, candidates []Candidate) (Reason, string) {
	if len(candidates) == 0 {
		return NoPool, fmt.Sprintf("no pool serves class %s for role %s", s.Cluster.Class, role)
	}
	var parts []string
	reason := Reason("")
	for _, nearest := range []Reason{PoolExhausted, PoolPaused, PoolDeleting, PoolInvalid, VariableRefused, PoolFiltered, PoolNotAllowed} {
		for _, candidate := range candidates {
			if candidate.Verdict != nearest {
				continue
			}
			if reason == "" {
				reason = nearest
			}
			parts = append(parts, fmt.Sprintf("%s: %s", candidate.Pool.Ref, candidate.Detail))
		}
	}
	const shown = 5
	if len(parts) > shown {
		parts = append(parts[:shown], "and others")
	}
	return reason, "no pool can serve: " + strings.Join(parts, "; ")
}

// What a Candidate of the verdict PoolExhausted says.
const (
	NoFreeAddress = "it has no free address"
	RefusedBefore = "its provider had no address for this Cluster a moment ago"
)

// NoneAdmitted is what a Candidate of the verdict VariableRefused says where the right
// addresses are in use.
const (
	NoneAdmitted = "none of its addresses that this Cluster could use is free"
)
