package vip

import (
	"cmp"
	"net/netip"
	"strings"
	"time"
)

// PoolRef names an IPAM pool. Namespace is empty for a cluster-scoped pool.
type PoolRef struct {
	Group, Kind, Namespace, Name string
}

// String returns "Kind name" or "Kind namespace/name".
func (p PoolRef) String() string {
	if p.Namespace == "" {
		return p.Kind + " " + p.Name
	}
	return p.Kind + " " + p.Namespace + "/" + p.Name
}

// Pool is what the planner knows of an IPAM pool that carries our keys.
type Pool struct {
	Ref      PoolRef
	Serves   Serves
	Deleting bool
	Paused   bool
	// Grace is how long the provider keeps an address after its claim was deleted.
	Grace time.Duration
	// Lowest is the lowest address that the pool hands out, and Holds tells whether one is
	// among those; zero and nil if its ranges cannot be read.
	Lowest netip.Addr
	Holds  func(netip.Addr) bool
}

// unable says why the pool can serve nobody now, whatever room it has; empty if it can.
func (p *Pool) unable() (Reason, string) {
	switch {
	case p.Deleting:
		return PoolDeleting, "it is being deleted"
	case p.Paused:
		return PoolPaused, "it carries the annotation " + PausedAnnotation
	}
	return "", ""
}

// Available tells whether the pool could serve a new claim of some Cluster if it has room.
func (p *Pool) Available() bool {
	verdict, _ := p.unable()
	nobody := p.Ref.Namespace == "" && p.Serves.Namespaces != nil && len(p.Serves.Namespaces) == 0
	return p.Serves.Err == nil && verdict == "" && !nobody
}

// CompareRank is negative if the first pool is tried before the second whatever room they
// have, and 0 if their room decides.
func CompareRank(a, b Candidate) int {
	return cmp.Or(
		-cmp.Compare(a.Pool.Serves.Priority, b.Pool.Serves.Priority),
		-compareBool(a.Pool.Ref.Namespace != "", b.Pool.Ref.Namespace != ""),
		-cmp.Compare(a.Match, b.Match),
	)
}

// rank orders pools from the one to try first; it is a strict order, so that
// every replica and every restart choose alike.
func rank(a, b Candidate) int {
	first, second := a.Pool.Ref, b.Pool.Ref
	return cmp.Or(
		CompareRank(a, b),
		strings.Compare(first.Name, second.Name),
		strings.Compare(first.Namespace, second.Namespace),
		strings.Compare(first.Kind, second.Kind),
		strings.Compare(first.Group, second.Group),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
