package vip

// Reason is the outcome of planning one role. The set is closed: events,
// conditions, metrics, log lines and explanations all use these values.
type Reason string

// Outcomes in which the role needs nothing more: its condition is True.
const (
	// Allocated: the VIP comes from a claim and stands where it belongs.
	Allocated Reason = "Allocated"
	// Manual: a user or the infrastructure set the VIP; no claim is made.
	Manual Reason = "Manual"
	// Disabled: the role is switched off by annotation.
	Disabled Reason = "Disabled"
	// VariableNotBackfilled: the VIP stands, but the class variable of a running Cluster is left alone.
	VariableNotBackfilled Reason = "VariableNotBackfilled"
	// ClaimUnused: the Cluster uses another VIP than the one that its claim holds.
	ClaimUnused Reason = "ClaimUnused"
	// DuplicateAddress: the VIP stands, and somebody else uses it too.
	DuplicateAddress Reason = "DuplicateAddress"
	// VariableInUse: the role is disabled, but an enabled patch of the class needs its variable.
	VariableInUse Reason = "VariableInUse"
)

// Outcomes in which the role waits for something: its condition is False.
const (
	// ClassNotFound: the ClusterClass does not exist.
	ClassNotFound Reason = "ClassNotFound"
	// ClassNotReady: the ClusterClass has not reconciled its variables.
	ClassNotReady Reason = "ClassNotReady"
	// NoPool: no pool serves the class and role.
	NoPool Reason = "NoPool"
	// PoolFiltered: pools match, but the Cluster's own filter annotation excludes them.
	PoolFiltered Reason = "PoolFiltered"
	// PoolInvalid: the pool that would serve has a malformed label or annotation.
	PoolInvalid Reason = "PoolInvalid"
	// PoolNotAllowed: the pool that would serve excludes the Cluster's namespace.
	PoolNotAllowed Reason = "PoolNotAllowed"
	// PoolDeleting: the pool that would serve is being deleted.
	PoolDeleting Reason = "PoolDeleting"
	// PoolPaused: the pool that would serve is paused.
	PoolPaused Reason = "PoolPaused"
	// PoolExhausted: the pool that would serve has no free address.
	PoolExhausted Reason = "PoolExhausted"
	// PoolNotReady: the claim's provider says that it cannot serve from the pool.
	PoolNotReady Reason = "PoolNotReady"
	// ClaimPending: the claim exists and its provider has not bound it yet.
	ClaimPending Reason = "ClaimPending"
	// ClaimMoved: a pending claim was given up because its pool can no longer serve it.
	ClaimMoved Reason = "ClaimMoved"
	// ClaimForeign: somebody else's claim has the name that ours needs.
	ClaimForeign Reason = "ClaimForeign"
	// ClaimTerminating: a claim of our name is on its way out.
	ClaimTerminating Reason = "ClaimTerminating"
	// ClaimLost: a published VIP has no claim any more.
	ClaimLost Reason = "ClaimLost"
	// PoolNotAccepted: the claim is bound, but its pool does not serve this Cluster.
	PoolNotAccepted Reason = "PoolNotAccepted"
	// AddressInvalid: what the provider bound is not an address of this claim that can be used.
	AddressInvalid Reason = "AddressInvalid"
	// AddressInUse: the bound address is somebody else's already, so it is not published.
	AddressInUse Reason = "AddressInUse"
	// CopiedVIP: the manifest names the VIP of the Cluster that it was copied from.
	CopiedVIP Reason = "CopiedVIP"
	// VariableRefused: the class variable cannot take the address.
	VariableRefused Reason = "VariableRefused"
	// PatchRefused: the API server refuses our patch of the Cluster.
	PatchRefused Reason = "PatchRefused"
)

// PoolsOverlap is reported on pools: two of them could hand out one address.
const PoolsOverlap Reason = "PoolsOverlap"

// Booked and NotBooked are reported on Clusters, beside the roles: a VIP that somebody typed
// is kept in a pool that could hand it out, or could not be yet.
const (
	Booked    Reason = "Booked"
	NotBooked Reason = "NotBooked"
)

// ValuesDiffer is a note: the Cluster names another address in one of its places.
const ValuesDiffer Reason = "ValuesDiffer"

// ClassUngated is a note, and is reported on classes: infrastructure may be built
// before the VIP is known.
const ClassUngated Reason = "ClassUngated"

// ClassUnclear is reported on classes: it could not be found out whether infrastructure
// may be built before the VIP is known.
const ClassUnclear Reason = "ClassUnclear"

// ClusterHeld is a note: the Cluster is kept paused because of the outcome.
const ClusterHeld Reason = "ClusterHeld"

// PropagationBlocked is reported on Clusters, beside the roles: a Rancher or Fleet
// Cluster that belongs to the Cluster does not get its stamps, or does not keep them.
const PropagationBlocked Reason = "PropagationBlocked"

// NoTarget is never reported: no Rancher or Fleet Cluster belongs to the Cluster, or
// not yet.
const NoTarget Reason = "NoTarget"

// InvalidAnnotation is a note beside a role's outcome, never an outcome: an
// annotation of the Cluster has a value that means nothing.
const InvalidAnnotation Reason = "InvalidAnnotation"

// Ready tells whether the role's condition is True with this reason.
func (r Reason) Ready() bool {
	switch r {
	case Allocated, Manual, Disabled, VariableNotBackfilled, ClaimUnused, DuplicateAddress, VariableInUse:
		return true
	}
	return false
}

// followsDisabled tells whether a role that was switched off on a running Cluster may have the
// reason until it has a VIP again.
func (r Reason) followsDisabled() bool {
	switch r {
	case Disabled, NoPool, PoolFiltered, PoolInvalid, PoolNotAllowed, PoolDeleting, PoolPaused, PoolExhausted, PoolNotReady,
		ClaimPending, ClaimMoved, ClaimForeign, ClaimTerminating, PoolNotAccepted, AddressInvalid, AddressInUse:
		return true
	}
	return false
}

// Warning tells whether somebody should look: its event is a warning.
func (r Reason) Warning() bool {
	switch r {
	case Allocated, Manual, Disabled, ClaimMoved, ClassNotReady, NoTarget, Booked:
		return false
	}
	return true
}

// Transient tells whether the reason names a step that normally passes within
// seconds and is reported only if it lasts.
func (r Reason) Transient() bool {
	switch r {
	case ClaimPending, ClaimMoved, ClassNotReady:
		return true
	}
	return false
}

// Reasons lists every outcome.
func Reasons() []Reason {
	return []Reason{
		Allocated, Manual, Disabled, VariableNotBackfilled, ClaimUnused, DuplicateAddress, VariableInUse,
		ClassNotFound, ClassNotReady, NoPool, PoolFiltered, PoolInvalid, PoolNotAllowed, PoolDeleting, PoolPaused,
		PoolExhausted, PoolNotReady, ClaimPending, ClaimMoved, ClaimForeign, ClaimTerminating, ClaimLost, PoolNotAccepted,
		AddressInvalid, AddressInUse, CopiedVIP, VariableRefused, PatchRefused,
	}
}
