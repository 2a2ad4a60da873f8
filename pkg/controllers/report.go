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
// reported: longer than a provider takes for the claims of a hundred Clusters.
// Every write of a Cluster costs Cluster API several passes over it, and without
// this wait every new Cluster would have conditions that are out of date a moment
// later.
const settle = 15 * time.Second

// calm is how long nobody has written a Cluster when success is reported: Cluster API
// writes one that it builds about twice a second.
const calm = time.Second

// patience is how long a claim may wait, unreported, behind others that its
// provider is answering: providers answer one claim at a time.
const patience = 2 * time.Minute

// failures are the outcomes that count as one, once each time that a Cluster comes
// to them: as its condition outlives this process, a restart counts none anew.
var failures = map[vip.Reason]metrics.Failure{
	vip.AddressInvalid: metrics.IPResolutionFailed,
	vip.AddressInUse:   metrics.DuplicateRefused,
}

// reporter tells people.
type reporter struct {
	recorder record.EventRecorder
}

// report brings the conditions up to date and records an event for each that
// changed its reason. A converged Cluster costs nothing.
func (h *handler) report(p *pass) error {
	h.settling(p)
	before := kube.Cluster(p.cluster).Conditions
	keepPending(p, before)
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
	h.expectations.wrote(p.key, updated.ResourceVersion)
	for _, role := range vip.Roles() {
		outcome := p.decision.Roles[role]
		if outcome == nil {
			continue
		}
		condition, reported := p.decision.Conditions[role.ConditionType()]
		if old, existed := before[role.ConditionType()]; reported && (!existed || old.Reason != condition.Reason) {
			h.reporter.event(p.cluster, role, condition.Reason, condition.Message)
			if failure, refused := failures[outcome.Reason]; refused {
				h.metrics.Failed(role, p.snapshot.Cluster.Class.Name, failure)
			}
			h.log(p.key, outcome).Info(condition.Message)
		}
		for _, note := range outcome.Notes {
			if note.Reason == vip.ClassUngated {
				continue // the class itself has that event, once for all its Clusters
			}
			if reported && !strings.Contains(before[role.ConditionType()].Message, note.Message) {
				h.reporter.event(p.cluster, role, note.Reason, note.Message)
				h.log(p.key, outcome).WithField("reason", string(note.Reason)).Warn(note.Message)
			}
		}
	}
	return nil
}

// settling holds conditions back while a role is in a state that normally passes by
// itself, until that has lasted: then both roles are reported at once. A role that
// waits for something else is reported right away.
func (h *handler) settling(p *pass) {
	old := kube.Cluster(p.cluster).Conditions
	wait := time.Duration(0)
	for role, outcome := range p.decision.Roles {
		since := h.expectations.since(p.key, role)
		switch _, reported := old[role.ConditionType()]; {
		case passing(p, outcome):
			wait = max(wait, h.remaining(outcome, since))
		case outcome.Reason == vip.Allocated && !reported:
			wait = max(wait, h.untilCalm(p, since))
		}
	}
	if wait <= 0 {
		return
	}
	h.wakeIn(p.cluster.Namespace, p.cluster.Name, wait)
	for role, outcome := range p.decision.Roles {
		if passing(p, outcome) || outcome.Reason == vip.Allocated {
			keep(p.decision.Conditions, old, role.ConditionType())
		}
	}
}

// remaining is how much longer the state that the role has been in since then may
// go unreported.
func (h *handler) remaining(outcome *vip.Outcome, since time.Time) time.Duration {
	now := h.expectations.now()
	wait := settle - now.Sub(since)
	if outcome.Reason == vip.ClaimPending {
		behind := min(settle-now.Sub(h.allocator.Progress(outcome.Pool)), patience-now.Sub(since))
		wait = max(wait, behind)
	}
	return wait
}

// untilCalm is how much longer what nobody waits for, such as good news, is put off
// while others write the Cluster, as Cluster API does when it builds: each of two that
// write its status at once makes the other one's write fail. It also waits until the
// VIPs of all other Clusters of a burst are out, which it would delay.
func (h *handler) untilCalm(p *pass, since time.Time) time.Duration {
	now := h.expectations.now()
	wait := calm - now.Sub(h.expectations.versionSince(p.key, p.cluster.ResourceVersion))
	if h.publishing.Load() > 0 || h.allocator.Deferring() {
		wait = calm
	}
	return min(wait, settle-now.Sub(since))
}

// keepPending leaves conditions as they are as long as what is being found out about the
// class may be all that is to change in them. The Cluster is woken once it is known.
func keepPending(p *pass, old map[string]vip.Condition) {
	class := &p.snapshot.Class
	for role, outcome := range p.decision.Roles {
		pending := class.Roles[role].Pending
		condition, existed := old[role.ConditionType()]
		same := existed && condition.Reason == outcome.Reason
		// A role that is switched off is not, before it is known whether it can be.
		if (pending || class.Pending) && same || pending && outcome.Reason == vip.Disabled {
			keep(p.decision.Conditions, old, role.ConditionType())
		}
	}
}

func passing(p *pass, outcome *vip.Outcome) bool {
	waitsForProvider := p.snapshot.Claims[outcome.Role] != nil && outcome.Reason == vip.PoolExhausted
	return outcome.Reason.Transient() || waitsForProvider || (outcome.Reason == vip.PatchRefused && p.unsure)
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
