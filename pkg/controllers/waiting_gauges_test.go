package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics/metricstest"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func clusterOf(namespace, name, uid string) *clusterv1.Cluster {
	cluster := &clusterv1.Cluster{ObjectMeta: named(namespace, name)}
	cluster.UID = types.UID(uid)
	return cluster
}

func TestWaitingClusters(t *testing.T) {
	m, pass := clock()
	// No pass has seen yet that a/gone is gone and a/anew another one.
	h := &handler{expectations: m, observer: observerOf(
		clusterOf("a", "one", "u-1"), clusterOf("b", "one", "u-2"), clusterOf("a", "served", "u-3"), clusterOf("a", "anew", "u-4"),
	)}
	for _, seen := range []struct {
		key, uid string
		reason   vip.Reason
	}{
		{"a/one", "u-1", vip.NoPool}, {"b/one", "u-2", vip.NoPool}, {"a/served", "u-3", vip.Allocated}, {"a/anew", "u-old", vip.NoPool}, {"a/gone", "u-5", vip.NoPool},
	} {
		d := ingressIs(seen.reason, false)
		d.Roles[vip.ControlPlane] = &vip.Outcome{Role: vip.ControlPlane, Reason: vip.Manual}
		if seen.key == "a/one" {
			// What normally passes by itself counts as well.
			d.Roles[vip.ControlPlane].Reason = vip.ClaimPending
		}
		passOver(m, seen.key, seen.uid, d)
		pass(time.Second)
	}
	metricstest.Compare(t, metricstest.Scrape(t, h.showWaiting, metrics.WaitingClusters, metrics.OldestWaiting), map[string]float64{
		"waiting_clusters{NoPool,ingress}": 2, "oldest_waiting_seconds{NoPool,ingress}": 5,
		"waiting_clusters{ClaimPending,control-plane}": 1, "oldest_waiting_seconds{ClaimPending,control-plane}": 5,
	})
}

// A new process asks the condition, which only tells of what was reported.
func TestTheConditionRemembersTheBeginningOfAWait(t *testing.T) {
	for _, test := range []struct {
		name      string
		condition metav1.Condition
		seconds   float64
	}{
		{"while it is False", metav1.Condition{Type: vip.Ingress.ConditionType(), Status: metav1.ConditionFalse}, 3600},
		{"not while it is True", metav1.Condition{Type: vip.Ingress.ConditionType(), Status: metav1.ConditionTrue}, 0},
		{"not that of the other role", metav1.Condition{Type: vip.ControlPlane.ConditionType(), Status: metav1.ConditionFalse}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, pass := clock()
			cluster := clusterOf("a", "b", "u-1")
			test.condition.LastTransitionTime = metav1.NewTime(m.now())
			cluster.Status.Conditions = []metav1.Condition{test.condition}
			pass(time.Hour)
			h := &handler{expectations: m, observer: observerOf(cluster)}
			passOver(m, "a/b", "u-1", ingressIs(vip.NoPool, false))
			metricstest.Compare(t, metricstest.Scrape(t, h.showWaiting, metrics.WaitingClusters, metrics.OldestWaiting), map[string]float64{"waiting_clusters{NoPool,ingress}": 1, "oldest_waiting_seconds{NoPool,ingress}": test.seconds})
		})
	}
}

// held is a Cluster that the hold gate keeps paused since it was created.
func held(namespace, name string, created time.Time) *clusterv1.Cluster {
	cluster := clusterOf(namespace, name, "u")
	cluster.CreationTimestamp = metav1.NewTime(created)
	cluster.Annotations = map[string]string{vip.HeldAnnotation: "true"}
	cluster.Spec.Paused = new(true)
	return cluster
}

func TestHeldClusters(t *testing.T) {
	m, pass := clock()
	created := m.now()
	pass(time.Minute)
	byUser, elsewhere := held("a", "by-user", created), held("b", "elsewhere", created)
	byUser.Annotations[vip.PausedAnnotation] = ""
	for _, test := range []struct {
		name     string
		clusters []*clusterv1.Cluster
		count    float64
		oldest   float64
	}{
		{"none", []*clusterv1.Cluster{clusterOf("a", "one", "u"), byUser, elsewhere}, 0, 0},
		{"two", []*clusterv1.Cluster{held("a", "one", created.Add(30*time.Second)), held("a", "two", created.Add(10*time.Second)), byUser, elsewhere}, 2, 50},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &handler{expectations: m, observer: observerOf(test.clusters...)}
			h.observer.Settings.Namespace = "a"
			metricstest.Compare(t, metricstest.Scrape(t, h.showHeld, metrics.HeldClusters, metrics.OldestHeld), map[string]float64{
				"held_clusters{}": test.count, "oldest_held_seconds{}": test.oldest,
			})
		})
	}
}
