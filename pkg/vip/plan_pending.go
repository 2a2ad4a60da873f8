package vip

// planPending decides a role whose claim is not bound.
func (v *roleView) planPending() *Outcome {
	if !v.unbound() {
		return v.out.set(ClaimPending, "claim %s is being bound", v.claim.Name)
	}
	value := v.current()
	if value != "" {
		// Chosen by somebody else, or published from this claim before a move.
		v.out.Address = value
		v.fill(value, false)
	}
	reason, detail := v.stuck()
	if reason == "" {
		return v.out.set(ClaimPending, "waiting for an address from %s", v.claim.Pool)
	}
	v.out.Waiting = true
	if v.stamp == "" && value == "" && movesOn(reason) && v.elsewhere() {
		v.out.Release, v.out.Ensure = v.claim, false
		return v.out.set(ClaimMoved, "%s: %s; the unbound claim %s is replaced by one on another pool", v.claim.Pool, detail, v.claim.Name)
	}
	return v.out.set(reason, "claim %s waits on %s: %s", v.claim.Name, v.claim.Pool, detail)
}

// stuck tells why the pending claim will not be bound; empty if it may be.
func (v *roleView) stuck() (Reason, string) {
	pool := v.pool(v.claim.Pool)
	switch {
	case pool == nil:
		return NoPool, "it does not exist or is no VIP pool"
	case pool.Paused:
		// The provider would not even release the claim.
		return PoolPaused, "it carries the annotation " + PausedAnnotation
	case pool.Deleting:
		return PoolDeleting, "it is being deleted"
	case !serves(v.Snapshot, v.role, v.claim.Pool):
		return PoolNotAccepted, "it does not serve this Cluster for role " + string(v.role)
	case v.claim.Refusal.Reason == RefusedPoolExhausted:
		return PoolExhausted, v.claim.Refusal.Message
	case v.claim.Refusal.Reason != "":
		return PoolNotReady, v.claim.Refusal.Reason + ": " + v.claim.Refusal.Message
	case pool.Empty && v.claim.PoolSeenSince:
		return PoolExhausted, "it has no free address; extend it or add a pool"
	}
	return "", ""
}

// movesOn tells whether a claim that is stuck for the reason is better made anew on
// another pool. A paused pool would not even release it, and what its provider
// calls not ready may pass.
func movesOn(reason Reason) bool { return reason != PoolPaused && reason != PoolNotReady }

// elsewhere tells whether another pool could serve the role.
func (v *roleView) elsewhere() bool {
	for _, candidate := range Candidates(v.Snapshot, v.role) {
		if candidate.Verdict == "" && candidate.Pool.Ref != v.claim.Pool {
			return true
		}
	}
	return false
}

func (v *roleView) pool(ref PoolRef) *Pool {
	for i := range v.Pools {
		if v.Pools[i].Ref == ref {
			return &v.Pools[i]
		}
	}
	return nil
}
