package kube

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var (
	earlier = metav1.Unix(1_000_000_000, 0)
	now     = metav1.NewTime(earlier.Add(time.Hour))
)

func clusterWith(conditions ...metav1.Condition) *clusterv1.Cluster {
	c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "c1", Generation: 7}}
	c.Status.Conditions = conditions
	return c
}

func condition(conditionType, status, reason, message string) metav1.Condition {
	return metav1.Condition{
		Type: conditionType, Status: metav1.ConditionStatus(status), Reason: reason, Message: message,
		ObservedGeneration: 3, LastTransitionTime: earlier,
	}
}

// applied is the Cluster's conditions after the patch, as the API server applies it.
func applied(t *testing.T, c *clusterv1.Cluster, ops []vip.PatchOp) ([]metav1.Condition, error) {
	t.Helper()
	document, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(ops)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(document)
	if err != nil {
		return nil, err
	}
	result := &clusterv1.Cluster{}
	if err := json.Unmarshal(patched, result); err != nil {
		t.Fatal(err)
	}
	for i := range result.Status.Conditions {
		result.Status.Conditions[i].LastTransitionTime = metav1.NewTime(result.Status.Conditions[i].LastTransitionTime.UTC())
	}
	return result.Status.Conditions, nil
}

func TestConditionOps(t *testing.T) {
	ready, available := condition("Ready", "True", "R", ""), condition("Available", "True", "A", "")
	control, ingress := condition("ControlPlaneVIPReady", "False", "NoPool", "none"), condition("IngressVIPReady", "True", "Allocated", "10.0.0.1")
	waiting := vip.Condition{Reason: vip.NoPool, Message: "none"}
	allocated := vip.Condition{True: true, Reason: vip.Allocated, Message: "10.0.0.1"}
	fresh := func(c metav1.Condition, at metav1.Time) metav1.Condition {
		c.ObservedGeneration, c.LastTransitionTime = 7, metav1.NewTime(at.UTC())
		return c
	}
	moved := condition("ControlPlaneVIPReady", "False", "PoolExhausted", "full")
	up := condition("ControlPlaneVIPReady", "True", "Allocated", "10.0.0.1")

	for _, test := range []struct {
		name   string
		before []metav1.Condition
		want   map[string]vip.Condition
		after  []metav1.Condition
	}{
		{"adds what is missing at the end", []metav1.Condition{ready}, map[string]vip.Condition{control.Type: waiting, ingress.Type: allocated}, []metav1.Condition{ready, fresh(control, now), fresh(ingress, now)}},
		{"writes nothing where nothing changed", []metav1.Condition{control, ready, ingress}, map[string]vip.Condition{control.Type: waiting, ingress.Type: allocated}, nil},
		{"replaces in place and keeps the time of an unchanged status", []metav1.Condition{ready, control}, map[string]vip.Condition{control.Type: {Reason: vip.PoolExhausted, Message: "full"}}, []metav1.Condition{ready, fresh(moved, earlier)}},
		{"sets the time when the status turns", []metav1.Condition{control, ready}, map[string]vip.Condition{control.Type: allocated}, []metav1.Condition{fresh(up, now), ready}},
		{"removes both, from the end", []metav1.Condition{control, ready, ingress, available}, nil, []metav1.Condition{ready, available}},
		{"removes both although ours stand in the other order", []metav1.Condition{ingress, ready, control}, nil, []metav1.Condition{ready}},
		{"replaces one, removes the other before it", []metav1.Condition{control, ready, ingress}, map[string]vip.Condition{ingress.Type: waiting}, []metav1.Condition{ready, fresh(condition("IngressVIPReady", "False", "NoPool", "none"), now)}},
		{"adds one, removes the other", []metav1.Condition{ready, ingress}, map[string]vip.Condition{control.Type: waiting}, []metav1.Condition{ready, fresh(control, now)}},
		{"leaves an empty list to Cluster API", nil, map[string]vip.Condition{control.Type: waiting}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := clusterWith(test.before...)
			ops := conditionOps(c, test.want, now)
			if test.after == nil {
				if len(ops) > 0 {
					t.Errorf("wants %v", ops)
				}
				return
			}
			got, err := applied(t, c, ops)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(test.after)
			for i := range want {
				want[i].LastTransitionTime = metav1.NewTime(want[i].LastTransitionTime.UTC())
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if again := conditionOps(clusterWith(got...), test.want, now); len(again) > 0 {
				t.Errorf("the next pass would patch again: %v", again)
			}
		})
	}
}

// Cluster API sorts the list whenever it writes it, so an index may lead to
// somebody else's condition by the time the patch arrives.
func TestConditionOpsFailOnAListThatWasSortedAnew(t *testing.T) {
	control, ready, ingress := condition("ControlPlaneVIPReady", "False", "NoPool", ""), condition("Ready", "True", "R", ""), condition("IngressVIPReady", "False", "NoPool", "")
	seen := clusterWith(control, ready, ingress)
	for name, want := range map[string]map[string]vip.Condition{
		"replaced": {control.Type: {True: true, Reason: vip.Manual}, ingress.Type: {Reason: vip.NoPool}},
		"removed":  {control.Type: {Reason: vip.NoPool}},
	} {
		t.Run(name, func(t *testing.T) {
			ops := conditionOps(seen, want, now)
			for _, sorted := range [][]metav1.Condition{{ready, control, ingress}, {ingress, ready, control}, {ready}} {
				affected := sorted[0].Type != control.Type
				if name == "removed" {
					affected = len(sorted) < 3 || sorted[2].Type != ingress.Type
				}
				if _, err := applied(t, clusterWith(sorted...), ops); affected && err == nil {
					t.Errorf("applies to %v", sorted)
				}
			}
		})
	}
}

func TestConditionsOfV1Beta1AreBesideTheOldOnes(t *testing.T) {
	c := clusterWith(condition("Ready", "True", "R", ""))
	c.APIVersion = "cluster.x-k8s.io/v1beta1"
	for _, op := range conditionOps(c, map[string]vip.Condition{vip.Ingress.ConditionType(): {Reason: vip.NoPool}}, now) {
		if op.Path != "/status/v1beta2/conditions/-" {
			t.Errorf("%s %s", op.Op, op.Path)
		}
	}
}
