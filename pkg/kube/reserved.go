package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ReservedClaim is a claim for a Cluster of that name, which need not exist. It lacks the
// label with the Cluster's name: providers pass over claims of a Cluster that does not exist.
func ReservedClaim(cluster *vip.Cluster, role vip.Role, pool vip.PoolRef, until time.Time) *ipamv1.IPAddressClaim {
	claim := &ipamv1.IPAddressClaim{ObjectMeta: metav1.ObjectMeta{
		Namespace: cluster.Namespace, Name: role.ClaimName(cluster.Name),
		Labels:      map[string]string{vip.PoolRoleKey: string(role)},
		Annotations: map[string]string{vip.ReservedUntilAnnotation: FormatReservedUntil(until)},
	}}
	if filter := cluster.Labels[vip.WatchFilterLabel]; filter != "" {
		claim.Labels[vip.WatchFilterLabel] = filter
	}
	claim.Spec.PoolRef = ipamv1.IPPoolReference{APIGroup: pool.Group, Kind: pool.Kind, Name: pool.Name}
	return claim
}

// FormatReservedUntil is how ReservedUntil reads a time.
func FormatReservedUntil(until time.Time) string { return until.UTC().Format(time.RFC3339) }

// ReservedUntil tells until when the claim is reserved; reserved is false for one that is
// not, or that has an owner by now.
func ReservedUntil(claim *ipamv1.IPAddressClaim) (until time.Time, reserved bool, err error) {
	text, stated := claim.Annotations[vip.ReservedUntilAnnotation]
	if !stated || len(claim.OwnerReferences) > 0 {
		return time.Time{}, false, nil
	}
	if until, err = ParseReservedUntil(text); err != nil {
		return time.Time{}, true, fmt.Errorf("annotation %s of claim %s/%s: %w", vip.ReservedUntilAnnotation, claim.Namespace, claim.Name, err)
	}
	return until, true, nil
}

// ParseReservedUntil reads the annotation; the error quotes it.
func ParseReservedUntil(text string) (time.Time, error) {
	until, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.80q is no time in RFC 3339", text)
	}
	return until, nil
}

// Reservations writes reserved claims with a user's own rights.
type Reservations struct {
	client  dynamic.NamespaceableResourceInterface
	kind    schema.GroupVersionKind // as it is served
	manager string
}

// NewReservations writes as the field manager.
func NewReservations(client dynamic.Interface, served Served, manager string) *Reservations {
	return &Reservations{
		client:  client.Resource(served.Resource(ipamv1.GroupVersion.WithResource("ipaddressclaims"))),
		kind:    served.Kind(ipamv1.GroupVersion.WithKind("IPAddressClaim")),
		manager: manager,
	}
}

// Get reads the claim from the API server; nil if there is none of that name and uid.
func (r *Reservations) Get(ctx context.Context, namespace, name string, uid types.UID) (*ipamv1.IPAddressClaim, error) {
	object, err := r.client.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get claim %s/%s: %w", namespace, name, err)
	}
	claim := &ipamv1.IPAddressClaim{}
	if err := Decode(object, claim); err != nil || claim.UID != uid {
		return nil, err
	}
	return claim, nil
}

// Create makes the claim.
func (r *Reservations) Create(ctx context.Context, claim *ipamv1.IPAddressClaim) (*ipamv1.IPAddressClaim, error) {
	claim.APIVersion, claim.Kind = r.kind.ToAPIVersionAndKind()
	data, err := json.Marshal(claim)
	object := &unstructured.Unstructured{}
	if err == nil {
		err = object.UnmarshalJSON(data)
	}
	if err == nil {
		object, err = r.client.Namespace(claim.Namespace).Create(ctx, object, metav1.CreateOptions{FieldManager: r.manager})
	}
	if err != nil {
		return nil, fmt.Errorf("create claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	made := &ipamv1.IPAddressClaim{}
	return made, Decode(object, made)
}

// Prolong keeps a reservation at least until then. It fails as Invalid if the claim was
// changed since it was read.
func (r *Reservations) Prolong(ctx context.Context, claim *ipamv1.IPAddressClaim, wanted time.Time) error {
	until, reserved, err := ReservedUntil(claim)
	if err != nil || !reserved || !until.Before(wanted) {
		return err
	}
	path := "/metadata/annotations/" + vip.EscapePointer(vip.ReservedUntilAnnotation)
	// Who takes the reservation back at the same moment deletes the version that was read, so
	// one of the two fails.
	patch, err := json.Marshal([]vip.PatchOp{
		{Op: "test", Path: "/metadata/uid", Value: string(claim.UID)},
		{Op: "test", Path: path, Value: claim.Annotations[vip.ReservedUntilAnnotation]},
		{Op: "replace", Path: path, Value: FormatReservedUntil(wanted)},
	})
	if err == nil {
		_, err = r.client.Namespace(claim.Namespace).Patch(ctx, claim.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: r.manager})
	}
	if err != nil {
		return fmt.Errorf("keep claim %s/%s for longer: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}

// Delete deletes exactly the version that was read: one that was bound or taken over
// meanwhile survives, and the API server answers with a conflict.
func (r *Reservations) Delete(ctx context.Context, claim *ipamv1.IPAddressClaim) error {
	err := r.client.Namespace(claim.Namespace).Delete(ctx, claim.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &claim.UID, ResourceVersion: &claim.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}
