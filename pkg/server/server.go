// Package server puts the process together: clients, caches, leader election,
// controllers and HTTP endpoints. Nothing else knows flags or factories.
package server

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	lassocache "github.com/rancher/lasso/pkg/cache"
	"github.com/rancher/lasso/pkg/controller"
	"github.com/rancher/wrangler/v3/pkg/kubeconfig"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/hook"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/logging"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/version"
)

// server is a running process.
type server struct {
	config   *config.Config
	rest     *rest.Config
	client   kubernetes.Interface
	clients  *kube.Clients
	caches   lassocache.SharedCacheFactory
	factory  controller.SharedControllerFactory
	pools    *kube.Pools
	leases   *kube.Leases
	hold     *kube.HoldGate
	metrics  *metrics.Metrics
	observer *snapshot.Observer
	crds     *kube.CRDs
	health   *health
	hook     *hook.Server // nil if it is switched off
}

// Run serves until ctx ends, which is no error, or until the process can no
// longer do its work: its configuration is wrong, a port is taken, or it lost the
// Lease.
func Run(ctx context.Context, c *config.Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if err := logging.Setup(c.LogLevel, c.LogFormat); err != nil {
		return err
	}
	collectGarbage(ctx)
	registry := newRegistry()
	s, err := newServer(c, registry)
	if err != nil {
		return err
	}
	logrus.Infof("Starting capi-vip-allocator %s", version.String())
	if !InPod() {
		logrus.Warnf("This is no Pod: the Clusters of %s are written from here (%s)", s.rest.Host, cmp.Or(c.Kubeconfig, os.Getenv(clientcmd.RecommendedConfigPathEnvVar), clientcmd.RecommendedHomeFile))
	}
	// The endpoints answer until the work has come to rest.
	group, work := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	if err := s.listen(serving, group, registry); err != nil {
		stop()
		return err
	}
	if s.hook != nil {
		group.Go(func() error { return s.hook.Run(serving) })
	}
	group.Go(func() error {
		defer stop()
		return s.work(work)
	})
	return group.Wait()
}

// InPod tells whether the process runs in a Pod of the cluster that it works for.
func InPod() bool {
	_, err := os.Stat("/var/run/secrets/kubernetes.io/serviceaccount/token")
	return err == nil
}

func newServer(c *config.Config, registry *prometheus.Registry) (*server, error) {
	restConfig, err := clientConfig(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	watching, err := kubernetes.NewForConfig(kube.WithoutTimeout(restConfig))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	clients, err := kube.NewClients(restConfig)
	if err != nil {
		return nil, err
	}
	crds, err := kube.NewCRDs(restConfig)
	if err != nil {
		return nil, err
	}
	caches := lassocache.NewSharedCachedFactory(clients, nil)
	s := &server{
		config: c, rest: restConfig, crds: crds, client: client, clients: clients, caches: caches,
		factory: controller.NewSharedControllerFactory(caches, &controller.SharedControllerFactoryOptions{
			DefaultWorkers: c.Workers,
		}),
		pools:   kube.NewPools(caches, client.Discovery(), c.AllPoolKinds()),
		leases:  kube.NewLeases(client, watching, c.LeaseNamespace),
		hold:    kube.NewHoldGate(watching, c.LeaseNamespace, c.HoldGate),
		metrics: metrics.New(registry),
		health:  newHealth(c),
	}
	if err := s.addHook(); err != nil {
		return nil, err
	}
	return s, nil
}

// clientConfig sets what the defaults leave open: without a timeout a request that
// hangs would hold a worker for ever, and 5 requests per second would make the
// client slower than any IPAM provider.
func clientConfig(path string) (*rest.Config, error) {
	restConfig, err := kubeconfig.GetNonInteractiveClientConfig(path).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	restConfig.UserAgent = version.UserAgent()
	restConfig.Timeout = 30 * time.Second
	restConfig.QPS, restConfig.Burst = 200, 400
	return restConfig, nil
}

// work finds out which Cluster API there is, and works with it until it is replaced
// by one that serves other versions.
func (s *server) work(ctx context.Context) error {
	if !s.config.EnableReconciler && s.hook == nil {
		return s.workWithCaches(ctx)
	}
	served, err := kube.WaitForKinds(ctx, s.client.Discovery())
	if err != nil {
		return nil //nolint:nilerr // we were told to stop while starting
	}
	s.clients.Use(served)
	s.crds.Start(ctx)
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return kube.FollowServed(working, s.crds, s.client.Discovery(), served, s.pools) })
	group.Go(func() error { return s.workWithCaches(working) })
	return group.Wait()
}

// workWithCaches warms the caches, on every replica, and then leads or stands by.
func (s *server) workWithCaches(ctx context.Context) error {
	if s.config.EnableReconciler || s.hook != nil {
		if err := s.warm(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // we were told to stop while starting
			}
			return err
		}
	}
	s.openHook()
	s.health.ready()
	if !s.config.EnableReconciler {
		logrus.Info("The reconciler is switched off")
		<-ctx.Done()
		return nil
	}
	return s.lead(ctx)
}

func (s *server) warm(ctx context.Context) error {
	if err := kube.Warm(ctx, s.caches); err != nil {
		return err
	}
	if err := s.leases.Start(ctx); err != nil {
		return err
	}
	if err := s.hold.Start(ctx); err != nil {
		return err
	}
	if err := s.pools.Discover(ctx); err != nil {
		return err
	}
	var err error
	if s.observer, err = snapshot.New(s.caches, s.pools, s.leases, s.config.Settings(), sandbox.New()); err != nil {
		return err
	}
	return kube.WatchPoolKinds(ctx, s.crds, s.pools)
}
