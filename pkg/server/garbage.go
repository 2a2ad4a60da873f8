package server

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// garbagePercent is how much garbage there may be, in percent of what lives. Nearly
	// everything that lives here is in the caches and stays, so Go's default of 100 would
	// double a memory that grows with the number of Clusters, and a list of everything after a
	// restart of the API server would double it again. Little garbage is made meanwhile, so
	// collecting it earlier costs next to nothing.
	garbagePercent = 30
	// returnEvery is how often memory that is not used is given back to the system: a
	// start or a list of everything leaves room behind that is not needed again for long.
	returnEvery = time.Minute
	// little is how many bytes may be allocated meanwhile without anything being given
	// back: to find out what is used costs a collection.
	little = 16 << 20
)

// collectGarbage sets how often garbage is collected, unless the environment says so,
// and gives unused memory back until ctx ends.
func collectGarbage(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(garbagePercent)
	go func() {
		allocated := uint64(0)
		for {
			select {
			case <-time.After(returnEvery):
				allocated = returnMemory(allocated)
			case <-ctx.Done():
				return
			}
		}
	}()
}

// returnMemory gives unused memory back if more than a little was allocated since the
// last time. before and the result are the bytes allocated in all until then and now.
func returnMemory(before uint64) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	allocated := sample[0].Value.Uint64()
	if allocated-before <= little {
		return before
	}
	debug.FreeOSMemory()
	return allocated
}
