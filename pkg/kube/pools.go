package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	lassocache "github.com/rancher/lasso/pkg/cache"
	"github.com/sirupsen/logrus"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/cache"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Pools caches the IPAM pools of every kind that is wanted and served. A kind
// whose CRD is installed later joins when Discover is called again.
type Pools struct {
	factory   lassocache.SharedCacheFactory
	discovery discovery.DiscoveryInterface
	wanted    []schema.GroupResource

	mu       sync.RWMutex
	caches   map[schema.GroupResource]poolCache
	handlers []func(old, current *Pool)
	said     map[schema.GroupResource]bool
}

type poolCache struct {
	kind     PoolKind
	store    cache.Store
	informer cache.SharedIndexInformer // nil for pools that are not watched
}

// NewPools returns Pools of the wanted kinds, none of which is watched before Discover.
func NewPools(factory lassocache.SharedCacheFactory, client discovery.DiscoveryInterface, wanted []schema.GroupResource) *Pools {
	return &Pools{factory: factory, discovery: client, wanted: wanted, caches: map[schema.GroupResource]poolCache{}, said: map[schema.GroupResource]bool{}}
}

// Discover starts a cache for each wanted kind that is served by now and waits
// until these have synced, or ctx ends. A kind that is missing is no error.
func (p *Pools) Discover(ctx context.Context) error {
	for _, wanted := range p.wanted {
		if p.has(wanted) {
			continue
		}
		kind, found, err := DiscoverPoolKind(p.discovery, wanted)
		if err != nil {
			return err
		}
		if !found {
			p.sayMissing(wanted)
			continue
		}
		if err := p.start(ctx, wanted, kind); err != nil {
			return err
		}
	}
	return nil
}

// sayMissing logs once that a kind is not installed.
func (p *Pools) sayMissing(kind schema.GroupResource) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.said[kind] {
		p.said[kind] = true
		logrus.Infof("Pool kind %s is not installed; its pools are picked up once it is", kind)
	}
}

// Missing tells whether a wanted kind is not served yet.
func (p *Pools) Missing() bool { return p.count() < len(p.wanted) }

func (p *Pools) count() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.caches)
}

// servedOtherwise names a kind whose version, which is cached, is served no more while
// another one is; empty if there is none. Its cache would stand still for ever.
func (p *Pools) servedOtherwise() string {
	p.mu.RLock()
	caches := maps.Clone(p.caches)
	p.mu.RUnlock()
	for wanted, c := range caches {
		if serves, err := servesKind(p.discovery, c.kind.GroupVersion().WithKind(c.kind.Kind)); err != nil || serves {
			continue
		}
		if now, found, err := DiscoverPoolKind(p.discovery, wanted); err == nil && found {
			return fmt.Sprintf("pools of kind %s as %s instead of %s", c.kind.Kind, now.GroupVersion(), c.kind.GroupVersion())
		}
	}
	return ""
}

func (p *Pools) has(kind schema.GroupResource) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.caches[kind]
	return ok
}

func (p *Pools) start(ctx context.Context, wanted schema.GroupResource, kind PoolKind) error {
	informer, err := p.factory.ForResourceKind(kind.GroupVersionResource, kind.Kind, kind.Namespaced)
	if err != nil {
		return fmt.Errorf("cache of %s: %w", wanted, err)
	}
	if err := informer.SetTransform(PoolTransform(kind.Namespaced)); err != nil {
		return fmt.Errorf("cache of %s: %w", wanted, err)
	}
	p.mu.Lock()
	p.caches[wanted] = poolCache{kind: kind, store: informer.GetStore(), informer: informer}
	handlers := slices.Clone(p.handlers)
	p.mu.Unlock()
	for _, handler := range handlers {
		if _, err := OnEvent(informer, handler); err != nil {
			return fmt.Errorf("watch %s: %w", wanted, err)
		}
	}
	if err := p.factory.StartGVK(ctx, kind.GroupVersion().WithKind(kind.Kind)); err != nil {
		return fmt.Errorf("start cache of %s: %w", wanted, err)
	}
	if err := waitOptional(ctx, wanted.String(), informer); err != nil {
		return err
	}
	logrus.Infof("Serving pools of kind %s (%s)", kind.Kind, kind.GroupVersion())
	return nil
}

// optionalPatience is how long a start waits for a cache without which Clusters
// can be served all the same.
const optionalPatience = 20 * time.Second

// waitOptional waits for the cache, but not for ever: one kind that cannot be
// listed, for want of a right or of its webhook, must not keep all others waiting.
// The cache goes on trying.
func waitOptional(ctx context.Context, name string, informer cache.SharedIndexInformer) error {
	patience, cancel := context.WithTimeout(ctx, optionalPatience)
	defer cancel()
	if cache.WaitFor(patience, "", informer.HasSyncedChecker()) {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("cache of %s did not sync: %w", name, ctx.Err())
	}
	logrus.Warnf("Cannot list %s yet; going on without", name)
	return nil
}

// OnEvent calls the handler for every change of a pool of any kind, now or later
// discovered. old is nil for a new pool, current for one that is gone. What it returns is
// done when the handler has seen all pools of the caches that have synced.
func (p *Pools) OnEvent(handler func(old, current *Pool)) (seen []cache.DoneChecker, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers = append(p.handlers, handler)
	for wanted, c := range p.caches {
		all, err := OnEvent(c.informer, handler)
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", wanted, err)
		}
		if c.informer.HasSynced() {
			seen = append(seen, all)
		}
	}
	return seen, nil
}

// List returns every pool that carries our keys.
func (p *Pools) List() []*Pool { return p.list(true) }

// Others returns every pool that carries none of them.
func (p *Pools) Others() []*Pool { return p.list(false) }

func (p *Pools) list(ours bool) []*Pool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var pools []*Pool
	for _, c := range p.caches {
		for _, object := range c.store.List() {
			if pool, ok := object.(*Pool); ok && pool.Ours == ours {
				pools = append(pools, pool)
			}
		}
	}
	return pools
}

// Scope tells which kinds of pool are namespaced.
func (p *Pools) Scope() PoolScope {
	p.mu.RLock()
	defer p.mu.RUnlock()
	scope := PoolScope{}
	for _, c := range p.caches {
		scope[schema.GroupKind{Group: c.kind.Group, Kind: c.kind.Kind}] = c.kind.Namespaced
	}
	return scope
}

// Get returns the pool of that name; nil if there is none.
func (p *Pools) Get(ref vip.PoolRef) *Pool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, c := range p.caches {
		if c.kind.Group != ref.Group || c.kind.Kind != ref.Kind {
			continue
		}
		key := cache.NewObjectName(ref.Namespace, ref.Name).String()
		if object, exists, err := c.store.GetByKey(key); exists && err == nil {
			pool, _ := object.(*Pool)
			return pool
		}
	}
	return nil
}
