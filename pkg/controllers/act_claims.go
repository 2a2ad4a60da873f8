package controllers

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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

// adopt makes claims the Cluster's that have no owner.
func (h *handler) adopt(p *pass) error {
	var errs []error
	for role, outcome := range p.decision.Roles {
		if !outcome.Adopt {
			continue
		}
		adopted, err := h.claims.Adopt(h.ctx, &p.snapshot.Cluster, p.snapshot.Claims[role])
		if adopted {
			h.log(p.key, outcome).Info("Adopted a claim that had no owner")
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
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
	} else if err := h.pin(p, outcome); err != nil {
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

// pin makes the IPAddress that the claim is to get.
func (h *handler) pin(p *pass, outcome *vip.Outcome) error {
	pool := h.observer.Pools.Get(outcome.Pool)
	if !outcome.Pin.IsValid() || pool == nil {
		return nil
	}
	if err := h.claims.Pin(h.ctx, &p.snapshot.Cluster, outcome.Role.ClaimName(p.cluster.Name), pool, outcome.Pin); err != nil {
		h.metrics.Failed(outcome.Role, p.snapshot.Cluster.Class.Name, metrics.ClaimCreationFailed)
		return err
	}
	if outcome.Reason == vip.ClaimLost {
		h.log(p.key, outcome).Info("Taking back a VIP whose claim was lost")
	}
	return nil
}

// verify makes sure, before an address is published to which a claim was pinned, that no
// other IPAddress is of it. A role whose address is not its own alone is planned anew.
func (h *handler) verify(p *pass) error {
	pinned := slices.ContainsFunc(slices.Collect(maps.Values(p.decision.Roles)), func(o *vip.Outcome) bool { return o.Verify })
	if !pinned {
		return nil
	}
	addresses, err := h.fresh.get(h.ctx)
	left, shared := map[vip.Role]string{}, false
	for role, outcome := range p.decision.Roles {
		if !outcome.Verify {
			continue
		}
		if err != nil {
			left[role] = "it cannot be made sure that nobody else has the address: " + err.Error()
			continue
		}
		key, _ := vip.Key(outcome.Address)
		for _, address := range addresses[key] {
			switch {
			case address.Namespace == p.cluster.Namespace && address.Name == outcome.ClaimName:
			case h.observer.IsRival(address):
				p.snapshot.Claims[role].Contested, shared = true, true
			default:
				p.snapshot.Holders[key] = append(p.snapshot.Holders[key], vip.Holder{Kind: "IPAddress", Namespace: address.Namespace, Name: address.Name})
				shared = true
			}
		}
	}
	if shared {
		p.plan()
	}
	h.leaveOut(p, left)
	return err
}

// acquireLeases makes sure, before anything is published, that no other Cluster
// can publish the same address. A role that loses is planned anew; one whose
// Lease cannot be made now is left out of the patch, and the other role goes on.
func (h *handler) acquireLeases(p *pass) error {
	var errs []error
	left := map[vip.Role]string{}
	for role, outcome := range p.decision.Roles {
		key, ok := vip.Key(outcome.Address)
		if !outcome.Lease || !ok {
			continue
		}
		other, err := h.leases.Acquire(h.ctx, key, kube.LeaseHolder{ClusterUID: p.snapshot.Cluster.UID, Role: role, Cluster: p.key})
		switch {
		case err != nil:
			errs = append(errs, err)
			h.metrics.Failed(role, p.snapshot.Cluster.Class.Name, metrics.LeaseFailed)
			left[role] = "the Lease that decides over the address cannot be made: " + err.Error()
		case other != nil:
			p.snapshot.Holders[key] = append(p.snapshot.Holders[key], vip.Holder{Kind: "Cluster", Name: other.Cluster, Where: "Lease " + kube.LeaseName(key)})
			p.plan()
		}
	}
	h.leaveOut(p, left)
	return errors.Join(errs...)
}

// leaveOut takes the roles' changes out of the patch and says why.
func (h *handler) leaveOut(p *pass, left map[vip.Role]string) {
	if len(left) == 0 {
		return
	}
	planned := p.decision.Roles
	others := slices.DeleteFunc(slices.Collect(maps.Keys(planned)), func(role vip.Role) bool { return left[role] != "" })
	p.decision = vip.PlanRoles(p.snapshot, others...)
	p.decision.Conditions = h.conditionsAfter(p)
	p.unsure = true
	for role, because := range left {
		outcome := planned[role]
		if outcome == nil {
			continue // planned anew meanwhile, it does not apply
		}
		outcome.Published, outcome.Changes, outcome.Release = false, true, nil
		p.decision.Roles[role] = outcome
		setRefusedRole(p, outcome, because)
	}
}

// releaseClaim deletes a claim unless it changed since it was read; then its own
// event brings us back.
func (h *handler) releaseClaim(p *pass, outcome *vip.Outcome) error {
	if outcome.Release == nil {
		return nil
	}
	// Where the room is known, that says enough, unless its provider would choose the same again.
	pool := h.observer.Pools.Get(outcome.Release.Pool)
	again := outcome.Release.Bound && (pool == nil || !pool.CanPin())
	if _, known := h.allocator.Free(outcome.Release.Pool); outcome.Reason == vip.ClaimMoved && (!known || again || p.snapshot.Claims[outcome.Role].Refusal.Reason != "") {
		h.allocator.Refuse(p.cluster.Namespace+"/"+outcome.ClaimName, outcome.Release.Pool, outcome.Release.Bound)
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
	if outcome.Reason == vip.ClaimMoved && outcome.Release.Bound {
		h.reporter.event(p.cluster, outcome.Role, outcome.Reason, outcome.Message)
	}
	return nil
}
