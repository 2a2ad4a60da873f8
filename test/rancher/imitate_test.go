package rancher

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/rancher/wrangler/v3/pkg/apply"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// An imitator does once what another controller does whenever it reconciles.
type imitator func(ctx context.Context) error

const (
	short  = 20 * time.Second
	minute = time.Minute
	// beat is the time between two reconciles of an imitator.
	beat = 20 * time.Millisecond
)

// during lets the imitators reconcile all the time while the script runs, and on to
// the end of the fight. In its last half, which begins once the script is over for a
// while, nobody of ours may write the targets.
func (w *world) during(imitators []imitator, targets []*object, script func()) {
	w.t.Helper()
	length := short
	if *long {
		length = minute
	}
	begin := time.Now()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, len(imitators))
	for _, imitate := range imitators {
		go func() {
			for ctx.Err() == nil {
				if err := imitate(ctx); err != nil && ctx.Err() == nil {
					done <- err
					return
				}
				time.Sleep(beat)
			}
			done <- nil
		}()
	}
	script()
	// These are the lengths of the fight, not waits for something.
	time.Sleep(max(time.Until(begin.Add(length/2)), length/4))
	since := w.mark()
	time.Sleep(length / 2)
	for _, target := range targets {
		if writes := target.writes(since); len(writes) > 0 {
			w.t.Errorf("%s is still written: %+v", target.name, writes)
		}
	}
	cancel()
	for range imitators {
		if err := <-done; err != nil {
			w.t.Errorf("an imitator ended: %v", err)
		}
	}
}

// turtles copies the labels of a Cluster to its Rancher Cluster, as Rancher Turtles
// does: it adds and overwrites, by a merge patch with a lock on resourceVersion.
func (w *world) turtles(cluster, target *object) imitator {
	return func(ctx context.Context) error {
		from, err := w.in(observe.Clusters, cluster.namespace).Get(ctx, cluster.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		to, err := w.in(rancherClusters, "").Get(ctx, target.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		labels := from.GetLabels()
		maps.DeleteFunc(labels, func(key, _ string) bool {
			return strings.Contains(key, "cattle.io") || strings.Contains(key, "x-k8s.io")
		})
		patch := newObject("management.cattle.io/v3", "Cluster", "", target.name)
		patch.SetLabels(labels)
		patch.SetResourceVersion(to.GetResourceVersion())
		data, err := patch.MarshalJSON()
		if err != nil {
			return err
		}
		_, err = w.in(rancherClusters, "").Patch(ctx, target.name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: "turtles"})
		if apierrors.IsConflict(err) {
			return nil
		}
		return err
	}
}

// ranchers makes the Fleet Cluster of a Rancher Cluster, as Rancher does: labels and
// annotations but for its own, through the three-way apply of wrangler.
func (w *world) ranchers(target *object) imitator {
	w.t.Helper()
	applier := w.applier()
	return func(ctx context.Context) error {
		from, err := w.in(rancherClusters, "").Get(ctx, target.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		to := newObject("fleet.cattle.io/v1alpha1", "Cluster", w.workspace, target.name)
		to.SetLabels(withoutCattle(from.GetLabels()))
		to.SetAnnotations(withoutCattle(from.GetAnnotations()))
		labels := to.GetLabels()
		labels[derived] = target.name
		to.SetLabels(labels)
		return applier.WithContext(ctx).WithSetID("fleet-cluster").WithOwner(from).ApplyObjects(to)
	}
}

// insists keeps one label of an object at a value, by the same three-way apply.
func (w *world) insists(target *object, key, value string) imitator {
	w.t.Helper()
	applier := w.applier()
	return func(ctx context.Context) error {
		found, err := w.in(target.resource, target.namespace).Get(ctx, target.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		wanted := newObject(found.GetAPIVersion(), found.GetKind(), target.namespace, target.name)
		wanted.Object["spec"] = found.Object["spec"]
		wanted.SetLabels(found.GetLabels())
		labels := wanted.GetLabels()
		labels[key] = value
		wanted.SetLabels(labels)
		err = applier.WithContext(ctx).WithSetID("insists").ApplyObjects(wanted)
		if err != nil && strings.Contains(err.Error(), "the object has been modified") {
			return nil
		}
		return err
	}
}

func (w *world) applier() apply.Apply {
	w.t.Helper()
	config := w.management.Config()
	config.UserAgent = "rancher"
	applier, err := apply.NewForConfig(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return applier.WithDynamicLookup().WithNoDelete().WithRateLimiting(1000)
}

func withoutCattle(values map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range values {
		if !strings.Contains(key, "cattle.io/") {
			kept[key] = value
		}
	}
	return kept
}

// caapf keeps the Fleet Cluster of a Cluster, as the Cluster API Addon Provider Fleet
// does: all labels and annotations, by server-side apply.
func (w *world) caapf(cluster *object, namespace, name string, force, owner bool) imitator {
	return func(ctx context.Context) error {
		from, err := w.in(observe.Clusters, cluster.namespace).Get(ctx, cluster.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		to := newObject("fleet.cattle.io/v1alpha1", "Cluster", namespace, name)
		to.SetLabels(from.GetLabels())
		to.SetAnnotations(from.GetAnnotations())
		to.Object["spec"] = map[string]any{"kubeConfigSecret": cluster.name + "-kubeconfig"}
		if owner {
			to.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "cluster.x-k8s.io/v1beta2", Kind: "Cluster", Name: from.GetName(), UID: from.GetUID()}})
		}
		return w.serverSide(ctx, to, addonManager, force)
	}
}

// serverSide applies the object. A conflict is for the next time.
func (w *world) serverSide(ctx context.Context, o *unstructured.Unstructured, manager string, force bool) error {
	_, err := w.in(fleetClusters, o.GetNamespace()).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: force})
	if apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("apply as %s: %w", manager, err)
	}
	return nil
}
