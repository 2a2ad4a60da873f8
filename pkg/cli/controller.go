package cli

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
)

// Controller is the running controller as far as it is visible.
type Controller struct {
	// Deployment is its namespace/name.
	Deployment string `json:"deployment"`
	// State is "found", "not found" or "not visible".
	State string `json:"state"`
	// Replicas are wanted, ReadyReplicas ready. Both are 0 unless it was found.
	Replicas      int32 `json:"replicas"`
	ReadyReplicas int32 `json:"readyReplicas"`
	// Leader is who renewed the Lease a moment ago; empty if nobody did.
	Leader string `json:"leader,omitempty"`
	// Down says why nobody writes Clusters, Next what to do about it; both are empty if
	// somebody does, or if that cannot be seen.
	Down string `json:"down,omitempty"`
	Next string `json:"next,omitempty"`
	// Image is that of the Deployment.
	Image string `json:"image,omitempty"`
	// Settings are those by which Clusters were judged.
	Settings Settings `json:"settings"`
	// Problem says why the Deployment's flags could not be used.
	Problem string `json:"problem,omitempty"`
}

// Values of Controller.State.
const (
	controllerFound    = "found"
	controllerNotFound = "not found"
	controllerUnseen   = "not visible"
)

// show notes what the Deployment says.
func (c *Controller) show(deployment *appsv1.Deployment) {
	c.State, c.Replicas, c.ReadyReplicas = controllerFound, 1, deployment.Status.ReadyReplicas
	if deployment.Spec.Replicas != nil {
		c.Replicas = *deployment.Spec.Replicas
	}
	if manager := managerOf(deployment); manager != nil {
		c.Image = manager.Image
	}
}

// findLease returns a Lease, nil if there is none or, not allowed, if it is not visible.
type findLease func(namespace, name string) (lease *coordinationv1.Lease, allowed bool, err error)

// lease is a findLease that asks.
func (r *reading) lease(ctx context.Context, namespace, name string) (*coordinationv1.Lease, bool, error) {
	object, err := r.client.Resource(leases.GroupVersionResource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return nil, apierrors.IsNotFound(err), nil
	case err != nil:
		return nil, false, fmt.Errorf("get Lease %s/%s: %w", namespace, name, err)
	}
	lease, err := decodeOne[coordinationv1.Lease](object)
	return lease, true, err
}

// judge finds out whether anybody writes Clusters: the Deployment's replicas, or whoever holds
// the Lease, from wherever it runs.
func (c *Controller) judge(find findLease, set *config.Config, now time.Time) error {
	namespace, lease := set.ElectionLease()
	held, allowed, err := find(namespace, lease)
	if err != nil {
		return err
	}
	if held != nil {
		c.Leader = leader(held, now)
	}
	unknown := c.State == controllerUnseen || c.State == controllerNotFound && !allowed
	if c.Leader != "" || c.ReadyReplicas > 0 || unknown {
		return nil
	}
	switch {
	case c.State == controllerNotFound:
		c.Down = "there is no Deployment " + c.Deployment + ", and nobody holds Lease " + lease
		c.Next = "install it, or name its namespace: --controller-namespace=NAMESPACE"
	case c.Replicas == 0:
		c.Down = "Deployment " + c.Deployment + " is scaled to 0"
		c.Next = fmt.Sprintf("kubectl scale deployment %s -n %s --replicas=2", managerName, set.LeaseNamespace)
	default:
		c.Down = fmt.Sprintf("0 of %d replicas of Deployment %s are ready", c.Replicas, c.Deployment)
		c.Next = fmt.Sprintf("kubectl describe pods -n %s -l control-plane=%s", set.LeaseNamespace, managerName)
	}
	return nil
}

// leader is who holds the Lease; empty if it was given back or has run out. What the clocks of
// this machine and of the leader differ by counts for nothing up to a minute.
func leader(lease *coordinationv1.Lease, now time.Time) string {
	spec := &lease.Spec
	if spec.HolderIdentity == nil || spec.RenewTime == nil || spec.LeaseDurationSeconds == nil {
		return ""
	}
	const skew = time.Minute
	if now.Sub(spec.RenewTime.Time) > time.Duration(*spec.LeaseDurationSeconds)*time.Second+skew {
		return ""
	}
	return *spec.HolderIdentity
}
