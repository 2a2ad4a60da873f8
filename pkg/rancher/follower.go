package rancher

import (
	"context"
	"fmt"
	"sync"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

// byCluster is the index from a Cluster, as "namespace/name", to its targets.
const byCluster = "cluster"

// follower caches the metadata of one kind of targets while its CRD is installed. A
// kind that we may not list is left alone until its CRD changes or we start anew.
type follower struct {
	kind   Kind
	client metadata.Interface
	// onEvent is called for every change of a target, onSync when it is known which
	// targets there are, or no longer.
	onEvent func(kind Kind, old, current *metav1.PartialObjectMetadata)
	onSync  func()

	wake chan struct{}
	// tried is the version of the CRD that was tried last. Only run's loop uses it.
	tried string
	mu    sync.RWMutex
	// known says that it was seen whether there is a CRD.
	known bool
	// informer is nil while the kind is not followed.
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	// broken is why following ended.
	broken error
	// denied says that the kind is served and may not be listed, said that this was logged.
	denied, said bool
}

func newFollower(kind Kind, client metadata.Interface) *follower {
	return &follower{kind: kind, client: client, wake: make(chan struct{}, 1)}
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
	crd := metadatainformer.NewFilteredMetadataInformer(f.client, crdResource(), "", 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, resourceOf(f.kind).GroupResource().String()).String()
	}).Informer()
	if err := crd.SetTransform(kube.Trim); err != nil {
		logrus.WithError(err).Errorf("Cannot watch the CRD of %ss", f.kind)
		return
	}
	_, err := kube.OnEvent(crd, func(_, _ *metav1.PartialObjectMetadata) { f.poke() })
	if err != nil {
		logrus.WithError(err).Errorf("Cannot watch the CRD of %ss", f.kind)
		return
	}
	go crd.RunWithContext(ctx)
	if !cache.WaitFor(ctx, "", crd.HasSyncedChecker()) {
		return
	}
	for {
		f.update(ctx, versionOf(crd))
		select {
		case <-ctx.Done():
			f.end(nil)
			return
		case <-f.wake:
		}
	}
}

func (f *follower) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// versionOf is the resourceVersion of the CRD; empty if there is none.
func versionOf(crd cache.SharedIndexInformer) string {
	for _, object := range crd.GetStore().List() {
		if o, ok := object.(*metav1.PartialObjectMetadata); ok {
			return o.ResourceVersion
		}
	}
	return ""
}

// update starts or ends following, as the CRD is there or not. Each version of a CRD
// is tried once.
func (f *follower) update(ctx context.Context, crd string) {
	f.mu.RLock()
	following, broken := f.informer != nil, f.broken
	f.mu.RUnlock()
	if following && (crd == "" || broken != nil) {
		f.end(broken)
		following = false
	}
	if !following && crd != "" && crd != f.tried {
		f.tried = crd
		f.start(ctx)
	}
	f.mu.Lock()
	f.known = true
	if crd == "" {
		f.denied, f.tried = false, ""
	}
	f.mu.Unlock()
	f.onSync()
}

// start follows the kind if it can be listed. The look ahead keeps an informer from
// asking for ever for what it is not given.
func (f *follower) start(ctx context.Context) {
	err := f.listable(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		f.deny(err)
		return
	}
	following, stop := context.WithCancel(ctx)
	informer, err := f.newInformer()
	if err != nil {
		stop()
		logrus.WithError(err).Errorf("Cannot watch %ss", f.kind)
		return
	}
	f.mu.Lock()
	f.informer, f.stop, f.denied, f.broken = informer, stop, false, nil
	f.mu.Unlock()
	go informer.RunWithContext(following)
	go func() {
		if cache.WaitFor(following, "", informer.HasSyncedChecker()) {
			logrus.Infof("Carrying VIPs to %ss", f.kind)
			f.onSync()
		}
	}()
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

// end stops following. A right that was lost is told of; a CRD that is gone is no news.
func (f *follower) end(broken error) {
	f.mu.Lock()
	if f.stop != nil {
		f.stop()
	}
	f.informer, f.stop, f.broken = nil, nil, nil
	f.mu.Unlock()
	if broken != nil {
		f.deny(broken)
	}
}

// deny notes that the kind is served and not for us, and says so once.
func (f *follower) deny(err error) {
	if apierrors.IsNotFound(err) {
		return
	}
	f.mu.Lock()
	said := f.said
	f.denied, f.said = true, true
	f.mu.Unlock()
	if !said {
		logrus.WithError(err).Infof("VIPs are not carried to %ss, which we may not list", f.kind)
	}
}
