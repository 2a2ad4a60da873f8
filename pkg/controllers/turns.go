package controllers

import (
	"slices"
	"sync"
)

// turns bounds how many claims are made at once. Who finds none left waits without a worker,
// and is woken in the order of coming.
type turns struct {
	mu      sync.Mutex
	left    int
	waiting []string
}

// take tells whether it is the Cluster's turn. If not it is woken when it is.
func (t *turns) take(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left > 0 {
		t.left--
		return true
	}
	if !slices.Contains(t.waiting, key) {
		t.waiting = append(t.waiting, key)
	}
	return false
}

// give ends a turn, and returns whose turn it is.
func (t *turns) give() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left++
	return t.next()
}

// free returns whose turn it is, if those that were woken before did not come.
func (t *turns) free() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next()
}

func (t *turns) next() (woken []string) {
	count := min(t.left, len(t.waiting))
	woken, t.waiting = slices.Clone(t.waiting[:count]), t.waiting[count:]
	return woken
}
