package controllers

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// retryRefused is when a patch is tried again that the API server refused for a
// reason of its own, such as a rule of the class that only it can evaluate. A
// patch that differs is tried at once.
const retryRefused = 30 * time.Second

// act carries out the decision: new claims first, since their provider needs the most
// time; then the Cluster; then what is to change of bound claims. An error
// over one role does not keep the other waiting.
func (h *handler) act(p *pass) error {
	errs := append(h.makeClaims(p), h.adopt(p))
	p.acts = errors.Join(errs...) == nil
	if !h.publishes(p) {
		h.expectations.decided(p.key, &p.decision)
		return errors.Join(append(errs, h.actOnOthers(p)...)...)
	}
	errs = append(errs, h.patchCluster(p))
	h.expectations.decided(p.key, &p.decision)
	if p.decision.Skipped != "" {
		return errors.Join(errs...)
	}
	errs = append(errs, h.updateClaims(p)...)
	for _, outcome := range p.decision.Roles {
		errs = append(errs, h.releaseClaim(p, outcome))
	}
	errs = append(errs, h.report(p))
	return errors.Join(errs...)
}

// publishes tells whether the patch may be sent. That of a new Cluster waits for its other
// VIP, and for the burst that it is part of.
func (h *handler) publishes(p *pass) bool {
	var pools []vip.PoolRef
	var other vip.PoolRef
	for _, outcome := range p.decision.Roles {
		switch {
		case outcome.Published && !p.snapshot.Cluster.HasInfrastructure:
			pools = append(pools, outcome.Pool)
		case outcome.Reason == vip.ClaimPending:
			other = outcome.Pool
		}
	}
	return h.allocator.Publish(p.key, other, pools...)
}

// actOnOthers carries out what concerns the roles that have no part in a patch which is
// deferred. Of them only what is missing is told: nobody waits for the rest.
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

// patchCluster sends the patch. One that is refused is either a lost race, which
// is run again on what the Cluster is now, or the API server's last word.
func (h *handler) patchCluster(p *pass) error {
	if len(p.decision.Patch) == 0 {
		return nil
	}
	if because, again := h.expectations.refusal(p.key, h.attempt(p)); because != "" {
		setRefused(p, because)
		h.wakeIn(p.cluster.Namespace, p.cluster.Name, again)
		return nil
	}
	err := h.send(p)
	if refused(err) {
		return h.patchAgain(p, err)
	}
	return h.failed(p, err)
}

// send makes sure of the addresses that the patch publishes, and then sends it.
func (h *handler) send(p *pass) error {
	leaseErr := errors.Join(h.verify(p), h.acquireLeases(p))
	if len(p.decision.Patch) == 0 {
		return leaseErr
	}
	h.publishing.Add(1)
	defer h.publishing.Add(-1)
	updated, err := h.writer.Patch(h.ctx, &p.snapshot.Cluster, p.decision.Patch)
	if err != nil {
		return err
	}
	h.expectations.wrote(p.key, updated.ResourceVersion)
	p.cluster = updated
	for role, outcome := range p.decision.Roles {
		if outcome.Published {
			age := h.expectations.now().Sub(updated.CreationTimestamp.Time)
			h.metrics.Allocated(role, p.snapshot.Cluster.Class.Name, h.expectations.published(p.key, role), age)
			h.log(p.key, outcome).Info("Published VIP")
		}
		// What is done cannot fail any more, whatever becomes of the other role's Lease.
		outcome.Changes, outcome.Published = false, false
	}
	return leaseErr
}

func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)
}

// failed tells of an error that leaves open whether the patch was made: the
// queue's back-off repeats it, and people hear of it if that lasts.
func (h *handler) failed(p *pass, err error) error {
	if gone(err) {
		// Its own event ends the matter.
		p.decision = vip.Decision{Skipped: vip.SkipDeleting}
		return nil
	}
	if err != nil {
		p.unsure = true
		h.patchFailed(p, "the API server did not take the change: "+err.Error())
	}
	return err
}

// gone tells whether the error says that the Cluster itself does not exist.
func gone(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) &&
		status.Status().Details != nil && status.Status().Details.Kind == "clusters"
}

// patchFailed counts a patch that was sent in vain.
func (h *handler) patchFailed(p *pass, because string) {
	for role, outcome := range p.decision.Roles {
		if outcome.Changes {
			h.metrics.Failed(role, p.snapshot.Cluster.Class.Name, metrics.ClusterPatchFailed)
		}
	}
	setRefused(p, because)
}

// setRefused gives the reason to every role that the patch was to change.
func setRefused(p *pass, because string) {
	for _, outcome := range p.decision.Roles {
		if outcome.Changes {
			setRefusedRole(p, outcome, because)
		}
	}
}

func setRefusedRole(p *pass, outcome *vip.Outcome, because string) {
	outcome.Reason, outcome.Message = vip.PatchRefused, vip.Short(because)
	outcome.Changes, outcome.Published, outcome.Release = false, false, nil
	outcome.Next = vip.Next(p.snapshot, outcome)
	p.decision.Conditions[outcome.Role.ConditionType()] = vip.Condition{Reason: outcome.Reason, Message: outcome.Message + vip.NextStep + outcome.Next}
}

// patchAgain reads the Cluster live. If another patch would be sent now, the race
// was lost to another writer, and that patch is tried once; losing twice is left
// to the queue's back-off. If the same patch would be sent, it is a refusal.
func (h *handler) patchAgain(p *pass, cause error) error {
	live, err := h.writer.Get(h.ctx, p.cluster.Namespace, p.cluster.Name)
	if err != nil {
		return h.failed(p, err)
	}
	snapshot, err := h.observer.Observe(live)
	if err != nil {
		return err
	}
	sent := text(p.decision.Patch)
	p.cluster, p.snapshot = live, snapshot.Placed(p.snapshot.Placements)
	p.decision = vip.Plan(p.snapshot)
	h.expectations.wrote(p.key, live.ResourceVersion)
	switch {
	case len(p.decision.Patch) == 0:
		return nil
	case text(p.decision.Patch) == sent:
		return h.patchEachRole(p, cause)
	}
	logrus.WithField("cluster", p.key).Debug("Cluster changed under our patch; trying again")
	return h.failed(p, h.send(p))
}

// patchEachRole tries each role alone, so that a change which the API server
// refuses for one role does not keep the other waiting.
func (h *handler) patchEachRole(p *pass, cause error) error {
	refusal := "the API server refuses the change: " + cause.Error()
	var changed []vip.Role
	for _, role := range vip.Roles() {
		if outcome := p.decision.Roles[role]; outcome != nil && outcome.Changes {
			changed = append(changed, role)
		}
	}
	h.wakeIn(p.cluster.Namespace, p.cluster.Name, retryRefused)
	if len(changed) > 1 {
		for _, role := range changed {
			alone := &pass{key: p.key, cluster: p.cluster, snapshot: p.snapshot, decision: vip.PlanRoles(p.snapshot, role)}
			if err := h.send(alone); err == nil {
				// The other role's change is planned anew, on the event of this one.
				p.cluster, p.decision = alone.cluster, alone.decision
				p.decision.Conditions = h.conditionsAfter(p)
				return nil
			}
		}
	}
	h.expectations.refuse(p.key, h.attempt(p), refusal)
	if len(changed) == 0 {
		logrus.WithField("cluster", p.key).Warn("The pause of this held Cluster cannot be lifted: " + refusal)
	}
	h.patchFailed(p, refusal)
	return nil
}

// conditionsAfter are the conditions of the roles that were planned, and those
// of the others as they stand.
func (h *handler) conditionsAfter(p *pass) map[string]vip.Condition {
	conditions := map[string]vip.Condition{}
	for conditionType, condition := range p.snapshot.Cluster.Conditions {
		conditions[conditionType] = condition
	}
	for conditionType, condition := range p.decision.Conditions {
		conditions[conditionType] = condition
	}
	return conditions
}

// attempt identifies the patch together with the class that it is judged by.
func (h *handler) attempt(p *pass) string {
	class, err := h.observer.Class(p.snapshot.Cluster.Class)
	if err != nil || class == nil {
		return text(p.decision.Patch)
	}
	return class.ResourceVersion + text(p.decision.Patch)
}

func text(patch []vip.PatchOp) string {
	data, err := json.Marshal(patch)
	if err != nil {
		return ""
	}
	return string(data)
}

// log returns an entry with the fields that every line about a role has.
func (h *handler) log(key string, outcome *vip.Outcome) *logrus.Entry {
	fields := logrus.Fields{"cluster": key, "role": string(outcome.Role), "reason": string(outcome.Reason), "claim": outcome.ClaimName}
	if outcome.Pool != (vip.PoolRef{}) {
		fields["pool"] = outcome.Pool.String()
	}
	if outcome.Address != "" {
		fields["address"] = vip.Short(outcome.Address) // it may be what a user typed
	}
	return logrus.WithFields(fields)
}
