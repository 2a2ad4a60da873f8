package controllers

import (
	"context"
	"errors"
	"sync"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
)

// freshAddresses lists all IPAddresses anew. Whoever asks before a list begins shares it:
// in a burst many ask at once, and each needs what is newer than its own claim only.
type freshAddresses struct {
	list    func(context.Context) (kube.AddressList, error)
	running sync.Mutex
	mu      sync.Mutex
	next    *freshList
}

type freshList struct {
	done      chan struct{}
	addresses kube.AddressList
	err       error
}

// errNotListed is what those who share a list are told whose maker panics.
var errNotListed = errors.New("the IPAddresses were not listed")

// get returns a list that was begun after the call.
func (f *freshAddresses) get(ctx context.Context) (kube.AddressList, error) {
	f.mu.Lock()
	list, first := f.next, f.next == nil
	if first {
		list = &freshList{done: make(chan struct{}), err: errNotListed}
		f.next = list
	}
	f.mu.Unlock()
	if first {
		f.make(ctx, list)
	}
	<-list.done
	return list.addresses, list.err
}

func (f *freshAddresses) make(ctx context.Context, list *freshList) {
	defer close(list.done)
	f.running.Lock()
	defer f.running.Unlock()
	f.mu.Lock()
	f.next = nil
	f.mu.Unlock()
	list.addresses, list.err = f.list(ctx)
}
