package rancher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/pager"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
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
			errs = append(errs, p.withdraw(&t, o.ManagedFields))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// withdraw takes back what we wrote on the target, unless its Cluster is another allocator's.
// A label that somebody else wrote stays as long as the Cluster has it: a Rancher Turtles that
// copies labels would only bring it back, and Fleet would deploy anew what it has just removed.
func (p *propagator) withdraw(t *Target, managed []metav1.ManagedFieldsEntry) (err error) {
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
		if cluster != nil {
			for _, e := range patch.entries() {
				if e.label && cluster.Labels[e.key] == e.on(t) && writtenByOthers(managed, e.key) {
					patch.drop(e)
				}
			}
		}
		if _, err := apply(p.writes, p.client, &patch); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		logrus.WithField("cluster", t.Cluster.String()).Infof("Withdrew the VIPs from %s", t)
	}
	return nil
}

// writtenByOthers tells whether a field manager other than ours has set the label.
func writtenByOthers(managed []metav1.ManagedFieldsEntry, label string) bool {
	return slices.ContainsFunc(managed, func(entry metav1.ManagedFieldsEntry) bool {
		if entry.Manager == kube.FieldManager || entry.FieldsV1 == nil {
			return false
		}
		var fields struct {
			Metadata struct {
				Labels map[string]any `json:"f:labels"`
			} `json:"f:metadata"`
		}
		// What the API server wrote there can be read; else nobody is known to have set it.
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return false
		}
		_, set := fields.Metadata.Labels["f:"+label]
		return set
	})
}
