package kube

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// conditionOps is the patch from the Cluster's conditions to the wanted ones.
func conditionOps(cluster *clusterv1.Cluster, want map[string]vip.Condition, now metav1.Time) []vip.PatchOp {
	list := "/status/conditions"
	if isV1Beta1(cluster) {
		list = "/status/v1beta2/conditions"
	}
	if len(cluster.Status.Conditions) == 0 {
		// Cluster API's own first status write wakes us again, and then there is a list to add to.
		return nil
	}
	var tests, changes []vip.PatchOp
	var removed []int
	for _, role := range vip.Roles() {
		conditionType := role.ConditionType()
		at, old := findCondition(cluster.Status.Conditions, conditionType)
		condition, wanted := want[conditionType]
		if old == nil {
			if wanted {
				changes = append(changes, vip.PatchOp{Op: "add", Path: list + "/-", Value: newCondition(cluster, conditionType, condition, nil, now)})
			}
			continue
		}
		if wanted && sameCondition(old, condition) {
			continue
		}
		path := fmt.Sprintf("%s/%d", list, at)
		tests = append(tests, vip.PatchOp{Op: "test", Path: path + "/type", Value: conditionType})
		if wanted {
			changes = append(changes, vip.PatchOp{Op: "replace", Path: path, Value: newCondition(cluster, conditionType, condition, old, now)})
		} else {
			removed = append(removed, at)
		}
	}
	// Removals come last and from the end, so that no index shifts.
	slices.Sort(removed)
	for _, at := range slices.Backward(removed) {
		changes = append(changes, vip.PatchOp{Op: "remove", Path: fmt.Sprintf("%s/%d", list, at)})
	}
	return append(tests, changes...)
}

func findCondition(conditions []metav1.Condition, conditionType string) (int, *metav1.Condition) {
	for i := range conditions {
		if conditions[i].Type == conditionType {
			return i, &conditions[i]
		}
	}
	return -1, nil
}

// FalseSince returns since when the role's condition has been False; zero if it is not.
func FalseSince(cluster *clusterv1.Cluster, role vip.Role) time.Time {
	_, condition := findCondition(cluster.Status.Conditions, role.ConditionType())
	if condition == nil || condition.Status != metav1.ConditionFalse {
		return time.Time{}
	}
	return condition.LastTransitionTime.Time
}

func sameCondition(old *metav1.Condition, want vip.Condition) bool {
	return old.Status == conditionStatus(want) && old.Reason == string(want.Reason) && old.Message == want.Message
}

func conditionStatus(condition vip.Condition) metav1.ConditionStatus {
	if condition.True {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

func newCondition(cluster *clusterv1.Cluster, conditionType string, want vip.Condition, old *metav1.Condition, now metav1.Time) metav1.Condition {
	condition := metav1.Condition{
		Type: conditionType, Status: conditionStatus(want), Reason: string(want.Reason), Message: want.Message,
		ObservedGeneration: cluster.Generation, LastTransitionTime: now,
	}
	if old != nil && old.Status == condition.Status {
		condition.LastTransitionTime = old.LastTransitionTime
	}
	return condition
}
