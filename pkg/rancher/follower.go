package rancher

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

// byCluster is the index from a Cluster, as "namespace/name", to its targets.
const byCluster = "cluster"

// follower caches the metadata of one kind of targets while its CRD is installed. A
// kind that we may not list is tried again, with back-off: an API server that restarts
// refuses for a moment what is allowed, and rights may be given later.
type follower struct {
	kind   Kind
	crds   *kube.CRDs
	client metadata.Interface
	// onEvent is called for every change of a target, onSync when it is known which
	// targets there are, or no longer.
	onEvent func(kind Kind, old, current *metav1.PartialObjectMetadata)
	onSync  func()

	// onDenied is told whether the kind is served and may not be listed.
	onDenied func(kind Kind, denied bool)

	wake chan struct{}
	// backoff says when to try again; started is when following began. Only run's loop
	// uses them.
	backoff wait.Backoff
	started time.Time
	mu      sync.RWMutex
	// known says that it was seen whether there is a CRD.
	known bool
	// informer is nil while the kind is not followed.
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	// broken is why following ended.
	broken error
	// denied says that the kind is served and cannot be listed, said that it was told that
	// it may not be.
	denied, said bool
}

func newFollower(kind Kind, crds *kube.CRDs, client metadata.Interface) *follower {
	return &follower{kind: kind, crds: crds, client: client, wake: make(chan struct{}, 1), backoff: retries()}
}

// targets returns the Cluster's targets of this kind. unknown says that there may be
// others which we do not see.
func (f *follower) targets(cluster string) (targets []Target, unknown bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.informer == nil {
		return nil, !f.known || f.denied
	}
	if !f.informer.HasSynced() {
		return nil, true
	}
	objects, err := f.informer.GetIndexer().ByIndex(byCluster, cluster)
	if err != nil {
		return nil, true
	}
	for _, object := range objects {
		if o, ok := object.(*metav1.PartialObjectMetadata); ok {
			targets = append(targets, NewTarget(f.kind, o))
		}
	}
	return targets, false
}

// clusters returns every Cluster that a target belongs to, as "namespace/name".
func (f *follower) clusters() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.informer == nil {
		return nil
	}
	return f.informer.GetIndexer().ListIndexFuncValues(byCluster)
}

// run follows the kind until ctx ends.
func (f *follower) run(ctx context.Context) {
	resource := resourceOf(f.kind).GroupResource()
	seen, err := f.crds.OnChange(func(changed schema.GroupResource) {
		if changed == resource {
			f.poke()
		}
	})
	if err != nil {
		logrus.WithError(err).Errorf("Cannot watch the CRD of %ss", f.kind)
		return
	}
	if !cache.WaitFor(ctx, "", seen) {
		return
	}
	for {
		var again <-chan time.Time
		if f.update(ctx, f.crds.Installed(resource)) {
			again = time.After(f.backoff.Step())
		}
		select {
		case <-ctx.Done():
			f.end()
			return
		case <-f.wake:
		case <-again:
		}
	}
}

// retries are the times after which a kind is tried again that may not be listed.
func retries() wait.Backoff {
	return wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: 10, Cap: time.Minute}
}

func (f *follower) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// update starts or ends following, as the CRD is there or not. It tells whether to try
// again later.
func (f *follower) update(ctx context.Context, served bool) (again bool) {
	f.mu.RLock()
	following, err := f.informer != nil, f.broken
	before := [...]bool{f.known, f.denied, following}
	f.mu.RUnlock()
	if served && !following {
		err = f.start(ctx)
	}
	// What is denied is known before its targets are forgotten, or they would be thought gone.
	f.note(served, err)
	if following && (!served || err != nil) {
		f.end()
		if time.Since(f.started) > steady {
			f.backoff = retries()
		}
	}
	f.mu.RLock()
	now := [...]bool{f.known, f.denied, f.informer != nil}
	f.mu.RUnlock()
	if now != before {
		f.onSync()
	}
	return served && err != nil
}

// steady is how long a kind must have been followed for back-off to begin anew: one that
// may be listed and not watched is given up again and again.
const steady = time.Minute

// note remembers, and says once each time, whether the kind is served and may not be
// listed. A CRD that has just come or gone is no news.
func (f *follower) note(served bool, err error) {
	forbidden := served && apierrors.IsForbidden(err)
	f.mu.Lock()
	said := f.said
	f.known, f.denied, f.said = true, served && err != nil, forbidden
	f.mu.Unlock()
	if forbidden != said {
		f.onDenied(f.kind, forbidden)
	}
	if forbidden && !said {
		logrus.WithError(err).Infof("VIPs are not carried to %ss, which we may not list; trying again", f.kind)
	}
}

// start follows the kind if it can be listed. The look ahead keeps an informer from
// asking for ever for what it is not given.
func (f *follower) start(ctx context.Context) error {
	if err := f.listable(ctx); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	informer, err := f.newInformer()
	if err != nil {
		stop()
		return err
	}
	f.mu.Lock()
	f.informer, f.stop, f.broken = informer, stop, nil
	f.mu.Unlock()
	f.started = time.Now()
	go informer.RunWithContext(following)
	go func() {
		if cache.WaitFor(following, "", informer.HasSyncedChecker()) {
			logrus.Infof("Carrying VIPs to %ss", f.kind)
			f.onSync()
		}
	}()
	return nil
}

func (f *follower) newInformer() (cache.SharedIndexInformer, error) {
	informer := metadatainformer.NewFilteredMetadataInformer(f.client, resourceOf(f.kind), "", 0, cache.Indexers{byCluster: f.index}, nil).Informer()
	if err := informer.SetTransform(trim); err != nil {
		return nil, fmt.Errorf("cache of %ss: %w", f.kind, err)
	}
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		if denied(err) {
			f.fail(informer, err)
			return
		}
		cache.DefaultWatchErrorHandler(ctx, r, err)
	})
	if err != nil {
		return nil, fmt.Errorf("cache of %ss: %w", f.kind, err)
	}
	_, err = kube.OnEvent(informer, func(old, current *metav1.PartialObjectMetadata) { f.onEvent(f.kind, old, current) })
	return informer, err
}

func (f *follower) index(object any) ([]string, error) {
	o, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return nil, nil
	}
	if t := NewTarget(f.kind, o); t.Cluster.Name != "" {
		return []string{t.Cluster.String()}, nil
	}
	return nil, nil
}

// fail has the kind given up, by the loop that started it.
func (f *follower) fail(informer cache.SharedIndexInformer, err error) {
	f.mu.Lock()
	if f.informer == informer {
		f.broken = err
	}
	f.mu.Unlock()
	f.poke()
}

// end stops following.
func (f *follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil {
		f.stop()
	}
	f.informer, f.stop, f.broken = nil, nil, nil
}
