// Package ui is the page of `kubectl vip ui`: pools as pictures, who waits and why, gates of
// classes. It shows plain values and knows no API; whoever has a new View publishes it.
//
//	view.go    what is shown
//	state.go   what an address may be used for
//	grid.go    addresses of a pool in rows
//	pages.go   which page shows what of it
//	server.go  HTTP, and telling the pages that something changed
//	guard.go   who may ask, and what browsers are told
package ui

import (
	"cmp"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// View is what all pages show but that of one Cluster, at one moment. It is not changed
// once it was published.
type View struct {
	// Place names the management cluster, Scope whose objects of it are shown.
	Place, Scope string
	// Controller is the running controller.
	Controller Fact
	Pools      []Pool
	// Clusters are those that wait, the oldest first, and then the others.
	Clusters []Cluster
	Classes  []Class
	// NotVisible says what the user may not see, and what is unknown for want of it.
	NotVisible []string
	// Trouble says why this may not be how things are now; empty if all is well.
	Trouble string
}

// Tone says how something is meant.
type Tone string

// Tones; the zero value is neutral.
const (
	Good  Tone = "good"
	Warn  Tone = "warn"
	Bad   Tone = "bad"
	Faint Tone = "faint"
)

// Fact is a line of words with a name.
type Fact struct {
	Name, Text string
	Tone       Tone
}

// Name is the namespace and name of an object; the namespace may be empty.
type Name struct{ Namespace, Name string }

// String is namespace/name, or the name alone.
func (n Name) String() string { return strings.TrimPrefix(n.Namespace+"/"+n.Name, "/") }

// PoolID tells pools of all kinds apart.
type PoolID struct {
	Kind, Group string
	Name
}

// Path is where the pool's own page is.
func (p PoolID) Path() string {
	return "/pool/" + url.PathEscape(p.Kind) + "/" + url.PathEscape(p.Group) + "/" + url.PathEscape(cmp.Or(p.Namespace, noNamespace)) + "/" + url.PathEscape(p.Name.Name)
}

// noNamespace stands in a path for none; it is no legal name of one.
const noNamespace = "-"

// Pool is an IPAM pool.
type Pool struct {
	PoolID
	Classes, Roles []string
	// Namespaces are those whose Clusters it serves; nil means all.
	Namespaces []string
	Priority   int
	// Capacity is nil if the provider tells none.
	Capacity *Capacity
	// Waiting is the number of VIPs that would come from this pool if it could serve; nil
	// if that cannot be told.
	Waiting  *int
	Warnings []string
	// Declared are the addresses that the pool names, HandedOut those of them that it may
	// give to somebody. Both are sorted, and empty if they cannot be read.
	Declared, HandedOut []Range
	// Addresses are those that are not simply free, sorted and valid; Pending claims that have
	// none.
	Addresses []Address
	Pending   []Address
}

// Waits is Waiting, or 0.
func (p *Pool) Waits() int {
	if p.Waiting == nil {
		return 0
	}
	return *p.Waiting
}

// Capacity are the provider's own numbers, which end where an int64 does.
type Capacity struct{ Total, Used, Free int64 }

// Countless tells whether there are more than anybody will count.
func (c *Capacity) Countless() bool {
	const most = 1e12
	return c.Total > most
}

// Size is how many addresses can be handed out, in words.
func (p *Pool) Size() string {
	if len(p.HandedOut) == 0 && p.Capacity != nil {
		return number(big.NewInt(p.Capacity.Total))
	}
	return number(count(p.HandedOut))
}

// Range is a range of addresses of one family, first and last included.
type Range struct{ From, To netip.Addr }

// Address is an address of a pool and what it is used for.
type Address struct {
	Key   netip.Addr
	State State
	// Cluster is whose address it is; empty if that is nobody's of ours. Exists says that
	// there is a Cluster of that name to look at.
	Cluster Name
	Exists  bool
	Role    string
	// Claim is the namespace/name of the claim.
	Claim string
	Since time.Time
	// Condition is what is said of the Cluster's role, Note what is unusual.
	Condition, Note string
}

// Cluster is a line about a Cluster.
type Cluster struct {
	Name
	Class string
	// Skipped says why the allocator does not handle it; empty if it does.
	Skipped string
	Created time.Time
	Roles   []Role
}

// Waits tells whether a VIP of the Cluster is missing.
func (c *Cluster) Waits() bool {
	for i := range c.Roles {
		if c.Roles[i].Waits() {
			return true
		}
	}
	return false
}

// Path is where the Cluster's own page is.
func (n Name) Path() string {
	return "/cluster/" + url.PathEscape(n.Namespace) + "/" + url.PathEscape(n.Name)
}

// Role is what is so for one role of a Cluster.
type Role struct {
	Role string
	// Applies says that the Cluster is to have this VIP, Ready that nothing is missing.
	Applies, Ready bool
	VIP            string
	// Reason, Message and Next are the words of the condition and of `explain`.
	Reason, Message, Next string
	// Since is since when the condition has said so; zero if it does not.
	Since time.Time
}

// Waits tells whether the VIP is missing.
func (r *Role) Waits() bool { return r.Applies && !r.Ready }

// Tone says how it stands: a role that needs nothing and has no VIP is switched off.
func (r *Role) Tone() Tone {
	switch {
	case !r.Applies || (r.Ready && r.VIP == ""):
		return Faint
	case r.Ready:
		return Good
	}
	return Bad
}

// Detail is all that is known of one Cluster.
type Detail struct {
	Cluster
	Facts []Fact
	Ways  []Way
}

// Way is how a VIP comes to the Cluster.
type Way struct {
	Role
	// Title says in a few words how it stands.
	Title Fact
	Steps []Step
	Notes []string
	Facts []Fact
	// Pools are those that were considered, in the order in which they are tried.
	Pools []Candidate
}

// Step is one step of the way.
type Step struct {
	Name, Text string
	State      StepState
}

// StepState says how far a step is.
type StepState string

// States of a step.
const (
	Done     StepState = "done"
	Missing  StepState = "missing" // all else waits for it
	Ahead    StepState = "ahead"
	Needless StepState = "needless"
)

// Words tells people the state.
func (s StepState) Words() string {
	return map[StepState]string{Done: "done", Missing: "missing", Ahead: "not yet", Needless: "not needed"}[s]
}

// Candidate is a pool that was considered.
type Candidate struct {
	Pool, Path string
	Room       string
	Verdict    Fact
}

// Class is a ClusterClass.
type Class struct {
	Name
	// State is empty for one that is ready.
	State    string
	Clusters int
	Gates    []Gate
}

// Gate is what the class does for one role as long as there is no VIP.
type Gate struct {
	Role, Variable string
	Fact
}
