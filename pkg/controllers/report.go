package controllers

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// settle is how long a state that normally passes by itself may last before it is
// reported. Without it every new Cluster would cost a condition that is out of
// date a moment later.
const settle = 3 * time.Second

// reporter tells people.
type reporter struct {
	recorder record.EventRecorder
}

// report brings the conditions up to date and records an event for each that
// changed its reason. A converged Cluster costs nothing.
func (h *handler) report(p *pass) error {
	h.settling(p)
	before := kube.Cluster(p.cluster).Conditions
	updated, err := h.writer.PatchConditions(h.ctx, p.cluster, p.decision.Conditions, metav1.Now())
	switch {
	case apierrors.IsInvalid(err):
		// Cluster API wrote its own conditions meanwhile, and that event wakes us.
		return nil
	case gone(err):
		return nil
	case err != nil:
		return err
	case updated == nil:
		return nil
	}
	h.memory.wrote(p.key, updated.ResourceVersion)
	for _, role := range vip.Roles() {
		outcome := p.decision.Roles[role]
		if outcome == nil {
			continue
		}
		condition, reported := p.decision.Conditions[role.ConditionType()]
		if old, existed := before[role.ConditionType()]; reported && (!existed || old.Reason != condition.Reason) {
			h.reporter.event(p.cluster, role, condition.Reason, condition.Message)
			if outcome.Reason == vip.AddressInvalid || outcome.Reason == vip.AddressInUse {
				h.metrics.Failed(role, p.snapshot.Cluster.Class.Name, metrics.IPResolutionFailed)
			}
			h.log(p.key, outcome).Info(condition.Message)
		}
		for _, note := range outcome.Notes {
			if reported && !strings.Contains(before[role.ConditionType()].Message, note.Message) {
				h.reporter.event(p.cluster, role, note.Reason, note.Message)
				h.log(p.key, outcome).WithField("reason", string(note.Reason)).Warn(note.Message)
			}
		}
	}
	return nil
}

// settling takes back conditions of states that normally pass by themselves,
// until they have lasted, and notes how long a role has been without its VIP.
func (h *handler) settling(p *pass) {
	old := kube.Cluster(p.cluster).Conditions
	for role, outcome := range p.decision.Roles {
		if !outcome.Reason.Ready() {
			h.memory.withoutVIP(p.key, role)
		}
		since := h.memory.outcome(p.key, role, outcome.Reason)
		passing := outcome.Reason.Transient() || (outcome.Reason == vip.PoolExhausted && p.snapshot.Claims[role] != nil) ||
			(outcome.Reason == vip.PatchRefused && p.unsure)
		left := settle - h.memory.now().Sub(since)
		if !passing || left <= 0 {
			continue
		}
		h.wakeIn(p.cluster.Namespace, p.cluster.Name, left)
		keep(p.decision.Conditions, old, role.ConditionType())
	}
}

// keep leaves the condition of that type as it is.
func keep(wanted, old map[string]vip.Condition, conditionType string) {
	delete(wanted, conditionType)
	if condition, exists := old[conditionType]; exists {
		wanted[conditionType] = condition
	}
}

func (r *reporter) event(cluster *clusterv1.Cluster, role vip.Role, reason vip.Reason, message string) {
	eventType := corev1.EventTypeNormal
	if reason.Warning() {
		eventType = corev1.EventTypeWarning
	}
	r.recorder.Event(cluster, eventType, string(reason), string(role)+": "+vip.Short(message))
}
