package controllers

import (
	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	clustercontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// classHandler is the name under which lasso shows the handler of ClusterClasses.
const classHandler = "class-gates"

// classReporter has the gates of classes inspected and tells on the classes themselves
// what is wrong with them, once for each thing that is found.
type classReporter struct {
	recorder record.EventRecorder
	observer *snapshot.Observer
	queue    clustercontrollers.ClusterClassController
	metrics  *metrics.Metrics
	// wake enqueues the Clusters of the class.
	wake func(class vip.ClassKey)
}

// onChange is called whenever a ClusterClass changed, and when its gates are known.
func (r *classReporter) onChange(key string, class *clusterv1.ClusterClass) (result *clusterv1.ClusterClass, err error) {
	defer r.metrics.Recovered("ClusterClass "+key, &err)
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return class, err
	}
	classKey := vip.ClassKey{Namespace: namespace, Name: name}
	if class == nil {
		r.observer.Views.Forget(classKey)
		r.metrics.ForgetClass(name)
		return nil, nil
	}
	if !r.observer.ViewClass(classKey, class).Ready {
		return class, nil
	}
	findings, known := r.observer.Evaluator.Inspect(class, func() { r.queue.EnqueueAfter(namespace, name, 0) })
	if !known || !r.observer.Views.Inspected(classKey, class, findings) {
		return class, nil
	}
	for _, role := range vip.Roles() {
		r.report(class, role, findings[role])
	}
	r.wake(classKey)
	return class, nil
}

func (r *classReporter) report(class *clusterv1.ClusterClass, role vip.Role, finding gate.Finding) {
	if finding.State == gate.Unconcerned || finding.Why == "" {
		return
	}
	reason := reasonOf(finding)
	logrus.WithFields(logrus.Fields{
		"class": class.Namespace + "/" + class.Name, "role": string(role), "reason": string(reason), "gate": string(finding.State),
	}).Warn(finding.Why)
	r.recorder.Event(class, corev1.EventTypeWarning, string(reason), string(role)+": "+vip.Short(finding.Why))
}

// reasonOf is the event's reason: a gate may be closed for good.
func reasonOf(finding gate.Finding) vip.Reason {
	switch finding.State {
	case gate.Gated:
		return vip.VariableRefused
	case gate.Unclear:
		return vip.ClassUnclear
	}
	return vip.ClassUngated
}
