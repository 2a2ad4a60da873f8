package controllers

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// show has it read at each scrape who waits.
func (h *handler) show(m *metrics.Metrics) {
	m.Show(h.showWaiting, metrics.WaitingClusters, metrics.OldestWaiting)
	m.Show(h.showHeld, metrics.HeldClusters, metrics.OldestHeld)
}

// showWaiting shows what the last reconciles left waiting, not the conditions,
// since these leave out what normally passes by itself; and only of Clusters
// that exist, whether or not a pass has seen that one is gone.
func (h *handler) showWaiting(r metrics.Readings) error {
	now := h.expectations.now()
	for _, waits := range h.expectations.waiting() {
		namespace, name, err := cache.SplitMetaNamespaceKey(waits.key)
		if err != nil {
			return fmt.Errorf("key %q: %w", waits.key, err)
		}
		cluster, err := h.observer.Clusters.Get(namespace, name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get Cluster %s: %w", waits.key, err)
		}
		if string(cluster.UID) == waits.uid {
			r.Add(metrics.WaitingClusters, 1, string(waits.role), string(waits.reason))
			// The condition remembers it from before this process.
			if before := kube.FalseSince(cluster, waits.role); !before.IsZero() && before.Before(waits.since) {
				waits.since = before
			}
			r.Max(metrics.OldestWaiting, now.Sub(waits.since).Seconds(), string(waits.role), string(waits.reason))
		}
	}
	return nil
}

// showHeld shows the Clusters that our hold gate keeps paused.
func (h *handler) showHeld(r metrics.Readings) error {
	clusters, err := h.observer.Clusters.List(metav1.NamespaceAll, labels.Everything())
	if err != nil {
		return fmt.Errorf("list Clusters: %w", err)
	}
	r.Add(metrics.HeldClusters, 0)
	r.Max(metrics.OldestHeld, 0)
	now := h.expectations.now()
	for _, cluster := range clusters {
		if _, marked := cluster.Annotations[vip.HeldAnnotation]; !marked {
			continue
		}
		if view := kube.Cluster(cluster); view.Held() && h.observer.Settings.Reach(&view) {
			r.Add(metrics.HeldClusters, 1)
			r.Max(metrics.OldestHeld, now.Sub(cluster.CreationTimestamp.Time).Seconds())
		}
	}
	return nil
}
