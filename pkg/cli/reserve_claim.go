package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	// claimInterval is how often the API server is asked whether the claim is bound.
	claimInterval = 200 * time.Millisecond
	// withdrawTimeout bounds what is done after the time was up, or after an interrupt.
	withdrawTimeout = 10 * time.Second
)

func (r *reserver) claims() dynamic.ResourceInterface { return r.of(claims).Namespace(r.namespace) }

// live reads the claim from the API server; nil if there is none, or another one.
func (r *reserver) live(ctx context.Context, uid types.UID) (*ipamv1.IPAddressClaim, error) {
	object, err := r.claims().Get(ctx, r.role.ClaimName(r.name), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", r.title(), err)
	}
	claim, err := decodeOne[ipamv1.IPAddressClaim](object)
	if err != nil || claim.UID != uid {
		return nil, err
	}
	return claim, nil
}

func (r *reserver) create(ctx context.Context, claim *ipamv1.IPAddressClaim) (*ipamv1.IPAddressClaim, error) {
	claim.APIVersion, claim.Kind = r.served.Kind(ipamv1.GroupVersion.WithKind("IPAddressClaim")).ToAPIVersionAndKind()
	data, err := json.Marshal(claim)
	object := &unstructured.Unstructured{}
	if err == nil {
		err = object.UnmarshalJSON(data)
	}
	if err == nil {
		object, err = r.claims().Create(ctx, object, metav1.CreateOptions{FieldManager: pluginName})
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", r.title(), err)
	}
	return decodeOne[ipamv1.IPAddressClaim](object)
}

// prolong keeps a reservation for at least as long as was asked for now.
func (r *reserver) prolong(ctx context.Context, claim *ipamv1.IPAddressClaim) error {
	until, reserved, err := kube.ReservedUntil(claim)
	wanted := time.Now().Add(r.keep)
	if err != nil || !reserved || !until.Before(wanted) {
		return err
	}
	path := "/metadata/annotations/" + strings.ReplaceAll(vip.ReservedUntilAnnotation, "/", "~1")
	// Who takes the reservation back at the same moment deletes the version that was read, so
	// one of the two fails.
	patch, err := json.Marshal([]vip.PatchOp{
		{Op: "test", Path: "/metadata/uid", Value: string(claim.UID)},
		{Op: "test", Path: path, Value: claim.Annotations[vip.ReservedUntilAnnotation]},
		{Op: "replace", Path: path, Value: kube.FormatReservedUntil(wanted)},
	})
	if err == nil {
		_, err = r.claims().Patch(ctx, claim.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: pluginName})
	}
	if err != nil {
		return fmt.Errorf("keep %s for longer: %w", r.title(), err)
	}
	return nil
}

// await waits until the claim is bound to an IPAddress that can be read.
func (r *reserver) await(ctx context.Context, claim *ipamv1.IPAddressClaim) error {
	return wait.PollUntilContextCancel(ctx, claimInterval, true, func(ctx context.Context) (bool, error) {
		live, err := r.live(ctx, claim.UID)
		switch {
		case err != nil:
			return false, err
		case live == nil || !live.DeletionTimestamp.IsZero():
			return false, fmt.Errorf("%s was deleted by somebody else", r.title())
		case live.Status.AddressRef.Name == "":
			return false, nil
		}
		_, err = r.of(addresses).Namespace(r.namespace).Get(ctx, live.Status.AddressRef.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// gone waits until the claim does not exist.
func (r *reserver) gone(ctx context.Context, claim *ipamv1.IPAddressClaim) error {
	err := wait.PollUntilContextCancel(ctx, claimInterval, true, func(ctx context.Context) (bool, error) {
		live, err := r.live(ctx, claim.UID)
		return live == nil && err == nil, err
	})
	if err != nil {
		return fmt.Errorf("%s is being released: %w", r.title(), err)
	}
	return nil
}

// errLate says that no address was bound in time.
var errLate = errors.New("the time is up")

// withdraw takes back a claim that is not bound, for the cause. One that was bound at the
// last moment is kept: there is no error then.
func (r *reserver) withdraw(ctx context.Context, claim *ipamv1.IPAddressClaim, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	late := errors.Is(cause, errLate)
	if late {
		cause = fmt.Errorf("%s is not bound after %s: %s", r.title(), r.timeout, r.unbound(ctx, claim))
	}
	for {
		live, err := r.live(ctx, claim.UID)
		switch {
		case err != nil || live == nil:
			return errors.Join(cause, err)
		case live.Status.AddressRef.Name != "" && late:
			return nil
		case live.Status.AddressRef.Name != "" || len(live.OwnerReferences) > 0:
			return cause
		}
		if err := r.remove(ctx, live); !apierrors.IsConflict(err) {
			return errors.Join(cause, err)
		}
	}
}

// remove deletes exactly the version that was read.
func (r *reserver) remove(ctx context.Context, claim *ipamv1.IPAddressClaim) error {
	err := r.claims().Delete(ctx, claim.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &claim.UID, ResourceVersion: &claim.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", r.title(), err)
	}
	return nil
}

// unbound says why the claim is not bound, as far as it can be told.
func (r *reserver) unbound(ctx context.Context, claim *ipamv1.IPAddressClaim) string {
	now, err := r.observe(ctx)
	if err != nil {
		return err.Error()
	}
	seen := now.snapshot.Claims[r.role]
	if seen == nil {
		return "it is gone"
	}
	if refusal := seen.Refusal; refusal != (vip.Refusal{}) {
		return fmt.Sprintf("its provider says %s: %s", refusal.Reason, vip.Short(refusal.Message))
	}
	pool := now.Pools.Get(seen.Pool)
	if pool == nil {
		return fmt.Sprintf("%s does not exist any more", seen.Pool)
	}
	if err := r.unable(now, pool); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("see whether the IPAM provider of %s runs, and what its log says of %s", pool.Ref, claim.Name)
}

// refuse gives up an address that somebody else has. One that was reserved before is not
// taken back: it may be in use by now.
func (r *reserver) refuse(ctx context.Context, claim *ipamv1.IPAddressClaim, reason vip.Reason, why string) error {
	cause := fmt.Errorf("%s: %s", reason, why)
	if reason == vip.AddressInUse {
		cause = fmt.Errorf("%w; free it there, or exclude it from the pool", cause)
	}
	if !r.made {
		return cause
	}
	return errors.Join(cause, r.remove(ctx, claim))
}
