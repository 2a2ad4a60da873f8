package controllers

import (
	"errors"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// claimsAtOnce is how many claims are made at once. More are not made sooner on an API
// server that is busy with them, and keep their provider from taking up the first ones.
const claimsAtOnce = 16

// makeClaims makes the claims of all roles side by side, and brings those up to date
// that still wait for an address: their provider may go by what is missing. What the
// roles share, such as the decision's conditions, is touched only when all are done.
func (h *handler) makeClaims(p *pass) []error {
	return h.ensureClaims(p, func(claim *vip.Claim) bool { return !isBound(claim) })
}

// updateClaims brings bound claims up to date, such as those of a Cluster that was held.
// Nobody waits for that, and each costs its provider a pass: VIPs go first, this
// Cluster's and those of a burst.
func (h *handler) updateClaims(p *pass) []error {
	for role, outcome := range p.decision.Roles {
		if !outcome.Ensure || !isBound(p.snapshot.Claims[role]) {
			continue
		}
		if wait := h.untilCalm(p, h.expectations.since(p.key, role)); wait > 0 {
			h.wakeIn(p.cluster.Namespace, p.cluster.Name, wait)
			return nil
		}
	}
	return h.ensureClaims(p, isBound)
}

func isBound(claim *vip.Claim) bool { return claim != nil && claim.Bound }

func (h *handler) ensureClaims(p *pass, which func(*vip.Claim) bool) []error {
	roles := vip.Roles()
	errs := make([]error, len(roles))
	var all sync.WaitGroup
	for i, role := range roles {
		if outcome := p.decision.Roles[role]; outcome != nil && outcome.Ensure && which(p.snapshot.Claims[role]) {
			all.Go(func() {
				defer h.metrics.Recovered("Cluster "+p.key, &errs[i])
				errs[i] = h.ensureClaim(p, role, outcome)
			})
		}
	}
	all.Wait()
	return errs
}

// ensureClaim makes the role's claim, or brings an existing one up to date.
func (h *handler) ensureClaim(p *pass, role vip.Role, outcome *vip.Outcome) error {
	name := p.cluster.Namespace + "/" + outcome.ClaimName
	if !h.making.take(p.key) {
		return nil // it keeps its place, and is woken when it is its turn
	}
	defer func() { h.wakeAll(h.making.give()) }()
	var live *ipamv1.IPAddressClaim
	if p.snapshot.Claims[role] != nil {
		var err error
		if live, err = h.observer.Claims.Get(p.cluster.Namespace, outcome.ClaimName); err != nil {
			return fmt.Errorf("get claim %s: %w", name, err)
		}
	} else if err := h.takeBack(p, outcome); err != nil {
		return err
	}
	h.log(p.key, outcome).Debug("Applying claim")
	err := h.claims.Ensure(h.ctx, &p.snapshot.Cluster, role, kube.DesiredClaim(live, &p.snapshot.Cluster, role, outcome.Pool))
	if err != nil {
		h.metrics.Failed(role, p.snapshot.Cluster.Class.Name, metrics.ClaimCreationFailed)
	} else if live == nil {
		h.allocator.Made(name)
	}
	return err
}

// takeBack makes the IPAddress that a lost claim had, if it is to have the same again.
func (h *handler) takeBack(p *pass, outcome *vip.Outcome) error {
	pool := h.observer.Pools.Get(outcome.Pool)
	if !outcome.TakeBack || pool == nil {
		return nil
	}
	if err := h.claims.TakeBack(h.ctx, &p.snapshot.Cluster, outcome.Role, pool, outcome.Address); err != nil {
		h.metrics.Failed(outcome.Role, p.snapshot.Cluster.Class.Name, metrics.ClaimCreationFailed)
		return err
	}
	h.log(p.key, outcome).Info("Taking back a VIP whose claim was lost")
	return nil
}

// acquireLeases makes sure, before anything is published, that no other Cluster
// can publish the same address. A role that loses is planned anew; one whose
// Lease cannot be made now is left out of the patch, and the other role goes on.
func (h *handler) acquireLeases(p *pass) error {
	var errs []error
	for role, outcome := range p.decision.Roles {
		key, ok := vip.Key(outcome.Address)
		if !outcome.Lease || !ok {
			continue
		}
		other, err := h.leases.Acquire(h.ctx, key, kube.LeaseHolder{ClusterUID: p.snapshot.Cluster.UID, Role: role, Cluster: p.key})
		switch {
		case err != nil:
			errs = append(errs, err)
			h.leaveOut(p, outcome, err)
		case other != nil:
			p.snapshot.Holders[key] = append(p.snapshot.Holders[key], vip.Holder{Kind: "Cluster", Name: other.Cluster, Where: "Lease " + kube.LeaseName(key)})
			p.decision = vip.Plan(p.snapshot)
		}
	}
	return errors.Join(errs...)
}

// leaveOut takes the role's changes out of the patch and says why.
func (h *handler) leaveOut(p *pass, left *vip.Outcome, cause error) {
	var others []vip.Role
	for other, outcome := range p.decision.Roles {
		if other != left.Role && !outcome.Lease {
			others = append(others, other)
		}
	}
	p.decision = vip.PlanRoles(p.snapshot, others...)
	p.decision.Conditions = h.conditionsAfter(p)
	left.Published, left.Changes, left.Release = false, true, nil
	p.decision.Roles[left.Role] = left
	p.unsure = true
	h.metrics.Failed(left.Role, p.snapshot.Cluster.Class.Name, metrics.LeaseFailed)
	setRefusedRole(p, left, "the Lease that decides over the address cannot be made: "+cause.Error())
}

// releaseClaim deletes a claim unless it changed since it was read; then its own
// event brings us back.
func (h *handler) releaseClaim(p *pass, outcome *vip.Outcome) error {
	if outcome.Release == nil {
		return nil
	}
	// Where the room is known, that says enough.
	if _, known := h.allocator.Free(outcome.Release.Pool); outcome.Reason == vip.ClaimMoved && (!known || p.snapshot.Claims[outcome.Role].Refusal.Reason != "") {
		h.allocator.Refuse(p.cluster.Namespace+"/"+outcome.ClaimName, outcome.Release.Pool)
	}
	err := h.claims.Delete(h.ctx, p.cluster.Namespace, outcome.Release)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		h.metrics.Failed(outcome.Role, p.snapshot.Cluster.Class.Name, metrics.ClaimReleaseFailed)
		return err
	}
	h.log(p.key, outcome).Info("Released claim")
	return nil
}
