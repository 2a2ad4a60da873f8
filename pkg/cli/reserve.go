package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// reserver reserves one VIP.
type reserver struct {
	*wish
	*reading
	config       *config.Config
	reservations *kube.Reservations
	// say tells a person.
	say func(format string, values ...any)
	// made says that the claim is of this call.
	made bool
}

// named is what there is under the Cluster's name.
type named struct {
	*look
	reader   *snapshot.Reader
	snapshot *vip.Snapshot
	cluster  *clusterv1.Cluster     // nil if there is none
	claim    *ipamv1.IPAddressClaim // of the role; nil if there is none
}

// run returns the address.
func (r *reserver) run(ctx context.Context) (string, error) {
	patient, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	claim, err := r.claimed(patient)
	late := func() bool { return errors.Is(patient.Err(), context.DeadlineExceeded) }
	if err != nil {
		if late() {
			err = fmt.Errorf("not done after %s: %w", r.timeout, err)
		}
		return "", err
	}
	if err := r.await(patient, claim); err != nil {
		if late() {
			err = errLate
		}
		if err := r.withdraw(ctx, claim, err); err != nil {
			return "", err
		}
	}
	now, err := r.observe(ctx)
	if err != nil {
		return "", err
	}
	seen := now.snapshot.Claims[r.role]
	if now.claim == nil || now.claim.UID != claim.UID || seen.Address == nil {
		return "", fmt.Errorf("%s and its IPAddress were there a moment ago and are not any more", r.title())
	}
	if reason, why := now.snapshot.Unusable(r.role); reason != "" {
		return "", r.refuse(ctx, now.claim, reason, why)
	}
	r.report(now)
	return seen.Address.Text, nil
}

// title names the claim.
func (r *reserver) title() string { return "claim " + r.namespace + "/" + r.role.ClaimName(r.name) }

// report says what the address is, and until when it is kept.
func (r *reserver) report(now *named) {
	pool := now.snapshot.Claims[r.role].Pool
	until, reserved, err := kube.ReservedUntil(now.claim)
	switch {
	case !reserved:
		r.say("%s of Cluster %s/%s is bound to an address of %s", r.title(), r.namespace, r.name, pool)
	case err == nil:
		r.say("%s keeps an address of %s for Cluster %s/%s until %s", r.title(), pool, r.namespace, r.name, kube.FormatReservedUntil(until))
	}
}

// observe lists everything. Whoever does not see all of it cannot tell whether the address
// is somebody's.
func (r *reserver) observe(ctx context.Context) (*named, error) {
	fresh := *r.reading
	fresh.unseen = nil
	seen, err := fresh.look(ctx, r.namespace, r.config)
	if err != nil {
		return nil, err
	}
	if seen.blind() {
		return nil, fmt.Errorf("reserving needs to see everything that may have an address, and not visible are: %s", seen.hidden())
	}
	n := &named{look: seen}
	if n.reader, err = seen.reader(); err != nil {
		return nil, err
	}
	for _, cluster := range seen.Clusters {
		if cluster.Namespace == r.namespace && cluster.Name == r.name {
			n.cluster = cluster
		}
	}
	n.claim = seen.claimOf(r.namespace, r.role.ClaimName(r.name))
	n.snapshot, err = n.reader.Named(r.view(n.cluster))
	return n, err
}

// view is the Cluster, or what is known of it before it exists.
func (r *reserver) view(cluster *clusterv1.Cluster) vip.Cluster {
	view := vip.Cluster{Namespace: r.namespace, Name: r.name}
	if cluster != nil {
		view = kube.Cluster(cluster)
	}
	if !view.HasTopology {
		view.Class = r.classKey()
	}
	if view.Labels[vip.WatchFilterLabel] == "" && r.config.WatchFilter != "" {
		// Its provider may go by the same label.
		view.Labels = map[string]string{vip.WatchFilterLabel: r.config.WatchFilter}
	}
	return view
}

// hidden names the kinds without which nothing can be told for certain.
func (l *look) hidden() string {
	var kinds []string
	for _, u := range l.unseen {
		if u.Why == forbidden && (u.pool || slices.Contains([]string{clusters.kind, classes.kind, claims.kind, addresses.kind}, u.Kind)) {
			kinds = append(kinds, strings.TrimSpace(u.Kind+" "+u.Scope)+" ("+u.Why+")")
		}
	}
	return strings.Join(kinds, ", ")
}

// claimed returns the claim that is there by right, or makes one.
func (r *reserver) claimed(ctx context.Context) (*ipamv1.IPAddressClaim, error) {
	const tries = 5 // others may write the same claim
	failed := fmt.Errorf("%s comes and goes", r.title())
	for range tries {
		now, err := r.observe(ctx)
		if err != nil {
			return nil, err
		}
		if now.claim != nil && !now.claim.DeletionTimestamp.IsZero() {
			r.say("%s is being released; waiting until it is gone", r.title())
			if err := r.gone(ctx, now.claim); err != nil {
				return nil, err
			}
			continue
		}
		if err := r.blocked(now); err != nil {
			return nil, err
		}
		if now.claim != nil {
			if failed = r.reservations.Prolong(ctx, now.claim, time.Now().Add(r.keep)); apierrors.IsInvalid(failed) || apierrors.IsNotFound(failed) {
				continue
			}
			return now.claim, failed
		}
		pool, err := r.choose(now)
		if err != nil {
			return nil, err
		}
		claim, err := r.reservations.Create(ctx, kube.ReservedClaim(&now.snapshot.Cluster, r.role, pool, time.Now().Add(r.keep)))
		if failed = err; !apierrors.IsAlreadyExists(err) {
			r.made = err == nil
			return claim, err
		}
	}
	return nil, failed
}

// blocked says why nothing can be reserved under the name.
func (r *reserver) blocked(now *named) error {
	cluster, s := now.cluster, now.snapshot
	title := fmt.Sprintf("Cluster %s/%s", r.namespace, r.name)
	if r.class != "" && s.Cluster.HasTopology && s.Cluster.Class != r.classKey() {
		return fmt.Errorf("%s exists and is of class %s, not %s", title, s.Cluster.Class, r.classKey())
	}
	var address string
	if now.claim != nil {
		owned := cluster != nil && kube.OwnedBy(now.claim.OwnerReferences, string(cluster.UID))
		if err := r.foreign(now, owned); err != nil {
			return err
		}
		if seen := s.Claims[r.role]; seen.Address != nil {
			address = seen.Address.Text
		}
	}
	carried := s.VIP(r.role)
	key, isAddress := vip.Key(carried)
	if own, ok := vip.Key(address); carried != "" && (!isAddress || !ok || key != own) {
		return fmt.Errorf("%s exists, and its %s VIP is %s", title, r.role, vip.Short(carried))
	}
	return nil
}

// foreign says why the claim is not one to go on with.
func (r *reserver) foreign(now *named, owned bool) error {
	claim, seen := now.claim, now.snapshot.Claims[r.role]
	free := fmt.Sprintf("if it may go: kubectl delete ipaddressclaim %s -n %s", claim.Name, claim.Namespace)
	_, reserved, err := kube.ReservedUntil(claim)
	switch {
	case err != nil:
		return err
	case seen.Role != "" && seen.Role != r.role:
		return fmt.Errorf("%s is in the way: its label %s is %s; %s", r.title(), vip.PoolRoleKey, seen.Role, free)
	case !owned && len(claim.OwnerReferences) > 0:
		owner := claim.OwnerReferences[0]
		return fmt.Errorf("%s is somebody else's: its owner is %s %s; %s", r.title(), owner.Kind, owner.Name, free)
	case !owned && !reserved:
		return fmt.Errorf("%s is somebody else's: it has neither an owner nor annotation %s; %s", r.title(), vip.ReservedUntilAnnotation, free)
	case r.pool != "" && !r.asksFor(seen.Pool):
		return fmt.Errorf("%s is on %s, not on the pool %s; %s", r.title(), seen.Pool, r.pool, free)
	}
	return nil
}

// asksFor tells whether --pool names the pool.
func (r *reserver) asksFor(pool vip.PoolRef) bool {
	return r.pool == strings.TrimPrefix(pool.Namespace+"/"+pool.Name, "/")
}

// choose finds the pool that the address is to come from.
func (r *reserver) choose(now *named) (vip.PoolRef, error) {
	s := now.snapshot
	if r.pool != "" {
		pool, err := r.find(now)
		if err != nil {
			return vip.PoolRef{}, err
		}
		return pool.Ref, r.unable(now, pool)
	}
	candidates := now.reader.Candidates(s, r.role)
	if !s.Class.Exists && !slices.ContainsFunc(candidates, func(c vip.Candidate) bool { return c.Match > vip.ByEveryName }) {
		return vip.PoolRef{}, fmt.Errorf("ClusterClass %s does not exist, and no pool for role %s names it", s.Cluster.Class, r.role)
	}
	for _, candidate := range candidates {
		if candidate.Verdict == "" {
			return candidate.Pool.Ref, nil
		}
	}
	reason, why := vip.WhyNone(s, r.role, candidates)
	return vip.PoolRef{}, fmt.Errorf("%s: %s", reason, why)
}

// unable says why the pool cannot serve the Cluster now.
func (r *reserver) unable(now *named, pool *kube.Pool) error {
	if asked := now.reader.Asked(now.snapshot, r.role, pool); asked.Verdict != "" {
		return fmt.Errorf("%s: %s cannot serve: %s", asked.Verdict, pool.Ref, asked.Detail)
	}
	return nil
}

// find finds the pool that --pool names, among all kinds.
func (r *reserver) find(now *named) (*kube.Pool, error) {
	var found []*kube.Pool
	namespace, name, qualified := strings.Cut(r.pool, "/")
	if !qualified {
		namespace, name = "", r.pool
	}
	for kind, namespaced := range now.Pools.Scope() {
		ref := vip.PoolRef{Group: kind.Group, Kind: kind.Kind, Namespace: namespace, Name: name}
		if pool := now.Pools.Get(ref); pool != nil && namespaced == qualified {
			found = append(found, pool)
		}
	}
	if ours := slices.DeleteFunc(slices.Clone(found), func(p *kube.Pool) bool { return !p.Ours }); len(ours) > 0 {
		found = ours
	}
	slices.SortFunc(found, func(a, b *kube.Pool) int {
		return cmp.Or(strings.Compare(a.Ref.Kind, b.Ref.Kind), strings.Compare(a.Ref.Group, b.Ref.Group))
	})
	switch {
	case len(found) == 0:
		return nil, r.missing(now)
	case len(found) > 1:
		return nil, fmt.Errorf("--pool %s means both %s and %s of %s; rename one", r.pool, found[0].Ref, found[1].Ref, found[1].Ref.Group)
	case !found[0].Ours:
		return nil, fmt.Errorf("%s: %s is no pool of VIPs: it carries neither %s nor %s", vip.NoPool, found[0].Ref, vip.PoolClassKey, vip.PoolRoleKey)
	}
	return found[0], nil
}

// missing says that there is no such pool, and which one may be meant.
func (r *reserver) missing(now *named) error {
	message := fmt.Sprintf("%s: there is no pool %s", vip.NoPool, r.pool)
	var near []string
	for _, pool := range now.Pools.List() {
		reach := pool.Ref.Namespace == "" || pool.Ref.Namespace == r.namespace
		if name := strings.TrimPrefix(pool.Ref.Namespace+"/"+pool.Ref.Name, "/"); reach && pool.Serves.HasRole(r.role) {
			near = append(near, name)
		}
	}
	slices.Sort(near)
	const most = 5
	for _, u := range now.unseen {
		if u.pool && u.Why == notInstalled {
			message += "; not installed: " + u.Kind
		}
	}
	if len(near) > 0 {
		message += "; pools for role " + string(r.role) + " are " + strings.Join(near[:min(len(near), most)], ", ")
	}
	return errors.New(message)
}
