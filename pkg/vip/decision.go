package vip

import (
	"net/netip"
	"slices"
)

// Decision is what is to be done for a Cluster, and why.
type Decision struct {
	// Skipped says why the Cluster is none of our business. Then nothing else is set
	// but a Patch, if the Cluster was held back for us.
	Skipped Skip
	// Roles holds the outcome of each role that applies or was disabled.
	Roles map[Role]*Outcome
	// Patch changes the Cluster; empty means no change. It must be carried out
	// before any claim is released.
	Patch []PatchOp
	// Conditions are what our conditions must be: the planner has left out
	// nothing, and a type that is missing here is to be removed.
	Conditions map[string]Condition
}

// Skip says why a Cluster is not handled; empty if it is.
type Skip string

// Why a Cluster is not handled.
const (
	SkipNoTopology  Skip = "has no spec.topology"
	SkipDeleting    Skip = "is being deleted"
	SkipPaused      Skip = "is paused"
	SkipNamespace   Skip = "is outside --namespace"
	SkipWatchFilter Skip = "does not carry the label value of --watch-filter"
	SkipRancher     Skip = "is owned by a Rancher provisioning Cluster"
)

// Outcome is the decision for one role.
type Outcome struct {
	Role   Role
	Reason Reason
	// Message says in one sentence what is so, Next what a person should do about it; Next is
	// empty if the role is ready.
	Message, Next string
	// Notes are further findings, reported beside the outcome.
	Notes []Note
	// Address is the role's VIP once it is known.
	Address string
	// Changes says that Patch contains changes for this role.
	Changes bool
	// Published says that Patch publishes the VIP from a claim for the first time.
	Published bool
	// ClaimName is the name of the role's claim, which need not exist.
	ClaimName string
	// Pool is the pool of the role's claim, or the one chosen for it.
	Pool PoolRef
	// Ensure asks for the role's claim to exist on Pool, with today's labels and owner.
	Ensure bool
	// Adopt asks for the role's claim, which has no owner, to become the Cluster's.
	Adopt bool
	// Pin is the address that the claim which Ensure makes is to get; invalid if any will do.
	// Its IPAddress is made first, and the provider then binds the claim to it.
	Pin netip.Addr
	// Lease asks for the Lease of Address to be ours before Patch is sent.
	Lease bool
	// Verify asks for proof that nobody else has an IPAddress of Address before Patch is sent:
	// the provider that found ours goes by what it had seen of others.
	Verify bool
	// Release names a claim to delete, with preconditions.
	Release *Claim
	// Waiting says that a pool event could end this outcome.
	Waiting bool
	// Want is the claim that the role needs; nil if it needs none.
	Want *Want
}

// Note is a finding beside a role's outcome.
type Note struct {
	Reason  Reason
	Message string
}

// PatchOp is one operation of a JSON Patch (RFC 6902).
type PatchOp struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	// Value means nothing for "remove". A "test" for null holds where the path is absent.
	Value any `json:"value"`
}

// refusedByClass tells whether a pool is passed over for the addresses that it has now.
func refusedByClass(candidates []Candidate) bool {
	return slices.ContainsFunc(candidates, func(c Candidate) bool { return c.Verdict == VariableRefused })
}

// Ready tells whether every role has what it needs.
func (d *Decision) Ready() bool {
	for _, outcome := range d.Roles {
		if !outcome.Reason.Ready() {
			return false
		}
	}
	return true
}
