package controllers

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// showClasses shows the gate of every class as far as it is known: a scrape runs no
// templates. Classes of one name are summed up.
func (o *observer) showClasses(r metrics.Readings) error {
	classes, err := o.classes.List(metav1.NamespaceAll, labels.Everything())
	if err != nil {
		return fmt.Errorf("list ClusterClasses: %w", err)
	}
	for _, class := range classes {
		for role, finding := range o.views.gatesOf(vip.ClassKey{Namespace: class.Namespace, Name: class.Name}) {
			if finding.State != gate.Unconcerned {
				r.Add(metrics.ClassGate, 1, class.Name, string(role), string(finding.State))
			}
		}
	}
	return nil
}
