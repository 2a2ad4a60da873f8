package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// PoolList is what `pools` tells.
type PoolList struct {
	Pools []Pool `json:"pools"`
	// NotVisible lists what the user may not see, or what is not installed.
	NotVisible []Unseen `json:"notVisible,omitempty"`
}

// Pool is an IPAM pool that carries our keys.
type Pool struct {
	Kind      string `json:"kind"`
	Group     string `json:"group"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Classes are class, namespace/class, or *; Roles whom of them it serves.
	Classes []string `json:"classes"`
	Roles   []string `json:"roles"`
	// Namespaces are those whose Clusters it serves; nil means all.
	Namespaces []string `json:"namespaces,omitempty"`
	Priority   int      `json:"priority"`
	// Capacity is nil if the provider tells none.
	Capacity *Capacity `json:"capacity,omitempty"`
	// Waiting is the number of VIPs that would come from this pool if it could serve;
	// nil if too little was visible to tell.
	Waiting *int `json:"waiting,omitempty"`
	// InGrace is how many addresses were released and rest until they are handed out again.
	InGrace  int      `json:"inGrace,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Notes are what is worth to know and needs nothing done.
	Notes []string `json:"notes,omitempty"`
	// Addresses are who holds what, in the order of the addresses; only if asked for.
	Addresses []Holding `json:"addresses,omitempty"`
}

// Capacity are the provider's own numbers. Used counts addresses out of the pool's
// ranges, too.
type Capacity struct {
	Total int64 `json:"total"`
	Used  int64 `json:"used"`
	Free  int64 `json:"free"`
}

// Holding is a claim on a pool.
type Holding struct {
	// Address is empty while the claim is not bound.
	Address   string `json:"address,omitempty"`
	Namespace string `json:"namespace"`
	Claim     string `json:"claim"`
	// Cluster and Role are whom a claim of ours serves; empty for somebody else's.
	Cluster string `json:"cluster,omitempty"`
	Role    string `json:"role,omitempty"`
	// ReleasedBy is the namespace/name of the deleted Cluster whose claim it was.
	ReleasedBy string `json:"releasedBy,omitempty"`
	// Since is when the address was bound or, before that, when the claim was made.
	Since metav1.Time `json:"since"`
	// FreeAt is when the provider gives back an address that was released.
	FreeAt *metav1.Time `json:"freeAt,omitempty"`
	// Note says what is unusual about it.
	Note string `json:"note,omitempty"`
}

// wanted says which pools to tell of.
type wanted struct {
	namespace string // of namespaced pools; empty means all
	name      string // empty means all; may be namespace/name
	addresses bool
}

func (w *wanted) takes(pool *kube.Pool) bool {
	if w.namespace != "" && pool.Ref.Namespace != "" && pool.Ref.Namespace != w.namespace {
		return false
	}
	namespace, name, qualified := strings.Cut(w.name, "/")
	if !qualified {
		return w.name == "" || w.name == pool.Ref.Name
	}
	return pool.Ref.Namespace == namespace && pool.Ref.Name == name
}

// poolList tells of the pools that carry our keys.
func (r *reading) poolList(ctx context.Context, w wanted, fallback string, c *config.Config) (*PoolList, error) {
	seen, err := r.look(ctx, fallback, c)
	if err != nil {
		return nil, err
	}
	reader, err := seen.reader()
	if err != nil {
		return nil, err
	}
	crowd, err := seen.crowd(reader)
	if err != nil {
		return nil, err
	}
	result := &PoolList{Pools: []Pool{}, NotVisible: r.unseen}
	for _, pool := range seen.Pools.List() {
		if w.takes(pool) {
			result.Pools = append(result.Pools, seen.pool(pool, crowd, w.addresses))
		}
	}
	if len(result.Pools) == 0 && w.name != "" && !r.misses(anyPool) {
		return nil, fmt.Errorf("no pool %s carries %s or %s", w.name, vip.PoolClassKey, vip.PoolRoleKey)
	}
	slices.SortFunc(result.Pools, func(a, b Pool) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	return result, nil
}

func (l *look) pool(pool *kube.Pool, crowd *crowd, addresses bool) Pool {
	p := Pool{
		Kind: pool.Ref.Kind, Group: pool.Ref.Group, Namespace: pool.Ref.Namespace, Name: pool.Ref.Name,
		Classes: []string{}, Roles: []string{}, Namespaces: pool.Serves.Namespaces, Priority: pool.Serves.Priority,
		Warnings: l.warnings(pool, crowd),
	}
	for _, class := range pool.Serves.Classes {
		p.Classes = append(p.Classes, strings.TrimPrefix(class.Namespace+"/"+class.Name, "/"))
	}
	for _, role := range pool.Serves.Roles {
		p.Roles = append(p.Roles, string(role))
	}
	if pool.Known {
		p.Capacity = &Capacity{Total: pool.Total, Used: pool.Used, Free: pool.Free}
	}
	if crowd != nil {
		p.Waiting = new(crowd.waiting[pool.Ref])
	}
	holdings := l.holdings(pool)
	if words, count := resting(holdings); count > 0 {
		p.InGrace = count
		p.Notes = append(p.Notes, words)
	}
	if addresses {
		p.Addresses = holdings
	}
	return p
}

// crowd is who waits for pools.
type crowd struct {
	waiting map[vip.PoolRef]int
	// outside holds the namespaces of Clusters that wait and may not draw from a pool.
	outside map[vip.PoolRef][]string
}

// crowd plans for every Cluster; nil if too little is visible for that.
func (l *look) crowd(reader *snapshot.Reader) (*crowd, error) {
	if l.blind() {
		return nil, nil
	}
	result := newCrowd()
	for _, cluster := range l.Clusters {
		snapshot, decision, err := reader.Decide(cluster)
		if err != nil {
			return nil, fmt.Errorf("observe: %w", err)
		}
		result.count(snapshot, &decision)
	}
	return result, nil
}

func newCrowd() *crowd {
	return &crowd{waiting: map[vip.PoolRef]int{}, outside: map[vip.PoolRef][]string{}}
}

// count adds what one Cluster waits for.
func (c *crowd) count(s *vip.Snapshot, decision *vip.Decision) {
	for role, outcome := range decision.Roles {
		switch {
		case outcome.Reason == vip.ClaimPending:
			c.waiting[outcome.Pool]++
		case outcome.Waiting && !outcome.Reason.Ready():
			c.add(s, role)
		}
	}
}

func (c *crowd) add(s *vip.Snapshot, role vip.Role) {
	for _, candidate := range vip.Candidates(s, role) {
		ref := candidate.Pool.Ref
		switch candidate.Verdict {
		case vip.PoolNotAllowed:
			if !slices.Contains(c.outside[ref], s.Cluster.Namespace) {
				c.outside[ref] = append(c.outside[ref], s.Cluster.Namespace)
			}
		case vip.PoolFiltered:
		default:
			c.waiting[ref]++
		}
	}
}

// warnings say what is wrong with the pool or unwise about it.
func (l *look) warnings(pool *kube.Pool, crowd *crowd) []string {
	var words []string
	if err := pool.Serves.Err; err != nil {
		words = append(words, "serves nobody: "+vip.Short(err.Error()))
	}
	if err := pool.StatusErr; err != nil {
		words = append(words, vip.Short(err.Error()))
	}
	view := pool.View()
	if view.Deleting {
		words = append(words, "is being deleted")
	}
	if view.Paused {
		words = append(words, "is paused (annotation "+vip.PausedAnnotation+"): its provider neither binds nor releases")
	}
	if pool.Known && pool.Usable <= 0 {
		words = append(words, "has no free address")
	}
	if pool.Serves.Namespaces != nil && len(pool.Serves.Namespaces) == 0 {
		words = append(words, "annotation "+vip.PoolNamespacesKey+" is empty: no Cluster may draw from it")
	} else if crowd != nil && len(crowd.outside[pool.Ref]) > 0 {
		slices.Sort(crowd.outside[pool.Ref])
		words = append(words, "annotation "+vip.PoolNamespacesKey+" leaves out Clusters that wait in "+strings.Join(crowd.outside[pool.Ref], ", "))
	}
	words = append(words, l.overlaps(pool)...)
	words = append(words, l.ungated(pool)...)
	if pool.CanPin() && pool.Grace == 0 {
		words = append(words, "no spec.addressReuseGracePeriodSeconds: a released VIP may be given to others at once")
	}
	return words
}

// ungated names the classes which the pool serves that do not wait for the VIP of the control plane.
func (l *look) ungated(pool *kube.Pool) []string {
	if l.gates == nil || l.Settings.HoldGate || l.Settings.HookGate {
		return nil
	}
	var words []string
	for _, class := range l.Classes {
		key := vip.ClassKey{Namespace: class.Namespace, Name: class.Name}
		if !pool.Serves.HasRole(vip.ControlPlane) || !pool.Serves.Class(key) || pool.Serves.Err != nil {
			continue
		}
		if found, inspected := l.gates(class)[vip.ControlPlane]; inspected && found.State == gate.Ungated {
			words = append(words, fmt.Sprintf("ClusterClass %s, which it serves, may build infrastructure without the VIP; kubectl vip doctor says why", key))
		}
	}
	return words
}

// overlaps names the pools that hand out addresses of this one, of VIPs and of machines.
func (l *look) overlaps(pool *kube.Pool) (words []string) {
	var others []string
	for _, other := range l.Pools.List() {
		if other.Ref != pool.Ref && pool.SurelyOverlaps(other) {
			others = append(others, other.Ref.String())
		}
	}
	const most = 3
	if slices.Sort(others); len(others) > most {
		others = append(others[:most], fmt.Sprintf("%d more", len(others)-most))
	}
	if len(others) > 0 {
		words = append(words, "its addresses overlap with those of "+strings.Join(others, ", "))
	}
	for _, other := range l.Pools.Others() {
		if pool.SurelyOverlaps(other) {
			words = append(words, fmt.Sprintf("its addresses overlap with those of %s, which carries no key of the allocator: it could hand a VIP to a machine; exclude them there by spec.excludedAddresses", other.Ref))
			break
		}
	}
	return words
}
