package controllers

import (
	"context"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// bookingsPerSecond is how fast typed VIPs are booked: a fleet that was there before us
// comes all at once, and the provider looks at the whole pool for each. New Clusters are
// steered around what is not booked yet, so there is no hurry.
const bookingsPerSecond = 10

// bookkeeper books VIPs that people typed in the pools that could hand them out, and keeps
// claims that were reserved before their Cluster. It has a queue and a worker of its own, so
// that no allocation waits for it.
type bookkeeper struct {
	ctx      context.Context // of requests
	observer *snapshot.Observer
	claims   *kube.Claims
	recorder record.EventRecorder
	metrics  *metrics.Metrics
	underWay *sync.RWMutex
	queue    workqueue.TypedRateLimitingInterface[string]
}

func newBookkeeper(ctx context.Context, o *snapshot.Observer, claims *kube.Claims, recorder record.EventRecorder, m *metrics.Metrics, underWay *sync.RWMutex) *bookkeeper {
	return &bookkeeper{
		ctx: ctx, observer: o, claims: claims, recorder: recorder, metrics: m, underWay: underWay,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, 5*time.Minute),
			workqueue.TypedRateLimitingQueueConfig[string]{Name: "bookings"}),
	}
}

// check has the Cluster looked at if there is anything to do for it.
func (b *bookkeeper) check(key string, s *vip.Snapshot) {
	todo, err := b.observer.Bookings(s)
	reserved, errReserved := b.observer.Reserved(&s.Cluster)
	if len(todo)+len(reserved) > 0 || err != nil || errReserved != nil {
		b.queue.Add(key)
	}
}

// checkGone has a Cluster looked at that does not exist, if anything is kept for it.
func (b *bookkeeper) checkGone(namespace, name string) {
	left, err := b.observer.LeftBookings(namespace, name)
	reserved, errReserved := b.observer.Reserved(&vip.Cluster{Namespace: namespace, Name: name})
	if len(left)+len(reserved) > 0 || err != nil || errReserved != nil {
		b.queue.Add(namespace + "/" + name)
	}
}

// run works until ctx ends.
func (b *bookkeeper) run(ctx context.Context) {
	pace := flowcontrol.NewTokenBucketRateLimiter(bookingsPerSecond, 1)
	work(ctx, b.queue, func(key string) error {
		b.underWay.RLock()
		defer b.underWay.RUnlock()
		err := b.handle(key, func() error { return pace.Wait(ctx) })
		if err != nil {
			logrus.WithError(err).WithField("cluster", key).Warn("Cannot book a typed VIP; trying again")
		}
		return err
	})
}

func (b *bookkeeper) handle(key string, pace func() error) (err error) {
	defer b.metrics.Recovered("bookings of Cluster "+key, &err)
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	if only := b.observer.Settings.Namespace; only != "" && only != namespace {
		return nil // another allocator's
	}
	cluster, err := b.observer.Clusters.Get(namespace, name)
	if apierrors.IsNotFound(err) {
		return b.keepGone(key, &vip.Cluster{Namespace: namespace, Name: name})
	}
	if err != nil {
		return err
	}
	s, err := b.observer.Observe(cluster)
	if err != nil {
		return err
	}
	todo, err := b.observer.Bookings(s)
	if err != nil {
		return err
	}
	if err := b.keepReserved(key, s); err != nil {
		return err
	}
	return b.book(key, cluster, s, todo, pace)
}

func (b *bookkeeper) keepGone(key string, c *vip.Cluster) error {
	left, err := b.observer.LeftBookings(c.Namespace, c.Name)
	if err != nil {
		return err
	}
	for _, booking := range left {
		if err := b.claims.Unbook(b.ctx, booking.Release); err != nil {
			return err
		}
	}
	return b.keepReserved(key, &vip.Snapshot{Cluster: *c})
}

// keepReserved gives claims that were reserved to the Cluster, once it is there, and deletes
// those whose time is over. For a Cluster with a topology the planner does the first.
func (b *bookkeeper) keepReserved(key string, s *vip.Snapshot) error {
	claims, err := b.observer.Reserved(&s.Cluster)
	if err != nil {
		return err
	}
	for _, claim := range claims {
		fields := logrus.Fields{"cluster": key, "role": string(claim.Role), "claim": claim.Name}
		switch left := time.Until(claim.Until); {
		case claim.Err != nil:
			logrus.WithFields(fields).Warnf("The claim stays: annotation %s: %v", vip.ReservedUntilAnnotation, claim.Err)
		case vip.TakesReserved(s, claim.Claim):
			adopted, err := b.claims.Adopt(b.ctx, &s.Cluster, claim.Claim)
			if err != nil {
				return err
			}
			if adopted {
				logrus.WithFields(fields).Info("Adopted a reserved claim")
			}
		case left > 0:
			b.queue.AddAfter(key, left)
		case names(&s.Cluster, claim.Claim):
			// Somebody relies on it, although it is not the Cluster's.
		default:
			err := b.claims.Delete(b.ctx, s.Cluster.Namespace, claim.Claim)
			if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
				continue // its own event tells
			}
			if err != nil {
				return err
			}
			logrus.WithFields(fields).Info("Released a reserved claim whose time is over")
		}
	}
	return nil
}

// names tells whether the Cluster names the claim's address anywhere.
func names(c *vip.Cluster, claim *vip.Claim) bool {
	if claim.Address == nil {
		return false
	}
	key, ok := vip.Key(claim.Address.Text)
	return ok && vip.Addresses(c)[key]
}

func (b *bookkeeper) book(key string, cluster *clusterv1.Cluster, s *vip.Snapshot, todo []snapshot.Booking, pace func() error) error {
	for _, booking := range todo {
		if err := pace(); err != nil {
			return err
		}
		if booking.Release != nil {
			if err := b.claims.Unbook(b.ctx, booking.Release); err != nil {
				return err
			}
			logrus.WithFields(logrus.Fields{"cluster": key, "role": string(booking.Role), "address": booking.Release.Spec.Address}).Info("Released the booking of a typed VIP")
			continue
		}
		address := booking.Key.Unmap().String()
		if err := b.claims.Book(b.ctx, &s.Cluster, booking.Role, booking.Pool, booking.Key); err != nil {
			b.recorder.Eventf(cluster, corev1.EventTypeWarning, string(vip.NotBooked), "%s: %s is not booked in %s: %s", booking.Role, address, booking.Pool.Ref, vip.Short(err.Error()))
			return err
		}
		b.recorder.Eventf(cluster, corev1.EventTypeNormal, string(vip.Booked), "%s: %s is kept in %s by IPAddress %s", booking.Role, address, booking.Pool.Ref, booking.Role.BookingName(s.Cluster.Name))
		logrus.WithFields(logrus.Fields{"cluster": key, "role": string(booking.Role), "pool": booking.Pool.Ref.String(), "address": address}).Info("Booked a typed VIP")
	}
	return nil
}
