package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// planUnclaimed decides a role that has no live claim of this Cluster.
func (v *roleView) planUnclaimed() *Outcome {
	value := v.current()
	if outcome := v.planOwnerless(); outcome != nil {
		return outcome
	}
	switch {
	case value != "" && v.copies(value):
		return v.planCopied(value)
	case v.lost(value):
		return v.planLost()
	case value != "":
		return v.planManual(value)
	case v.claim != nil:
		return v.planOccupied()
	}
	return v.planNew()
}

// lost tells whether the role's VIP came from a claim, and is not another one by now.
func (v *roleView) lost(value string) bool {
	return v.written != "" && (value == "" || sameHost(value, v.stamp))
}

// Lost tells whether the Cluster has the address from a claim. If that is gone, it goes
// before all who type the address.
func Lost(c *Cluster, key netip.Addr) bool {
	for _, role := range Roles() {
		if stamp, ok := Key(c.Annotations[role.Stamp()]); ok && stamp == key && c.Annotations[role.WrittenAnnotation()] != "" {
			return true
		}
	}
	return false
}

// giveUpLost has a role begin anew whose lost address cannot be had: nothing is built with it
// yet. Elsewhere the outcome stands.
func (v *roleView) giveUpLost() *Outcome {
	if v.Cluster.HasInfrastructure || v.Cluster.Endpoint.Host != "" {
		return v.out
	}
	if v.written == v.variable.Path {
		v.value = ""
	}
	v.stamp, v.written = "", ""
	v.out.Address, v.out.Want, v.out.Waiting = "", nil, false
	return v.planNew()
}

// planLost decides a role whose VIP was published from a claim that is gone, as
// after a restore from a backup. The same address is taken back where the provider
// allows that and nobody else has it. Another address is never taken.
func (v *roleView) planLost() *Outcome {
	v.out.Address = v.stamp
	name := v.role.ClaimName(v.Cluster.Name)
	if v.stamp == "" {
		return v.out.set(ClaimLost, "a VIP was published from claim %s, which is gone, and the Cluster names it no longer; set %s by hand", name, v.role.place())
	}
	v.out.set(ClaimLost, "VIP %s was published from claim %s, which is gone; the address is not protected in its pool", v.stamp, name)
	if v.claim != nil {
		v.out.Message += "; a claim of that name is in the way"
		return v.out
	}
	key, _ := Key(v.stamp)
	if holders := v.Holders[key]; len(holders) > 0 {
		// Even an address that is merely bound to another claim is not ours to take.
		v.out.Message += "; " + holders[0].String() + " has it now"
		return v.giveUpLost()
	}
	pool, possible := v.Recoveries[v.role]
	if !possible || !key.IsValid() {
		v.out.Waiting = true
		v.out.Message += "; no pool that serves this Cluster can give it back"
		return v.giveUpLost()
	}
	v.out.Want = &Want{Role: v.role, Claim: name, Candidates: []Candidate{{Pool: v.pool(pool)}}, Pin: key}
	placement, asked := v.Placements[v.role]
	if asked && placement.Pool == (PoolRef{}) {
		v.out.Waiting = true
		v.out.Message += fmt.Sprintf("; another claim on %s is about to get it", pool)
		return v.out
	}
	v.out.Pool, v.out.Pin = pool, key
	v.out.Ensure = asked && !placement.Made
	v.out.Message += fmt.Sprintf("; it is being taken back from %s", pool)
	return v.out
}

// planManual decides a role whose VIP was chosen by somebody else.
func (v *roleView) planManual(value string) *Outcome {
	v.out.Address = value
	v.out.set(Manual, "%s"+manualText, Short(value))
	if !PlausibleHost(value) {
		v.out.note(AddressInvalid, "%.80q is neither an IP address nor a host name, and is copied nowhere", value)
		return v.out
	}
	missing := v.fill(value, false)
	label := v.role.StampedLabel()
	switch {
	case missing && v.Cluster.HasInfrastructure && v.variable.Default == "" && v.variable.Ungated == "" && !v.Class.Pending && v.admits(value):
		// The class lets nothing more happen to the Cluster.
		v.out.set(VariableNotBackfilled, "%s"+manualText+", but variable %s of this running Cluster is left empty; annotation %s: \"true\" fills it and may roll out machines",
			Short(value), v.variable.Path, BackfillAnnotation)
	case v.Cluster.Labels[label] == "true" || v.patch.labels[label] != nil:
		v.out.Message += manualStamped
	}
	if _, isAddress := Key(value); isAddress {
		if _, err := ParseAddress(value); err != nil {
			v.out.note(AddressInvalid, "%v", err)
		}
		if holder, used := v.holder(value); used {
			v.out.note(DuplicateAddress, "%s is used by %s too", value, holder)
		}
	}
	return v.out
}

// What the message of a typed VIP says after it. That it is stamped is known by that when
// somebody takes the stamp away.
const (
	manualText    = " was set by hand or by the infrastructure"
	manualStamped = ", and is stamped"
)

// planOwnerless decides a role whose claim has no owner, as after a restore from a backup, or
// was reserved before its Cluster; nil if it has one, or if the claim is anybody's.
func (v *roleView) planOwnerless() *Outcome {
	c := v.claim
	if c == nil || len(c.OwnerUIDs) > 0 || c.Deleting || c.Role != v.role {
		return nil
	}
	labelled, reserved := c.ClusterLabel == v.Cluster.Name, c.ReservedUntil != ""
	switch {
	case !labelled && !reserved:
		return nil
	case c.Address == nil:
		return v.out.set(ClaimPending, "claim %s has no owner; once it is bound it is seen whose it is", c.Name)
	}
	address := c.Address.Text
	if (labelled && v.publishedBefore(address)) || (reserved && v.mayTake(address)) {
		v.out.Adopt, v.out.Pool = true, c.Pool
		return v.out.set(ClaimPending, "claim %s of %s has no owner and becomes this Cluster's", c.Name, address)
	}
	if _, used := v.holder(address); labelled && !reserved && !used && !v.inUse(c) {
		v.release()
		return v.out.set(ClaimMoved, "claim %s was left by an earlier Cluster of this name and holds %s, which nobody uses; it is deleted", c.Name, address)
	}
	return nil
}

// publishedBefore tells whether the address, whose claim has no owner now, is the role's VIP.
// A variable alone, or a stamp on a Cluster of which nothing is built, may be anybody's.
func (v *roleView) publishedBefore(address string) bool {
	carries := v.written != "" || v.Cluster.HasInfrastructure || v.Cluster.Endpoint.Host != ""
	return carries && (sameHost(v.stamp, address) || sameHost(v.current(), address))
}

// mayTake tells whether the Cluster carries no other VIP for the role than this address.
func (v *roleView) mayTake(address string) bool {
	for _, value := range []string{v.current(), v.stamp} {
		if value != "" && !sameHost(value, address) {
			return false
		}
	}
	return true
}

// planOccupied decides a role whose claim name is taken.
func (v *roleView) planOccupied() *Outcome {
	switch {
	case v.claim.Deleting:
		v.out.Want = &Want{Role: v.role, Claim: v.claim.Name, Keep: true}
		return v.out.set(ClaimTerminating, "claim %s is being released%s", v.claim.Name, v.until())
	case slices.Contains(v.claim.OwnerUIDs, v.Cluster.UID):
		return v.out.set(ClaimForeign, "claim %s of this Cluster carries label %s: %.80q instead of %s; correct the label", v.claim.Name, PoolRoleKey, v.claim.Role, v.role)
	case len(v.claim.OwnerClusters) > 0:
		return v.out.set(ClaimTerminating, "claim %s belongs to an earlier Cluster of this name and is about to go", v.claim.Name)
	}
	return v.out.set(ClaimForeign, "claim %s exists and is not owned by this Cluster", v.claim.Name)
}

// until says how long a pool keeps a claim that is being deleted.
func (v *roleView) until() string {
	pool := v.pool(v.claim.Pool)
	if pool == nil || pool.Grace == 0 || v.claim.DeletedAt.IsZero() {
		return ""
	}
	return "; next try at " + v.claim.DeletedAt.Add(pool.Grace).UTC().Format(time.RFC3339)
}

// planNew chooses a pool for a role that has nothing yet.
func (v *roleView) planNew() *Outcome {
	candidates := Candidates(v.Snapshot, v.role)
	v.out.Want = &Want{Role: v.role, Claim: v.out.ClaimName, Candidates: candidates}
	if started, begun := v.Started[v.role]; begun && v.pool(started.Pool) != nil {
		// Another address would leave this one behind.
		v.out.Want.Candidates, v.out.Want.Pin = []Candidate{{Pool: v.pool(started.Pool)}}, started.Key
	}
	placement, asked := v.Placements[v.role]
	if asked {
		candidates = placement.Candidates
	}
	v.out.Waiting = refusedByClass(candidates)
	switch {
	case placement.Pool != (PoolRef{}):
		v.out.Pool, v.out.Pin, v.out.Ensure = placement.Pool, placement.Pin, !placement.Made
		return v.out.set(ClaimPending, "waiting for an address from %s", placement.Pool)
	case !asked && usable(candidates):
		return v.out.set(ClaimPending, "waiting for an address")
	}
	v.out.Waiting = true
	v.out.Reason, v.out.Message = whyNone(v.Snapshot, v.role, candidates)
	return v.out
}
