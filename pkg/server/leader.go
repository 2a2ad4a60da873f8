package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"

	"github.com/rancher/wrangler/v3/pkg/schemes"

	"github.com/gorizond/capi-vip-allocator/pkg/controllers"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

// errLeaseLost ends the process: what its caches and queues hold belongs to a
// leader, and a fresh start is the simplest way back to a standby.
var errLeaseLost = errors.New("lost the Lease")

// drainTimeout bounds how long a stopping leader waits for writes under way.
const drainTimeout = 5 * time.Second

// lead runs the controllers, once this replica holds the Lease if there is an election.
func (s *server) lead(ctx context.Context) error {
	if err := s.waitForOldController(ctx); err != nil {
		return nil //nolint:nilerr // only a stop ends the wait
	}
	if !s.config.LeaderElect {
		return s.control(ctx)
	}
	elector, err := s.elector(ctx)
	if err != nil {
		return err
	}
	s.health.watch(elector.LeaderElector)
	// The election outlives ctx until the controllers have come to rest: releasing
	// the Lease with a write under way would let two leaders write at once.
	election, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	elector.resign = stop
	go func() {
		select {
		case <-ctx.Done():
			elector.drain()
			stop()
		case <-election.Done():
		}
	}()
	elector.Run(election)
	if err := elector.failure(); err != nil || ctx.Err() != nil {
		return err
	}
	return errLeaseLost
}

type elector struct {
	*leaderelection.LeaderElector
	resign  context.CancelFunc // gives the Lease back
	stopped chan struct{}      // closed when the controllers have stopped
	mu      sync.Mutex
	started bool
	err     error
}

func (e *elector) failure() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// drain waits until the controllers have stopped, for a while.
func (e *elector) drain() {
	e.mu.Lock()
	started := e.started
	e.mu.Unlock()
	if !started {
		return
	}
	select {
	case <-e.stopped:
	case <-time.After(drainTimeout):
		logrus.Warnf("Writes are still under way after %s", drainTimeout)
	}
}

func (s *server) elector(ctx context.Context) (*elector, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("identity for leader election: %w", err)
	}
	identity := host + "_" + string(uuid.NewUUID())
	namespace, name := s.config.ElectionLease()
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, name,
		s.client.CoreV1(), s.client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		return nil, fmt.Errorf("lease %s/%s: %w", namespace, name, err)
	}
	e := &elector{stopped: make(chan struct{})}
	e.LeaderElector, err = leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: name,
		LeaseDuration: s.config.LeaseDuration, RenewDeadline: s.config.RenewDeadline, RetryPeriod: s.config.RetryPeriod,
		// A standby takes over at its next attempt instead of waiting for expiry.
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) { s.leadWith(ctx, leading, e) },
			OnStoppedLeading: func() { logrus.Info("Stopped leading") },
			OnNewLeader: func(leader string) {
				logrus.WithField("leader", leader).Info("Leader elected")
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("leader election: %w", err)
	}
	return e, nil
}

// leadWith runs the controllers until the process stops or the Lease is lost. A
// leader whose controllers do not run must not keep the Lease from the others.
func (s *server) leadWith(process, leading context.Context, e *elector) {
	e.mu.Lock()
	e.started = true
	e.mu.Unlock()
	defer close(e.stopped)
	both, cancel := context.WithCancel(leading)
	defer cancel()
	defer context.AfterFunc(process, cancel)()
	if err := s.control(both); err != nil {
		e.mu.Lock()
		e.err = err
		e.mu.Unlock()
		e.resign()
	}
}

// control runs the controllers until ctx ends, and then until they are at rest.
func (s *server) control(ctx context.Context) error {
	s.metrics.Leading(true)
	defer s.metrics.Leading(false)
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	// The sink's namespace must be empty, or events of other namespaces are dropped.
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: s.client.CoreV1().Events("")})

	var underWay sync.RWMutex
	writes, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	recorder := broadcaster.NewRecorder(schemes.All, corev1.EventSource{Component: kube.FieldManager})
	err := controllers.Register(ctx, writes, controllers.Options{
		Config: s.rest, Factory: s.factory, Served: s.clients.Served(), Observer: s.observer, HoldGate: s.hold,
		Recorder: recorder, Metrics: s.metrics, UnderWay: &underWay,
	})
	if err == nil {
		err = s.factory.Start(ctx, s.config.Workers)
	}
	if err == nil {
		err = s.propagate(ctx, writes, recorder, &underWay)
	}
	if ctx.Err() != nil && err != nil {
		return nil // we were told to stop while starting
	}
	if err != nil {
		return fmt.Errorf("start controllers: %w", err)
	}
	logrus.Info("Allocating VIPs")
	<-ctx.Done()
	defer time.AfterFunc(drainTimeout, abandon).Stop() // a request that hangs must not hold up a stop
	underWay.Lock()                                    // waits for the passes under way
	defer underWay.Unlock()
	return nil
}

// waitForOldController returns once version 0.7.1 no longer runs. It holds another
// Lease, so nothing but its Deployment tells of it.
func (s *server) waitForOldController(ctx context.Context) error {
	const namespace, name, retry = "capi-system", "capi-vip-allocator-controller-manager", 5 * time.Second
	if s.config.LeaseNamespace == namespace {
		return nil // then that Deployment is our own
	}
	said := false
	return wait.PollUntilContextCancel(ctx, retry, true, func(ctx context.Context) (bool, error) {
		deployment, err := s.client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return true, nil
		case apierrors.IsForbidden(err):
			logrus.WithError(err).Warnf("May not look whether an earlier release runs in %s; going on", namespace)
			return true, nil
		case err != nil:
			logrus.WithError(err).Warnf("Cannot tell whether an earlier release runs in %s; trying again", namespace)
			return false, nil
		}
		replicas := deployment.Spec.Replicas
		if replicas != nil && *replicas == 0 && deployment.Status.Replicas == 0 {
			return true, nil
		}
		if !said {
			logrus.WithField("reason", "OldControllerRunning").Warnf("Deployment %s/%s of an earlier release runs; scale it to 0 or delete it", namespace, name)
			said = true
		}
		return false, nil
	})
}
