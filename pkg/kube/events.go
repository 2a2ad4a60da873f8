package kube

import (
	"fmt"
	"runtime/debug"

	"github.com/sirupsen/logrus"
	"k8s.io/client-go/tools/cache"
)

// OnEvent calls the handler for every change that the informer sees, with both
// states of the object: old is nil for a new object, current for one that is
// gone. wrangler's handlers are given a key only, from which neither the pool
// that a relabelled object used to serve nor the address of a deleted one can be
// told; and they are woken through the rate limiter of the queue.
//
// synced tells whether the handler was called for every object that was there.
//
// Handlers only enqueue. One that panics over an object all the same is recovered: the
// process must not end, and end again after each start, as long as that object exists.
func OnEvent[T any](informer cache.SharedIndexInformer, handler func(old, current *T)) (synced cache.DoneChecker, err error) {
	handler = recovering(handler)
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			if current, ok := object.(*T); ok {
				handler(nil, current)
			}
		},
		UpdateFunc: func(before, object any) {
			old, oldOK := before.(*T)
			current, ok := object.(*T)
			if oldOK && ok {
				handler(old, current)
			}
		},
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if old, ok := object.(*T); ok {
				handler(old, nil)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("add event handler: %w", err)
	}
	return registration.HasSyncedChecker(), nil
}

func recovering[T any](handler func(old, current *T)) func(old, current *T) {
	return func(old, current *T) {
		defer func() {
			if cause := recover(); cause != nil {
				object := any(current)
				if current == nil {
					object = old
				}
				name, _ := cache.MetaNamespaceKeyFunc(object)
				logrus.WithField("panic", cause).Errorf("Recovered from a panic over an event of %T %s\n%s", object, name, debug.Stack())
			}
		}()
		handler(old, current)
	}
}
