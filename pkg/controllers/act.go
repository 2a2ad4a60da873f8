package controllers

import (
	"reflect"
	"time"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// retryRefused is when a patch is tried again that the API server refused for a
// reason of its own, such as a rule of the class that only it can evaluate. The
// event of whatever cures that comes sooner.
const retryRefused = 30 * time.Second

// act carries out the decision: claims first, since their provider needs the most
// time; then the Cluster; then claims that the Cluster no longer names.
func (h *handler) act(p *pass) error {
	for _, role := range vip.Roles() {
		if err := h.ensureClaim(p, role); err != nil {
			return err
		}
	}
	if err := h.acquireLeases(p); err != nil {
		return err
	}
	if err := h.patchCluster(p); err != nil {
		return err
	}
	for _, outcome := range p.decision.Roles {
		if err := h.releaseClaim(p, outcome); err != nil {
			return err
		}
	}
	return h.report(p)
}

// patchCluster sends the patch. One that is refused is either a lost race, which
// is run again on what the Cluster is now, or the API server's last word.
func (h *handler) patchCluster(p *pass) error {
	if len(p.decision.Patch) == 0 {
		return nil
	}
	updated, err := h.writer.Patch(h.ctx, &p.snapshot.Cluster, p.decision.Patch)
	if refused(err) {
		return h.patchAgain(p, err)
	}
	if err != nil {
		return h.patchFailed(p, err)
	}
	h.published(p, updated)
	return nil
}

func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err)
}

func (h *handler) patchFailed(p *pass, err error) error {
	for role, outcome := range p.decision.Roles {
		if outcome.Changes {
			h.metrics.Failed(role, p.snapshot.Cluster.Class.Name, metrics.ClusterPatchFailed)
		}
	}
	return err
}

func (h *handler) published(p *pass, updated *clusterv1.Cluster) {
	h.memory.wrote(p.key, updated.ResourceVersion)
	p.cluster = updated
	for role, outcome := range p.decision.Roles {
		if outcome.Published {
			h.metrics.Allocated(role, p.snapshot.Cluster.Class.Name, h.memory.published(p.key, role))
			h.log(p.key, outcome).Info("Published VIP")
		}
	}
}

// patchAgain reads the Cluster live. If another patch would be sent now, the race
// was lost to another writer, and that patch is tried once; losing twice is left
// to the queue's back-off. If the same patch would be sent, it is a refusal; then
// each role is tried alone, so that one role's trouble does not keep the other
// waiting.
func (h *handler) patchAgain(p *pass, cause error) error {
	live, err := h.writer.Get(h.ctx, p.cluster.Namespace, p.cluster.Name)
	if err != nil {
		return err
	}
	snapshot, err := h.observer.observe(live)
	if err != nil {
		return err
	}
	sent := p.decision
	p.cluster, p.snapshot, p.decision = live, snapshot, vip.Plan(snapshot)
	h.memory.wrote(p.key, live.ResourceVersion)
	if reflect.DeepEqual(p.decision.Patch, sent.Patch) {
		h.tryEachRole(p, cause)
		h.wakeIn(live.Namespace, live.Name, retryRefused)
		return nil
	}
	logrus.WithField("cluster", p.key).Debug("Cluster changed under our patch; trying again")
	if len(p.decision.Patch) == 0 {
		return nil
	}
	updated, err := h.writer.Patch(h.ctx, &snapshot.Cluster, p.decision.Patch)
	if err != nil {
		return h.patchFailed(p, err)
	}
	h.published(p, updated)
	return nil
}

func (h *handler) tryEachRole(p *pass, cause error) {
	var changed []*vip.Outcome
	for _, role := range vip.Roles() {
		if outcome := p.decision.Roles[role]; outcome != nil && outcome.Changes {
			changed = append(changed, outcome)
		}
	}
	for _, outcome := range changed {
		if len(changed) > 1 {
			alone := vip.PlanRoles(p.snapshot, outcome.Role)
			updated, err := h.writer.Patch(h.ctx, &p.snapshot.Cluster, alone.Patch)
			if err == nil {
				h.memory.wrote(p.key, updated.ResourceVersion)
				p.cluster = updated
				continue
			}
			cause = err
		}
		h.metrics.Failed(outcome.Role, p.snapshot.Cluster.Class.Name, metrics.ClusterPatchFailed)
		outcome.Reason, outcome.Published, outcome.Release = vip.PatchRefused, false, nil
		outcome.Message = "the API server refuses the change: " + short(cause.Error())
		p.decision.Conditions[outcome.Role.ConditionType()] = vip.Condition{Reason: outcome.Reason, Message: outcome.Message}
	}
}

func (h *handler) log(key string, outcome *vip.Outcome) *logrus.Entry {
	return logrus.WithFields(logrus.Fields{
		"cluster": key, "role": string(outcome.Role), "reason": string(outcome.Reason),
		"pool": outcome.Pool.String(), "address": outcome.Address,
	})
}
