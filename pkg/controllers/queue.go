package controllers

import (
	"context"

	"k8s.io/client-go/util/workqueue"
)

// work handles what the queue holds, one after the other, until ctx ends. What fails comes
// again after the queue's back-off.
func work[T comparable](ctx context.Context, queue workqueue.TypedRateLimitingInterface[T], handle func(T) error) {
	context.AfterFunc(ctx, queue.ShutDown)
	for {
		item, stop := queue.Get()
		if stop || ctx.Err() != nil {
			return
		}
		if err := handle(item); err != nil {
			queue.AddRateLimited(item)
		} else {
			queue.Forget(item)
		}
		queue.Done(item)
	}
}
