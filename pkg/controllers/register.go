package controllers

import (
	"context"
	"fmt"
	"sync"

	"github.com/rancher/lasso/pkg/controller"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	clusterapi "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	ipamapi "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/ipam.cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Options are what the controllers work with.
type Options struct {
	Config   *rest.Config
	Factory  controller.SharedControllerFactory
	Served   kube.Served
	Observer *snapshot.Observer
	HoldGate *kube.HoldGate
	Recorder record.EventRecorder
	Metrics  *metrics.Metrics
	// UnderWay is read-locked by every pass, so that a stop can wait for their writes.
	UnderWay *sync.RWMutex
}

// clusterHandler is the name under which lasso shows the handler of Clusters.
const clusterHandler = "cluster-vip"

// Register adds the handlers to the factory, which is started afterwards. The
// caches of kube.Warm must have synced, and only a leader may call it. When ctx
// ends no pass begins any more; a pass under way writes until writes ends.
func Register(ctx, writes context.Context, o Options) error {
	clusters := clusterapi.New(o.Factory).Cluster()
	classes := clusterapi.New(o.Factory).ClusterClass()
	claims := ipamapi.New(o.Factory).IPAddressClaim()
	addresses := ipamapi.New(o.Factory).IPAddress()

	clients := o.Factory.SharedCacheFactory().SharedClientFactory()
	writer, err := kube.NewWriter(clients)
	if err != nil {
		return fmt.Errorf("register controllers: %w", err)
	}
	claimWriter, err := kube.NewClaims(o.Config, clients, o.Served, claims)
	if err != nil {
		return fmt.Errorf("register controllers: %w", err)
	}

	wake := func(namespace, name string) { clusters.EnqueueAfter(namespace, name, 0) }
	observer := o.Observer.ForControllers(o.HoldGate, wake)
	h := &handler{
		ctx: writes, stopping: ctx.Done(), underWay: o.UnderWay, queue: clusters, observer: observer, allocator: observer.Allocator, expectations: newExpectations(),
		writer: writer, claims: claimWriter, leases: observer.Leases, reporter: &reporter{recorder: o.Recorder}, metrics: o.Metrics,
		fresh: &freshAddresses{list: claimWriter.ListAddresses}, making: &turns{left: claimsAtOnce},
	}
	h.bookings = newBookkeeper(writes, observer, claimWriter, o.Recorder, o.Metrics, o.UnderWay)
	keeper := newLeaseKeeper(observer, writer, claimWriter)
	pools := newPoolReporter(o.Recorder, observer.Pools, o.Metrics)
	w := &waker{observer: observer, pools: pools, leases: keeper, wake: wake, wakeAll: h.wakeAll}
	if err := w.watch(ctx, claims.Informer(), addresses.Informer(), classes.Informer(), clusters.Informer()); err != nil {
		return fmt.Errorf("register controllers: %w", err)
	}
	if err := o.HoldGate.OnChange(ctx, w.wakeHeld); err != nil {
		return fmt.Errorf("register controllers: %w", err)
	}
	if err := await(observer); err != nil {
		return fmt.Errorf("register controllers: %w", err)
	}
	go h.tick(ctx)
	go keeper.run(ctx)
	go h.bookings.run(ctx)
	go pools.run(ctx)
	observer.Show(o.Metrics)
	h.show(o.Metrics)
	reporter := &classReporter{recorder: o.Recorder, observer: observer, queue: classes, metrics: o.Metrics, wake: w.wakeClass}
	classes.OnChange(ctx, classHandler, reporter.onChange)
	clusters.OnChange(ctx, clusterHandler, h.onChange)
	return nil
}

// await has the allocator know all Clusters that have waited since before this process, so
// that they keep their places in line.
func await(o *snapshot.Observer) error {
	clusters, err := o.Clusters.List(metav1.NamespaceAll, labels.Everything())
	if err != nil {
		return fmt.Errorf("list Clusters: %w", err)
	}
	for _, cluster := range clusters {
		s, err := o.Observe(cluster)
		if err != nil {
			continue // its own reconcile tells
		}
		decision := vip.Plan(s)
		if request := allocator.RequestOf(s, &decision); len(request.Wants) > 0 {
			o.Allocator.Await(request)
		}
	}
	return nil
}
