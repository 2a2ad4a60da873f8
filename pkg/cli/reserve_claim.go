package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	// claimInterval is how often the API server is asked whether the claim is bound.
	claimInterval = 200 * time.Millisecond
	// withdrawTimeout bounds what is done after the time was up, or after an interrupt.
	withdrawTimeout = 10 * time.Second
)

// live reads the claim from the API server; nil if there is none, or another one.
func (r *reserver) live(ctx context.Context, uid types.UID) (*ipamv1.IPAddressClaim, error) {
	return r.reservations.Get(ctx, r.namespace, r.role.ClaimName(r.name), uid)
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
		if err := r.reservations.Delete(ctx, live); !apierrors.IsConflict(err) {
			return errors.Join(cause, err)
		}
	}
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		live, err := r.live(ctx, claim.UID)
		if err != nil || live == nil || len(live.OwnerReferences) > 0 {
			return err
		}
		return r.reservations.Delete(ctx, live)
	})
	return errors.Join(cause, err)
}
