package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// compareEvery is how often all pools are compared with each other while they change.
// Whoever changes pools all the time costs one comparison in that time.
const compareEvery = time.Second

// poolReporter tells on the pools themselves what is wrong with them, once each time it
// becomes so. It has a queue of its own, since pools are of kinds that are only known at
// run time, and a single worker, which alone remembers what was told.
type poolReporter struct {
	recorder record.EventRecorder
	pools    *kube.Pools
	metrics  *metrics.Metrics
	queue    workqueue.TypedRateLimitingInterface[vip.PoolRef]

	told map[vip.PoolRef]poolTold
}

// poolTold is what was told of a pool.
type poolTold struct {
	invalid          string
	status, overlaps bool
}

// allPools is the key in the queue for comparing the pools with each other.
var allPools = vip.PoolRef{}

func newPoolReporter(recorder record.EventRecorder, pools *kube.Pools, m *metrics.Metrics) *poolReporter {
	return &poolReporter{
		recorder: recorder, pools: pools, metrics: m, told: map[vip.PoolRef]poolTold{},
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[vip.PoolRef](time.Second, time.Minute),
			workqueue.TypedRateLimitingQueueConfig[vip.PoolRef]{Name: "pools"}),
	}
}

// changed has a pool looked at that appeared, changed or went.
func (r *poolReporter) changed(pool vip.PoolRef) {
	r.queue.Add(pool)
	r.queue.AddAfter(allPools, compareEvery)
}

// run works until ctx ends.
func (r *poolReporter) run(ctx context.Context) { work(ctx, r.queue, r.handle) }

func (r *poolReporter) handle(ref vip.PoolRef) (err error) {
	defer r.metrics.Recovered("pool "+ref.String(), &err)
	if ref == allPools {
		r.compare()
	} else {
		r.look(ref)
	}
	return nil
}

// look tells what is wrong with one pool.
func (r *poolReporter) look(ref vip.PoolRef) {
	pool := r.pools.Get(ref)
	if pool == nil || !pool.Ours {
		delete(r.told, ref)
		return
	}
	before := r.told[ref]
	told := poolTold{status: pool.StatusErr != nil, overlaps: before.overlaps}
	if pool.Serves.Err != nil {
		if told.invalid = pool.Serves.Err.Error(); told.invalid != before.invalid {
			r.warn(pool, vip.PoolInvalid, told.invalid)
		}
	}
	// Its numbers may be others with every event.
	if told.status && !before.status {
		r.warn(pool, vip.PoolInvalid, pool.StatusErr.Error())
	}
	r.told[ref] = told
}

// compare tells which pools share addresses, each with one other pool: of n pools with
// the same addresses every one has n-1 partners.
func (r *poolReporter) compare() {
	pools := r.pools.List()
	partners := kube.Overlapping(pools)
	for _, pool := range pools {
		partner, overlaps := partners[pool.Ref]
		told := r.told[pool.Ref]
		if overlaps && !told.overlaps {
			r.warn(pool, vip.PoolsOverlap, fmt.Sprintf("its addresses overlap with those of %s; each provider knows only its own pool", partner))
		}
		told.overlaps = overlaps
		r.told[pool.Ref] = told
	}
}

func (r *poolReporter) warn(pool *kube.Pool, reason vip.Reason, message string) {
	logrus.WithFields(logrus.Fields{"pool": pool.Ref.String(), "reason": string(reason)}).Warn(message)
	r.recorder.Event(pool.Reference(), corev1.EventTypeWarning, string(reason), vip.Short(message))
}
