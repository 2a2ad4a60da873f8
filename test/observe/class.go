package observe

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/dynamic"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// classTimeout is how long Cluster API may take for a class whose templates exist.
const classTimeout = 30 * time.Second

// AwaitClass waits until Cluster API has read the present version of a
// ClusterClass: Clusters of it are then built at once.
func AwaitClass(ctx context.Context, client dynamic.Interface, namespace, name string) error {
	ctx, cancel := context.WithTimeout(ctx, classTimeout)
	defer cancel()
	ready := make(chan struct{}, 1)
	err := Watch(ctx, client, ClusterClasses, func(e Event[clusterv1.ClusterClass]) {
		if e.Object.Name != name || e.Object.Namespace != namespace || !classReady(e.Object) {
			return
		}
		select {
		case ready <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster class %s/%s is not ready: %w", namespace, name, context.Cause(ctx))
	}
}

func classReady(class *clusterv1.ClusterClass) bool {
	return class.Status.ObservedGeneration == class.Generation &&
		meta.IsStatusConditionTrue(class.Status.Conditions, clusterv1.ClusterClassVariablesReadyCondition)
}
