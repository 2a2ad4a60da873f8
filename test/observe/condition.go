package observe

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// Condition returns the condition of that type as it stands in the object's status, or
// nil if there is none.
func Condition(object *unstructured.Unstructured, conditionType string) map[string]any {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		if condition, ok := entry.(map[string]any); ok && condition["type"] == conditionType {
			return condition
		}
	}
	return nil
}
