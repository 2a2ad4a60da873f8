package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
)

// follower keeps current what look lists, as far as the user may see it.
type follower struct {
	*reading
	watching dynamic.Interface // has no timeout
	pulse    *pulse
	// namespace is where a user looks who may not look everywhere.
	namespace string
	settings  *settings
	evaluator *sandbox.Evaluator
	stores    map[schema.GroupVersionResource]cache.Store
	pools     map[schema.GroupResource]followedPools
	// changed has an element when look would return something new.
	changed chan struct{}
	synced  []cache.DoneChecker
}

// followedPools are those of one kind; without store if it is not served.
type followedPools struct {
	kind  kube.PoolKind
	store cache.Store
}

func newFollower(r *reading, namespace string, set *settings) *follower {
	f := &follower{
		reading: r, namespace: namespace, settings: set, evaluator: sandbox.NewForOne(),
		stores: map[schema.GroupVersionResource]cache.Store{}, pools: map[schema.GroupResource]followedPools{},
		changed: make(chan struct{}, 1),
	}
	f.pulse = &pulse{changed: f.tell, refused: map[string]string{}}
	return f
}

// start follows everything and waits until it has been seen once.
func (f *follower) start(ctx context.Context) error {
	byName := func(what resource, name string) resource {
		what.field = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		return what
	}
	if err := f.followIn(ctx, byName(deployments, managerName), f.settings.namespace, keep[appsv1.Deployment]); err != nil {
		return err
	}
	for _, kind := range []struct {
		resource
		keep cache.TransformFunc
	}{
		{clusters, keepCluster}, {classes, keep[clusterv1.ClusterClass]}, {claims, keep[ipamv1.IPAddressClaim]}, {addresses, keep[ipamv1.IPAddress]},
	} {
		if _, err := f.follow(ctx, kind.resource, kind.keep); err != nil {
			return err
		}
	}
	if err := f.seenOnce(ctx); err != nil {
		return err
	}
	// Where to look for the rest stands in the Deployment.
	c, _, err := f.found()
	if err != nil {
		return err
	}
	if err := f.followIn(ctx, leases, c.LeaseNamespace, keep[coordinationv1.Lease]); err != nil {
		return err
	}
	if c.HoldGate != "" {
		if err := f.followIn(ctx, byName(configMaps, c.HoldGate), c.LeaseNamespace, keepMetadata); err != nil {
			return err
		}
	}
	if err := f.followDownstream(ctx); err != nil {
		return err
	}
	return f.followPools(ctx, c.AllPoolKinds())
}

func (f *follower) seenOnce(ctx context.Context) error {
	if !cache.WaitFor(ctx, "", f.synced...) {
		return fmt.Errorf("list: %w", context.Cause(ctx))
	}
	f.synced = nil
	return nil
}

// follow keeps the objects of all namespaces or, if that is forbidden, of one. What is
// neither allowed nor installed is noted, and the store is nil.
func (f *follower) follow(ctx context.Context, what resource, keep cache.TransformFunc) (cache.Store, error) {
	in, seen, err := f.visible(what, f.namespace, func(in string) error {
		_, err := f.of(what).Namespace(in).List(ctx, metav1.ListOptions{LabelSelector: what.selector, Limit: 1})
		return err
	})
	if err != nil || !seen {
		return nil, err
	}
	return f.run(ctx, what, in, keep)
}

// followIn keeps the objects of one namespace.
func (f *follower) followIn(ctx context.Context, what resource, namespace string, keep cache.TransformFunc) error {
	before := len(f.unseen)
	if _, err := f.listIn(ctx, what, namespace); err != nil || len(f.unseen) > before {
		return err
	}
	_, err := f.run(ctx, what, namespace, keep)
	return err
}

// run starts an informer.
func (f *follower) run(ctx context.Context, what resource, in string, keep cache.TransformFunc) (cache.Store, error) {
	informer := dynamicinformer.NewFilteredDynamicInformer(f.watching, f.served.Resource(what.GroupVersionResource), in, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.LabelSelector, o.FieldSelector = what.selector, what.field
	}).Informer()
	// What goes wrong is told by the pulse, not by lines among those of the command.
	err := informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {})
	if err == nil {
		err = informer.SetTransform(keep)
	}
	if err == nil {
		_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { f.tell() }, UpdateFunc: func(_, _ any) { f.tell() }, DeleteFunc: func(any) { f.tell() },
		})
	}
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", what.GroupResource(), err)
	}
	go informer.RunWithContext(ctx)
	f.synced = append(f.synced, informer.HasSyncedChecker())
	f.stores[what.GroupVersionResource] = informer.GetStore()
	return informer.GetStore(), nil
}

// tell wakes who looks.
func (f *follower) tell() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// followPools follows the kinds that it does not follow yet.
func (f *follower) followPools(ctx context.Context, wanted []schema.GroupResource) error {
	for _, want := range wanted {
		if _, known := f.pools[want]; known {
			continue
		}
		what := resource{kind: want.String(), pool: true, unknown: "whether one of them could serve"}
		kind, served, err := kube.DiscoverPoolKind(f.discovery, want)
		if err != nil {
			return err
		}
		f.pools[want] = followedPools{kind: kind}
		if !served {
			f.note(what, "", notInstalled)
			continue
		}
		what.kind, what.GroupVersionResource, what.clusterScoped = kind.Kind, kind.GroupVersionResource, !kind.Namespaced
		store, err := f.follow(ctx, what, kube.PoolTransform(kind.Namespaced))
		if err != nil {
			return err
		}
		f.pools[want] = followedPools{kind, store}
	}
	return f.seenOnce(ctx)
}

// followDownstream follows Clusters of Rancher and Fleet, where there are any to see.
func (f *follower) followDownstream(ctx context.Context) error {
	for _, kind := range []schema.GroupVersionResource{rancherClusters, fleetClusters} {
		if _, err := f.client.Resource(kind).List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
			continue // explain, too, has nothing to tell then
		}
		if _, err := f.run(ctx, resource{GroupVersionResource: kind, kind: kind.Resource}, "", keepMetadata); err != nil {
			return err
		}
	}
	return nil
}

// found is how the running controller is set now.
func (f *follower) found() (*config.Config, *Controller, error) {
	var deployment *appsv1.Deployment
	if all := followed[appsv1.Deployment](f, deployments); len(all) > 0 {
		deployment = all[0]
	}
	return f.settings.read(deployment, f.misses(deployments.kind), func(namespace, name string) (*coordinationv1.Lease, bool, error) {
		for _, lease := range followed[coordinationv1.Lease](f, leases) {
			if lease.Namespace == namespace && lease.Name == name {
				return lease, true, nil
			}
		}
		return nil, f.stores[leases.GroupVersionResource] != nil && !f.misses(leases.kind), nil
	})
}

// look is what there is at this moment.
func (f *follower) look(ctx context.Context) (*look, *Controller, error) {
	c, controller, err := f.found()
	if err != nil {
		return nil, nil, err
	}
	if err := f.followPools(ctx, c.AllPoolKinds()); err != nil {
		return nil, nil, err
	}
	seen := &reading{unseen: slices.Clone(f.unseen), served: f.served, followed: maps.Clone(f.stores)}
	l := &look{reading: seen, config: c, Listed: snapshot.Listed{
		Clusters: followed[clusterv1.Cluster](f, clusters), Classes: followed[clusterv1.ClusterClass](f, classes),
		Claims: followed[ipamv1.IPAddressClaim](f, claims), Addresses: followed[ipamv1.IPAddress](f, addresses),
		Settings: c.Settings(), Evaluator: f.evaluator,
	}}
	l.Settings.HoldGate = c.HoldGate != "" && (f.misses(configMaps.kind) || len(followed[unstructured.Unstructured](f, configMaps)) > 0)
	pools := map[kube.PoolKind][]*kube.Pool{}
	for _, p := range f.pools {
		if p.kind.Kind != "" {
			pools[p.kind] = stored[kube.Pool](p.store)
		}
	}
	if l.Pools, err = kube.PoolsOf(pools); err == nil {
		l.Leases, err = kube.ListedLeases(c.LeaseNamespace, followed[coordinationv1.Lease](f, leases))
	}
	return l, controller, err
}

func followed[T any](f *follower, what resource) []*T {
	return stored[T](f.stores[what.GroupVersionResource])
}

// stored lists a store; nil is an empty one.
func stored[T any](store cache.Store) []*T {
	if store == nil {
		return nil
	}
	var result []*T
	for _, object := range store.List() {
		if typed, ok := object.(*T); ok {
			result = append(result, typed)
		}
	}
	return result
}

// keep turns what an informer receives into objects of a Go type, without what nobody reads.
func keep[T any](object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	typed, err := decodeOne[T](u)
	if err != nil {
		return nil, err
	}
	return kube.Trim(typed)
}

// keepCluster keeps Cluster API's own word, too, on what keeps it from building.
func keepCluster(object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	cluster, err := decodeOne[clusterv1.Cluster](u)
	if err != nil {
		return nil, err
	}
	word := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
	if word != nil {
		word = word.DeepCopy()
	}
	trimmed, err := kube.Trim(cluster)
	for i := range cluster.Status.Conditions {
		if word != nil && cluster.Status.Conditions[i].Type == word.Type {
			cluster.Status.Conditions[i] = *word
		}
	}
	return trimmed, err
}

// keepMetadata keeps what labels and annotations say.
func keepMetadata(object any) (any, error) {
	if u, ok := object.(*unstructured.Unstructured); ok {
		u.SetManagedFields(nil)
		u.Object = map[string]any{"apiVersion": u.GetAPIVersion(), "kind": u.GetKind(), "metadata": u.Object["metadata"]}
	}
	return object, nil
}
