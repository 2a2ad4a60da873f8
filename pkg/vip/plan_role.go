package vip

import "fmt"

// roleView is one role of a Snapshot, with what follows from it at once.
type roleView struct {
	*Snapshot
	role     Role
	variable ClassVariable
	claim    *Claim
	// live says that the claim is this Cluster's own and not going away.
	live bool
	// shared says that the control plane needs the variable.
	shared bool
	// value is the variable's value on the Cluster, empty where it is absent or
	// the class's own default.
	value   string
	stamp   string
	written string
	// enabledAgain says that the role was switched off on a running Cluster and now is not:
	// whoever did that wants the variable filled.
	enabledAgain bool
	patch        *patch
	out          *Outcome
}

func view(s *Snapshot, role Role, patch *patch) *roleView {
	v := &roleView{
		Snapshot: s, role: role, variable: s.Class.Roles[role], claim: s.Claims[role],
		stamp: s.Cluster.Annotations[role.Stamp()], written: s.Cluster.Annotations[role.WrittenAnnotation()],
		patch: patch, out: &Outcome{Role: role, ClaimName: role.ClaimName(s.Cluster.Name)},
	}
	v.live = v.claim != nil && !v.claim.Deleting && v.claim.ownedBy(s.Cluster.UID, role)
	if v.variable.Path == "" {
		// The class is not known yet, but a variable that a user has set already is.
		v.variable.Path = role.DefaultVariable()
	}
	if v.shared = v.variable.Shared && !s.Cluster.disabled(ControlPlane); v.shared {
		v.variable.Declared = false // for this role: nothing is written there, nor read
		return v
	}
	if role == ControlPlane && s.Class.Roles[Ingress].Shared && s.Cluster.disabled(role) {
		return v // the variable is that of ingress then
	}
	if v.value = variableAt(s.Cluster.Variables, v.variable.Path); v.value == v.variable.Default {
		v.value = ""
	}
	v.forget()
	return v
}

// forget leaves out what says that the role was published, and means nothing any more.
func (v *roleView) forget() {
	if v.leftover(v.role) {
		if v.written == v.variable.Path {
			v.value = ""
		}
		v.stamp, v.written = "", ""
	}
	if v.written == WrittenNone && v.role == Ingress && v.stamp == "" && v.value == "" {
		v.enabledAgain = v.Cluster.Conditions[v.role.ConditionType()].Reason.followsDisabled()
	}
	if v.enabledAgain {
		v.written = ""
	}
}

// planRole decides one role; nil means that it does not apply.
func planRole(s *Snapshot, role Role, patch *patch) *Outcome {
	v := view(s, role, patch)
	patch.reads = append(patch.reads, v.variable.Path)
	if s.Cluster.disabled(role) {
		return v.planDisabled()
	}
	bound := v.live && v.claim.Bound
	// An earlier release took the control plane's VIP for one of ingress, and stamped it.
	copied := v.stamp == "" || sameHost(v.stamp, s.Cluster.Endpoint.Host)
	if v.shared && !bound && v.written == "" && copied {
		return v.planShared()
	}
	if !v.asked() && !bound && (v.written == "" || (v.written == WrittenNone && v.current() == "")) {
		if v.live && v.current() == "" && v.stamp == "" {
			// Nobody asks for this role any more and nothing was published. A Cluster
			// that carries a VIP keeps its claim: after a move it is unbound for a while.
			v.out.Release = v.claim
			return v.out.set(ClaimMoved, "the role no longer applies; its unbound claim %s is released", v.claim.Name)
		}
		return nil
	}
	if v.live {
		return v.planClaimed()
	}
	return v.planUnclaimed()
}

// planShared decides a role whose variable is that of the control plane, and that has no VIP
// yet: what stands there is none, and nothing can be written to it.
func (v *roleView) planShared() *Outcome {
	if v.live {
		v.out.Pool, v.out.Ensure = v.claim.Pool, v.claim.Outdated
	}
	return v.out.set(VariableRefused, "ClusterClass %s has variable %s for both roles, and it can hold one address only",
		v.Cluster.Class, v.variable.Path)
}

// asked tells whether the class or a pool asks for the role on this Cluster.
func (v *roleView) asked() bool {
	if v.variable.Declared {
		return true
	}
	if v.role == ControlPlane && v.Cluster.HasInfrastructure {
		return false
	}
	for i := range v.Pools {
		pool := &v.Pools[i]
		inReach := pool.Ref.Namespace == "" || pool.Ref.Namespace == v.Cluster.Namespace
		if inReach && pool.Serves.Err == nil && pool.Serves.HasRole(v.role) &&
			pool.Serves.servesNamespace(v.Cluster.Namespace) && pool.Serves.names(v.Cluster.Class) {
			return true
		}
	}
	return false
}

// unbound tells whether nothing is bound to the claim, nor about to be: an IPAddress
// that is there already, as that of a VIP which is being taken back, goes with its claim
// for certain only once the provider has bound the two.
func (v *roleView) unbound() bool { return !v.claim.Bound && !v.claim.Binding }

// current is the VIP that the Cluster carries for the role, whoever wrote it. A
// variable that we wrote ourselves says nothing about a control plane whose
// endpoint was stripped.
func (v *roleView) current() string {
	if v.role == Ingress {
		if v.value != "" {
			return v.value
		}
		return v.stamp
	}
	if v.Cluster.Endpoint.Host != "" {
		return v.Cluster.Endpoint.Host
	}
	// Beside a VIP of ours that stands elsewhere it is none, whoever emptied the endpoint.
	ours := v.live && v.claim.Address != nil && sameHost(v.stamp, v.claim.Address.Text)
	if v.written == "" && !ours {
		return v.value
	}
	return ""
}

// inUse tells whether the Cluster names the claim's address anywhere.
func (v *roleView) inUse(claim *Claim) bool {
	if claim.Address == nil {
		return false
	}
	address := claim.Address.Text
	return sameHost(v.value, address) || sameHost(v.stamp, address) ||
		(v.role == ControlPlane && sameHost(v.Cluster.Endpoint.Host, address))
}

// planClaimed decides a role that has a live claim.
func (v *roleView) planClaimed() *Outcome {
	v.out.Pool = v.claim.Pool
	v.out.Ensure = v.claim.Outdated
	if v.claim.Address == nil {
		return v.planPending()
	}
	address := v.claim.Address.Text
	v.out.Address = address
	if err := v.checkAddress(); err != nil {
		return v.out.set(AddressInvalid, "claim %s: %v", v.claim.Name, err)
	}
	if value := v.current(); value != "" && !sameHost(value, address) && (v.stamp == "" || !v.copies(value)) {
		v.out.Address = value
		v.fill(value, false)
		return v.out.set(ClaimUnused, "the VIP is %s, but claim %s holds %s%s", value, v.claim.Name, address, v.releaseHint())
	}
	if !v.published(address) {
		if outcome := v.refuse(address); outcome != nil {
			return v.giveUp(outcome)
		}
		v.out.Lease, v.out.Verify = v.claim.Contested && !v.claim.LeaseHeld, v.claim.Address.Pinned
	}
	return v.publish(address)
}

// published tells whether the claim's address was given to the Cluster before. A
// variable alone does not say so: a user may have typed the same address.
func (v *roleView) published(address string) bool {
	return v.written != "" || sameHost(v.stamp, address) ||
		(v.role == ControlPlane && sameHost(v.Cluster.Endpoint.Host, address))
}

func (v *roleView) releaseHint() string {
	if v.inUse(v.claim) {
		return ", which the Cluster still names"
	}
	return fmt.Sprintf("; the annotation %s: \"false\" releases the claim", v.role.EnabledAnnotation())
}

// refuse returns an outcome if the bound address must not be published.
func (v *roleView) refuse(address string) *Outcome {
	if !v.inUse(v.claim) && !serves(v.Snapshot, v.role, v.claim.Pool) {
		v.out.Waiting = true
		return v.out.set(PoolNotAccepted, "claim %s is bound to %s from %s, which does not serve this Cluster for role %s",
			v.claim.Name, address, v.claim.Pool, v.role)
	}
	if v.claim.Address.Outside && !v.inUse(v.claim) {
		v.out.Waiting = true
		return v.out.set(AddressInvalid, "claim %s is bound to %s, which is none of the addresses of %s",
			v.claim.Name, address, v.claim.Pool)
	}
	if holder, used := v.holder(address); used {
		v.out.Waiting = true
		return v.out.set(AddressInUse, "%s from %s is used by %s", address, v.claim.Pool, holder)
	}
	if v.variable.Declared && v.mayFill(true) && v.value == "" {
		if v.variable.Problem != "" {
			return v.out.set(VariableRefused, "variable %s of ClusterClass %s: %s", v.variable.Path, v.Cluster.Class, v.variable.Problem)
		}
		if v.variable.Admits != nil {
			if err := v.variable.Admits(address); err != nil {
				return v.out.set(VariableRefused, "variable %s of ClusterClass %s refuses %s: %v", v.variable.Path, v.Cluster.Class, address, err)
			}
		}
		if err := v.refusesPort(); err != nil {
			return v.out.set(VariableRefused, "variable %s of ClusterClass %s refuses port %d: %v", v.portBeside(), v.Cluster.Class, v.endpointPort(), err)
		}
	}
	return nil
}

// giveUp has a claim whose address must not be published replaced by one that is certain to
// get another: on another pool, or pinned. A paused pool would not release it.
func (v *roleView) giveUp(refused *Outcome) *Outcome {
	pool := v.pool(v.claim.Pool)
	if !refused.Waiting || v.inUse(v.claim) || (pool != nil && pool.Paused) {
		return refused
	}
	if v.Cluster.Conditions[v.role.ConditionType()].Reason != refused.Reason {
		return refused // it is told first, and what merely lags is over by then
	}
	v.out.Want = &Want{Role: v.role, Claim: v.claim.Name, Candidates: Candidates(v.Snapshot, v.role), Refused: v.claim.Pool}
	placement := v.Placements[v.role]
	if placement.Pool == (PoolRef{}) {
		return refused
	}
	v.release()
	to := "one on " + placement.Pool.String()
	if placement.Pool == v.claim.Pool {
		to = "one for another address"
	}
	return v.out.set(ClaimMoved, "%s; the claim is replaced by %s", refused.Message, to)
}

// publish brings the claim's address to every place where it belongs.
func (v *roleView) publish(address string) *Outcome {
	v.out.Published = v.written == "" && !v.inUse(v.claim)
	missing := v.fill(address, true)
	if holder, used := v.holder(address); used {
		return v.out.set(DuplicateAddress, "%s is in place, but %s uses it too", address, holder)
	}
	if missing && !v.admits(address) {
		return v.out.set(VariableRefused, "variable %s of ClusterClass %s cannot take %s", v.variable.Path, v.Cluster.Class, address)
	}
	if missing {
		return v.out.set(VariableNotBackfilled, "%s is in place, but variable %s of this running Cluster is left empty; annotation %s: \"true\" fills it and may roll out machines",
			address, v.variable.Path, BackfillAnnotation)
	}
	return v.out.set(Allocated, "%s from %s", address, v.claim.Pool)
}

func (v *roleView) checkAddress() error {
	address := v.claim.Address
	switch {
	case address.Claim != v.claim.Name:
		return fmt.Errorf("IPAddress %s names claim %.80q", address.Name, address.Claim)
	case address.Pool != v.claim.Pool:
		return fmt.Errorf("IPAddress %s names pool %s instead of %s", address.Name, address.Pool, v.claim.Pool)
	case address.Deleting:
		return fmt.Errorf("IPAddress %s is being deleted", address.Name)
	}
	if _, err := ParseAddress(address.Text); err != nil {
		return fmt.Errorf("IPAddress %s: %w", address.Name, err)
	}
	return nil
}

// holder finds who else uses the address: another object, or this Cluster's
// other role.
func (v *roleView) holder(address string) (string, bool) {
	key, ok := Key(address)
	if !ok {
		return "", false
	}
	for _, holder := range v.Holders[key] {
		if !holder.Rival {
			return holder.String(), true
		}
	}
	for _, other := range Roles() {
		if other == v.role {
			continue
		}
		o := view(v.Snapshot, other, nil)
		if value := o.current(); value != "" && sameHost(value, address) {
			return fmt.Sprintf("role %s of this Cluster", other), true
		}
		// Of two unpublished claims with one address the control plane's goes first.
		if other == ControlPlane && o.live && o.claim.Address != nil && sameHost(o.claim.Address.Text, address) {
			return fmt.Sprintf("role %s of this Cluster", other), true
		}
	}
	return "", false
}
