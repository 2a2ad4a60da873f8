package controllers

import (
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// together is how long a VIP that could be published waits for the other VIP of a
// new Cluster, counted anew while that claim's provider is busy binding others.
// Both in one patch spare Cluster API passes over a Cluster that it could not build
// yet; and where the class does not hold infrastructure back for want of an ingress
// VIP, they keep it from being built without. It is short, because a role must not
// suffer from the other's pool.
const together = 2 * time.Second

// waitsForOther tells whether the patch waits for the claim of another role. That
// claim's own event ends the wait.
func (h *handler) waitsForOther(p *pass) bool {
	publishes := false
	var pending *vip.Outcome
	for _, outcome := range p.decision.Roles {
		switch {
		case outcome.Published:
			publishes = true
		case outcome.Reason == vip.ClaimPending && !outcome.Waiting:
			pending = outcome
		case outcome.Changes:
			return false
		}
	}
	if !publishes || pending == nil || p.snapshot.Cluster.HasInfrastructure {
		return false
	}
	wait := h.memory.holdsBack(p.key, h.crowd.lastAnswer(pending.Pool))
	if wait > 0 {
		h.wakeIn(p.cluster.Namespace, p.cluster.Name, wait)
	}
	return wait > 0
}

// keptBack tells whether the VIPs of a new Cluster are not published yet because of
// all the others that wait for their providers.
func (h *handler) keptBack(p *pass) bool {
	var pools []vip.PoolRef
	for _, outcome := range p.decision.Roles {
		if outcome.Published && !p.snapshot.Cluster.HasInfrastructure {
			pools = append(pools, outcome.Pool)
		}
	}
	return h.crowd.keeps(p.key, pools...)
}

// actOnOthers carries out what concerns the roles that have no part in a patch which is
// kept back. Of them only what is missing is told: nobody waits for the rest.
func (h *handler) actOnOthers(p *pass) (errs []error) {
	missing := false
	for role, outcome := range p.decision.Roles {
		if outcome.Changes || outcome.Reason.Ready() {
			keep(p.decision.Conditions, kube.Cluster(p.cluster).Conditions, role.ConditionType())
		} else {
			missing = true
		}
		if !outcome.Changes {
			errs = append(errs, h.releaseClaim(p, outcome))
		}
	}
	if missing {
		errs = append(errs, h.report(p))
	}
	return errs
}
