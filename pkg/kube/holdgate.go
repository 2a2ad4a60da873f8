package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// HoldGate knows whether the admission policy that holds new Clusters back is on.
// The ConfigMap that the policy's binding refers to decides that: without it the
// API server lets every Cluster pass. Nil is a gate that is off.
type HoldGate struct {
	name     string
	informer cache.SharedIndexInformer
}

// NewHoldGate returns the gate that the ConfigMap switches on; nil for an empty
// name. The watching client must have no timeout.
func NewHoldGate(watching kubernetes.Interface, namespace, name string) *HoldGate {
	if name == "" {
		return nil
	}
	factory := informers.NewSharedInformerFactoryWithOptions(watching, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		}))
	return &HoldGate{name: namespace + "/" + name, informer: factory.Core().V1().ConfigMaps().Informer()}
}

// Start runs the cache and waits for it for a while.
func (g *HoldGate) Start(ctx context.Context) error {
	if g == nil {
		return nil
	}
	if err := g.informer.SetTransform(Trim); err != nil {
		return fmt.Errorf("cache of ConfigMap %s: %w", g.name, err)
	}
	go g.informer.RunWithContext(ctx)
	return waitOptional(ctx, "ConfigMap "+g.name, g.informer)
}

// On tells whether the gate is on.
func (g *HoldGate) On() bool {
	if g == nil {
		return false
	}
	_, exists, err := g.informer.GetStore().GetByKey(g.name)
	// As long as the cache has not seen anything, nothing is let go.
	return (exists && err == nil) || !g.informer.HasSynced()
}

// OnChange calls the handler when the gate is switched on or off, and when it turns
// out, later than Start waits, that it was off all the time.
func (g *HoldGate) OnChange(ctx context.Context, handler func()) error {
	if g == nil {
		return nil
	}
	_, err := OnEvent(g.informer, func(old, current *corev1.ConfigMap) {
		if old == nil || current == nil {
			handler()
		}
	})
	if !g.informer.HasSynced() {
		go func() {
			if cache.WaitFor(ctx, "", g.informer.HasSyncedChecker()) {
				handler()
			}
		}()
	}
	return err
}
