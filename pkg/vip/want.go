package vip

import "net/netip"

// Want is a claim that a role needs, and the pools that may serve it. Whether they have
// room the planner does not know.
type Want struct {
	Role Role
	// Claim is the claim's name.
	Claim string
	// Candidates are what Candidates says; those with a verdict cannot serve.
	Candidates []Candidate
	// Claimed is the pool of the claim that the role has already, and that is not bound;
	// zero if it has none. Then the Candidates are where it could go instead.
	Claimed PoolRef
	// Keep says that the claim cannot be made yet. It keeps its place if it has one.
	Keep bool
	// Refused is the pool of the claim that the role has, which is bound to an address that it
	// must not publish. Only an address that is known to be good, or another pool, is better.
	Refused PoolRef
	// Pin is the address that the claim must get; invalid if any will do.
	Pin netip.Addr
}

// Placement says where the claim of a Want goes.
type Placement struct {
	// Pool is zero if no candidate has room.
	Pool PoolRef
	// Pin is the address that the claim is to get there; invalid if any will do.
	Pin netip.Addr
	// Made says that the claim was made there and is merely not to be seen yet.
	Made bool
	// Candidates are those of the Want in the order in which they were tried, each that
	// has no room with the verdict PoolExhausted.
	Candidates []Candidate
}

// Wants returns the claims that the Decision needs, in the order of the roles.
func (d *Decision) Wants() []*Want {
	var wants []*Want
	for _, role := range Roles() {
		if outcome := d.Roles[role]; outcome != nil && outcome.Want != nil {
			wants = append(wants, outcome.Want)
		}
	}
	return wants
}

// Waiting tells whether an event of a pool could change the Decision.
func (d *Decision) Waiting() bool {
	for _, outcome := range d.Roles {
		if outcome.Waiting {
			return true
		}
	}
	return false
}

// Placed returns the Snapshot for which Plan knows where the claims go that it wanted.
func (s *Snapshot) Placed(placements map[Role]Placement) *Snapshot {
	placed := *s
	placed.Placements = placements
	return &placed
}
