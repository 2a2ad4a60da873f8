package bench

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Alone are Clusters created one after another, each when the one before is gone.
// A duration is from a Cluster's creation to the moment when it carried both VIPs.
type Alone struct {
	Script []time.Duration // both claims, then one patch
	Ours   []time.Duration
}

func (w *world) alone(ctx context.Context, n int) (result Alone, err error) {
	w.say("one cluster alone, %d times by a script", n)
	if result.Script, err = w.oneByOne(ctx, "alone-script", n, w.script.scriptedCluster); err != nil {
		return result, fmt.Errorf("script: %w", err)
	}
	w.say("one cluster alone, %d times by the allocator", n)
	process, err := w.startAllocator(ctx)
	if err != nil {
		return result, err
	}
	defer process.Kill() // for the error below; harmless after Stop
	if result.Ours, err = w.oneByOne(ctx, "alone-ours", n, w.script.plainCluster); err != nil {
		return result, fmt.Errorf("allocator: %w; end of its log:\n%s", err, process.LogTail())
	}
	_, err = process.Stop()
	return result, err
}

func (w *world) oneByOne(ctx context.Context, namespace string, n int, create creator) ([]time.Duration, error) {
	if err := w.prepare(ctx, namespace, create); err != nil {
		return nil, err
	}
	var durations []time.Duration
	for i := range n {
		key := types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("c%04d", i)}
		if err := create(ctx, key, i); err != nil {
			return nil, err
		}
		var took time.Duration
		err := w.recorder.await(ctx, func() (done bool) {
			took, done = w.recorder.carried(key)
			return done
		})
		if err != nil {
			return nil, fmt.Errorf("cluster %s has no VIPs: %w", key, err)
		}
		durations = append(durations, took)
		if err := w.clear(ctx, namespace); err != nil {
			return nil, err
		}
	}
	return durations, nil
}
