package controllers

import (
	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// classReporter tells on the classes themselves what is wrong with their gates, once
// for each version of a class; the API server joins equal events.
type classReporter struct {
	recorder record.EventRecorder
	observer *observer
}

func (r *classReporter) changed(class *clusterv1.ClusterClass) {
	if class == nil {
		return
	}
	key := vip.ClassKey{Namespace: class.Namespace, Name: class.Name}
	view := r.observer.inspect(key, class)
	for _, role := range vip.Roles() {
		finding := view.gates[role]
		if finding.State == gate.Unconcerned || finding.Why == "" {
			continue
		}
		reason := reasonOf(finding)
		logrus.WithFields(logrus.Fields{"class": key.String(), "role": string(role), "reason": reason, "gate": string(finding.State)}).Warn(finding.Why)
		r.recorder.Event(class, corev1.EventTypeWarning, reason, string(role)+": "+vip.Short(finding.Why))
	}
}

// reasonOf is the event's reason: a gate may be closed for good.
func reasonOf(finding gate.Finding) string {
	if finding.State == gate.Gated {
		return string(vip.VariableRefused)
	}
	return string(vip.ClassUngated)
}
