package vip

import (
	"cmp"
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
	// Free is the number of addresses a new claim can count on: what the
	// provider reports less our own unbound claims. It means nothing unless
	// FreeKnown: many providers report no capacity.
	Free      int64
	FreeKnown bool
	// Empty says that the provider itself reports no free address.
	Empty bool
	// Refused names the roles of this Cluster for which the pool's provider had no
	// address a moment ago. It is the only word of providers that report no capacity.
	Refused []Role
	// Grace is how long the provider keeps an address after its claim was deleted.
	Grace time.Duration
}

func (p *Pool) exhausted(promised int64) bool { return p.FreeKnown && p.Free <= promised }

// unable says why the pool can serve nobody now; empty if it can. So many of its
// addresses are spoken for.
func (p *Pool) unable(promised int64) (Reason, string) {
	switch {
	case p.Deleting:
		return PoolDeleting, "it is being deleted"
	case p.Paused:
		return PoolPaused, "it carries the annotation " + PausedAnnotation
	case p.exhausted(promised):
		return PoolExhausted, "it has no free address; extend it or add a pool"
	}
	return "", ""
}

// Available tells whether the pool could serve a new claim of some Cluster.
func (p *Pool) Available() bool {
	verdict, _ := p.unable(0)
	nobody := p.Ref.Namespace == "" && p.Serves.Namespaces != nil && len(p.Serves.Namespaces) == 0
	return p.Serves.Err == nil && verdict == "" && !nobody
}

// rank orders pools from the one to try first; it is a strict order, so that
// every replica and every restart choose alike.
func rank(a, b *Pool) int {
	return cmp.Or(
		-cmp.Compare(a.Serves.Priority, b.Serves.Priority),
		-compareBool(a.Ref.Namespace != "", b.Ref.Namespace != ""),
		-compareBool(a.FreeKnown && a.Free > 0, b.FreeKnown && b.Free > 0),
		strings.Compare(a.Ref.Name, b.Ref.Name),
		strings.Compare(a.Ref.Namespace, b.Ref.Namespace),
		strings.Compare(a.Ref.Kind, b.Ref.Kind),
		strings.Compare(a.Ref.Group, b.Ref.Group),
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
