package rancher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/pager"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Withdraw takes back, once, what was written on targets while propagation was on.
// It returns at once. What it has no right to stays. Only a leader may call it.
func Withdraw(ctx, writes context.Context, o Setup) error {
	client, err := metadata.NewForConfig(o.Config)
	if err != nil {
		return fmt.Errorf("propagation: %w", err)
	}
	p := &propagator{Setup: o, writes: writes, stopping: ctx.Done(), client: client}
	for _, kind := range Kinds() {
		go p.withdrawAll(ctx, kind)
	}
	return nil
}

// withdrawAll goes over every target of the kind, and again if that failed.
func (p *propagator) withdrawAll(ctx context.Context, kind Kind) {
	backoff := wait.Backoff{Duration: time.Second, Factor: 4, Steps: 6}
	err := wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
		err := p.withdrawPages(ctx, kind)
		if err != nil && !apierrors.IsNotFound(err) {
			logrus.WithError(err).Debugf("Cannot withdraw all VIPs from %ss; trying again", kind)
			return false, nil
		}
		return true, err
	})
	if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
		logrus.WithError(err).Debugf("VIPs on %ss stay", kind)
	}
}

func (p *propagator) withdrawPages(ctx context.Context, kind Kind) error {
	// To ask for a kind that is not there would be refused like one that is not ours.
	if _, err := p.client.Resource(crdResource()).Get(ctx, resourceOf(kind).GroupResource().String(), metav1.GetOptions{}); err != nil {
		return err
	}
	var errs []error
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return p.client.Resource(resourceOf(kind)).List(ctx, o)
	})
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		if o, ok := object.(*metav1.PartialObjectMetadata); ok {
			t := NewTarget(kind, o)
			errs = append(errs, p.withdraw(&t))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// withdraw takes back what we wrote on the target, unless its Cluster is another allocator's.
func (p *propagator) withdraw(t *Target) (err error) {
	p.UnderWay.RLock()
	defer p.UnderWay.RUnlock()
	defer p.Recovered(t.String(), &err)
	select {
	case <-p.stopping:
		return nil
	default:
	}
	source, cluster := p.source(t.Cluster)
	if cluster != nil && (source.Skipped == "" || source.Skipped == vip.SkipPaused || source.Skipped == vip.SkipDeleting) {
		source.State = Gone
	}
	for _, patch := range Plan(source, []Target{*t}, Options{}).Patches {
		if _, err := apply(p.writes, p.client, &patch); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		logrus.WithField("cluster", t.Cluster.String()).Infof("Withdrew the VIPs from %s", t)
	}
	return nil
}
