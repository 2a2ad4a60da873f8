package vip

import "slices"

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
	moves := v.stamp == "" && value == "" && movesOn(reason)
	placement := v.placeElsewhere(reason == "", moves)
	if reason == "" {
		if placement.Pool == v.claim.Pool {
			return v.out.set(ClaimPending, "waiting for an address from %s", v.claim.Pool)
		}
		reason, detail = PoolExhausted, NoFreeAddress
	}
	v.out.Waiting = true
	if moves && placement.Pool != (PoolRef{}) {
		v.out.Release, v.out.Ensure = v.claim, false
		return v.out.set(ClaimMoved, "%s: %s; the unbound claim %s is replaced by one on another pool", v.claim.Pool, detail, v.claim.Name)
	}
	return v.out.set(reason, "claim %s waits on %s: %s", v.claim.Name, v.claim.Pool, detail)
}

// placeElsewhere asks where the claim is to be: on its own pool if that may serve it and has
// an address left, on another one if it may move. Before there is an answer it stays.
func (v *roleView) placeElsewhere(stays, moves bool) Placement {
	want := &Want{Role: v.role, Claim: v.claim.Name}
	if stays {
		want.Claimed = v.claim.Pool
	}
	if moves {
		want.Candidates = slices.DeleteFunc(Candidates(v.Snapshot, v.role), func(c Candidate) bool { return c.Pool.Ref == v.claim.Pool })
	}
	if stays || moves {
		v.out.Want = want
		v.out.Waiting = refusedByClass(want.Candidates)
	}
	placement, asked := v.Placements[v.role]
	if !asked {
		placement.Pool = want.Claimed
	}
	return placement
}

// stuck tells why the pending claim will not be bound, whatever room its pool has; empty if
// it may be.
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
	}
	return "", ""
}

// movesOn tells whether a claim that is stuck for the reason is better made anew on
// another pool. A paused pool would not even release it, and what its provider
// calls not ready may pass.
func movesOn(reason Reason) bool { return reason != PoolPaused && reason != PoolNotReady }

func (v *roleView) pool(ref PoolRef) *Pool {
	for i := range v.Pools {
		if v.Pools[i].Ref == ref {
			return &v.Pools[i]
		}
	}
	return nil
}
