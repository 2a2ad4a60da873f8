package controllers

import (
	"fmt"
	"math"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ensureClaim makes the role's claim, or brings an existing one up to date.
func (h *handler) ensureClaim(p *pass, role vip.Role) error {
	outcome := p.decision.Roles[role]
	name := p.cluster.Namespace + "/" + role.ClaimName(p.cluster.Name)
	existing := p.snapshot.Claims[role]
	if existing != nil {
		h.memory.sawClaim(name)
		if existing.Bound {
			h.memory.settled(name)
		}
	}
	if outcome == nil || !outcome.Ensure {
		return nil
	}
	var live *ipamv1.IPAddressClaim
	if existing != nil {
		var err error
		if live, err = h.observer.claims.Get(p.cluster.Namespace, existing.Name); err != nil {
			return fmt.Errorf("get claim %s: %w", name, err)
		}
	} else if ready, err := h.makeRoom(p, outcome, name); !ready || err != nil {
		return err
	}
	h.log(p.key, outcome).Debug("Applying claim")
	if err := h.claims.Ensure(h.ctx, &p.snapshot.Cluster, role, kube.DesiredClaim(live, &p.snapshot.Cluster, role, outcome.Pool)); err != nil {
		h.memory.sawClaim(name)
		h.metrics.Failed(role, p.snapshot.Cluster.Class.Name, metrics.ClaimCreationFailed)
		return err
	}
	return nil
}

// makeRoom prepares the making of a claim: a place on the pool, which other passes
// may be after at the same time, and the IPAddress that a lost claim had.
func (h *handler) makeRoom(p *pass, outcome *vip.Outcome, name string) (ready bool, err error) {
	pool := h.observer.pools.Get(outcome.Pool)
	own := ownClaims(&p.snapshot.Cluster)
	room := int64(math.MaxInt64)
	// A VIP that is taken back needs no room: it is its own.
	if pool != nil && pool.Known && !outcome.TakeBack {
		room = pool.Usable - h.observer.shownTaken(pool, own)
	}
	ready, again := h.memory.reserve(name, outcome.Pool, room, h.observer.known(outcome.Pool, own))
	if !ready {
		h.wakeIn(p.cluster.Namespace, p.cluster.Name, again)
		return false, nil
	}
	if !outcome.TakeBack || pool == nil {
		return true, nil
	}
	if err := h.claims.TakeBack(h.ctx, &p.snapshot.Cluster, outcome.Role, pool, outcome.Address); err != nil {
		h.memory.sawClaim(name)
		return false, err
	}
	h.log(p.key, outcome).Info("Taking back a VIP whose claim was lost")
	return true, nil
}

// acquireLeases makes sure, before anything is published, that no other Cluster
// can publish the same address. A role that loses is left out of the patch.
func (h *handler) acquireLeases(p *pass) error {
	lost := false
	for role, outcome := range p.decision.Roles {
		key, ok := vip.Key(outcome.Address)
		if !outcome.Lease || !ok {
			continue
		}
		other, err := h.leases.Acquire(h.ctx, key, kube.LeaseHolder{ClusterUID: p.snapshot.Cluster.UID, Role: role, Cluster: p.key})
		if err != nil {
			return err
		}
		if other == nil {
			p.snapshot.Claims[role].LeaseHeld = true
			continue
		}
		lost = true
		p.snapshot.Holders[key] = append(p.snapshot.Holders[key], vip.Holder{Kind: "Cluster", Name: other.Cluster, Where: "Lease " + kube.LeaseName(key)})
	}
	if lost {
		p.decision = vip.Plan(p.snapshot)
	}
	return nil
}

// releaseClaim deletes a claim unless it changed since it was read; then its own
// event brings us back.
func (h *handler) releaseClaim(p *pass, outcome *vip.Outcome) error {
	if outcome.Release == nil {
		return nil
	}
	err := h.claims.Delete(h.ctx, p.cluster.Namespace, outcome.Release)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		h.log(p.key, outcome).WithField("claim", outcome.Release.Name).Info("Released claim")
	}
	return err
}
