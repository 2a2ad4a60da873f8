package controllers

import (
	"fmt"
	"sync"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// poolReporter tells on the pools themselves what is wrong with them, once each
// time it becomes so.
type poolReporter struct {
	recorder record.EventRecorder
	pools    *kube.Pools

	mu       sync.Mutex
	overlaps map[[2]vip.PoolRef]bool
}

func newPoolReporter(recorder record.EventRecorder, pools *kube.Pools) *poolReporter {
	return &poolReporter{recorder: recorder, pools: pools, overlaps: map[[2]vip.PoolRef]bool{}}
}

// changed looks at a pool that appeared, changed or went.
func (r *poolReporter) changed(old, current *kube.Pool) {
	if current == nil || !current.Ours {
		r.forget(either(old, current).Ref)
		return
	}
	if err := current.Serves.Err; err != nil && (old == nil || old.Serves.Err == nil || old.Serves.Err.Error() != err.Error()) {
		r.warn(current, vip.PoolInvalid, err.Error())
	}
	if err := current.StatusErr; err != nil && (old == nil || old.StatusErr == nil) {
		r.warn(current, vip.PoolInvalid, err.Error())
	}
	for _, other := range r.pools.List() {
		if other.Ref == current.Ref {
			continue
		}
		if r.note(current.Ref, other.Ref, current.SurelyOverlaps(other)) {
			r.warn(current, vip.PoolsOverlap, fmt.Sprintf("its addresses overlap with those of %s; each provider knows only its own pool", other.Ref))
			r.warn(other, vip.PoolsOverlap, fmt.Sprintf("its addresses overlap with those of %s; each provider knows only its own pool", current.Ref))
		}
	}
}

// note remembers whether the two overlap and tells whether that is news.
func (r *poolReporter) note(a, b vip.PoolRef, overlaps bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	pair := [2]vip.PoolRef{a, b}
	if r.overlaps[[2]vip.PoolRef{b, a}] {
		pair = [2]vip.PoolRef{b, a}
	}
	news := overlaps && !r.overlaps[pair]
	if overlaps {
		r.overlaps[pair] = true
	} else {
		delete(r.overlaps, pair)
	}
	return news
}

func (r *poolReporter) forget(pool vip.PoolRef) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pair := range r.overlaps {
		if pair[0] == pool || pair[1] == pool {
			delete(r.overlaps, pair)
		}
	}
}

func (r *poolReporter) warn(pool *kube.Pool, reason vip.Reason, message string) {
	logrus.WithFields(logrus.Fields{"pool": pool.Ref.String(), "reason": string(reason)}).Warn(message)
	r.recorder.Event(pool.Reference(), corev1.EventTypeWarning, string(reason), vip.Short(message))
}
