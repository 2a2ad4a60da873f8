package rancher

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// workers is how many Clusters are looked at side by side. A pass takes one request
// at most, and most take none.
const workers = 4

// Setup is what the propagation works with.
type Setup struct {
	Config *rest.Config
	CRDs   *kube.CRDs
	// Clusters is the cache of Clusters, which has synced.
	Clusters   cache.SharedIndexInformer
	Settings   vip.Settings
	Workspaces []string
	Recorder   record.EventRecorder
	// UnderWay is read-locked by every pass, so that a stop can wait for their writes.
	UnderWay *sync.RWMutex
	// Recovered, deferred, turns a panic over an object into an error.
	Recovered func(object string, err *error)
	// Unreadable is told of each kind whether it is served and may not be listed.
	Unreadable func(kind string, unreadable bool)
}

// propagator looks at a Cluster whenever it or one of its targets changed.
type propagator struct {
	Setup
	writes    context.Context // of requests
	stopping  <-chan struct{}
	client    metadata.Interface
	followers map[Kind]*follower
	queue     workqueue.TypedRateLimitingInterface[types.NamespacedName]
	memory    *memory
	ration    *ration
}

// Start carries the stamps until ctx ends, and returns at once. Only a leader may
// call it. A pass under way writes until writes ends.
func Start(ctx, writes context.Context, o Setup) error {
	client, err := metadata.NewForConfig(o.Config)
	if err != nil {
		return fmt.Errorf("propagation: %w", err)
	}
	watching, err := metadata.NewForConfig(kube.WithoutTimeout(o.Config))
	if err != nil {
		return fmt.Errorf("propagation: %w", err)
	}
	p := &propagator{
		Setup: o, writes: writes, stopping: ctx.Done(), client: client, followers: map[Kind]*follower{},
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](time.Second, 5*time.Minute),
			workqueue.TypedRateLimitingQueueConfig[types.NamespacedName]{Name: "propagation"}),
		memory: newMemory(), ration: newRation(),
	}
	for _, kind := range Kinds() {
		f := newFollower(kind, o.CRDs, watching)
		f.onEvent, f.onSync = p.onTarget, p.wakeAll
		f.onDenied = func(kind Kind, denied bool) { o.Unreadable(string(kind), denied) }
		p.followers[kind] = f
	}
	if _, err := kube.OnEvent(o.Clusters, p.onCluster); err != nil {
		return fmt.Errorf("propagation: %w", err)
	}
	for _, f := range p.followers {
		go f.run(ctx)
	}
	for range workers {
		go p.work()
	}
	context.AfterFunc(ctx, p.queue.ShutDown)
	return nil
}

// onCluster wakes a Cluster whose stamps changed, or what may be done for it.
func (p *propagator) onCluster(old, current *clusterv1.Cluster) {
	if old != nil && current != nil && old.UID == current.UID && p.sameSource(old, current) {
		return
	}
	if current == nil {
		current = old
	}
	p.queue.Add(types.NamespacedName{Namespace: current.Namespace, Name: current.Name})
}

func (p *propagator) sameSource(old, current *clusterv1.Cluster) bool {
	a, b := p.view(old), p.view(current)
	return a.State == b.State && a.VIPs[vip.ControlPlane] == b.VIPs[vip.ControlPlane] && a.VIPs[vip.Ingress] == b.VIPs[vip.Ingress]
}

func (p *propagator) view(cluster *clusterv1.Cluster) Source {
	view := kube.Cluster(cluster)
	return NewSource(&view, p.Settings)
}

// onTarget wakes the Clusters that a Rancher or Fleet Cluster belongs and belonged to.
func (p *propagator) onTarget(kind Kind, old, current *metav1.PartialObjectMetadata) {
	if old != nil && current != nil && sameMetadata(old, current) {
		return
	}
	if current == nil || (old != nil && old.UID != current.UID) {
		p.memory.forgetTarget(string(old.UID))
		p.ration.forget(string(old.UID))
	}
	for _, o := range []*metav1.PartialObjectMetadata{old, current} {
		if o == nil {
			continue
		}
		if t := NewTarget(kind, o); t.Cluster.Name != "" {
			p.queue.Add(t.Cluster)
		}
	}
}

// wakeAll looks at every Cluster that has a target.
func (p *propagator) wakeAll() {
	for _, f := range p.followers {
		for _, cluster := range f.clusters() {
			if namespace, name, err := cache.SplitMetaNamespaceKey(cluster); err == nil {
				p.queue.Add(types.NamespacedName{Namespace: namespace, Name: name})
			}
		}
	}
}

func (p *propagator) work() {
	for {
		key, shutdown := p.queue.Get()
		if shutdown {
			return
		}
		if err := p.guarded(key); err != nil {
			logrus.WithField("cluster", key.String()).WithError(err).Warn("Cannot carry the VIPs yet; trying again")
			p.queue.AddRateLimited(key)
		} else {
			p.queue.Forget(key)
		}
		p.queue.Done(key)
	}
}

// guarded makes a pass, and turns a panic over one Cluster into an error.
func (p *propagator) guarded(key types.NamespacedName) (err error) {
	p.UnderWay.RLock()
	defer p.UnderWay.RUnlock()
	select {
	case <-p.stopping:
		return nil
	default:
	}
	defer p.Recovered("Cluster "+key.String(), &err)
	return p.pass(key)
}

// pass brings the targets of one Cluster up to date.
func (p *propagator) pass(key types.NamespacedName) error {
	source, cluster := p.source(key)
	rancher, unknown := p.followers[RancherCluster].targets(key.String())
	fleet, _ := p.followers[FleetCluster].targets(key.String())
	targets := slices.Concat(rancher, fleet)
	for i := range targets {
		if p.memory.behind(&targets[i]) {
			return nil
		}
	}
	if len(targets) == 0 {
		p.memory.forget(key)
		return nil
	}
	if source.State == Served {
		p.wakeIn(key, p.memory.unsettled(&source, targets))
		p.wakeIn(key, p.memory.settling(targets))
	}
	decision := Plan(source, targets, Options{Workspaces: p.Workspaces, RancherUnknown: unknown})
	blocks, err := p.carry(&source, decision)
	p.report(cluster, key, append(decision.Blocks, blocks...))
	if cluster == nil {
		p.memory.forget(key)
	}
	return err
}

// source views the Cluster, which is nil if it does not exist.
func (p *propagator) source(key types.NamespacedName) (Source, *clusterv1.Cluster) {
	object, exists, err := p.Clusters.GetStore().GetByKey(key.String())
	cluster, ok := object.(*clusterv1.Cluster)
	if err == nil && exists && ok {
		return p.view(cluster), cluster
	}
	gone := Source{Key: key, State: Gone}
	if p.Settings.Namespace != "" && key.Namespace != p.Settings.Namespace {
		gone.State = Resting // it was for another allocator
	}
	return gone, nil
}

func (p *propagator) wakeIn(key types.NamespacedName, after time.Duration) {
	if after > 0 {
		p.queue.AddAfter(key, after)
	}
}
