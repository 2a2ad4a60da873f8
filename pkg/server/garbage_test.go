package server

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestGarbageIsCollectedEarlierUnlessTheEnvironmentSaysHow(t *testing.T) {
	const initial = 100
	t.Cleanup(func() { debug.SetGCPercent(initial) })
	for _, test := range []struct {
		environment string
		want        int
	}{{"", garbagePercent}, {"250", initial}} {
		debug.SetGCPercent(initial)
		t.Setenv("GOGC", test.environment)
		collectGarbage(t.Context())
		if got := debug.SetGCPercent(initial); got != test.want {
			t.Errorf("with GOGC=%q garbage is collected at %d %%, want %d", test.environment, got, test.want)
		}
	}
}

func TestUnusedMemoryIsGivenBack(t *testing.T) {
	held := func() (bytes uint64) {
		samples := []metrics.Sample{
			{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		}
		metrics.Read(samples)
		for _, sample := range samples {
			bytes += sample.Value.Uint64()
		}
		return bytes
	}
	last := returnMemory(0)
	if again := returnMemory(last); again != last {
		t.Error("memory is given back though next to nothing was allocated")
	}
	before := held()
	list := make([]byte, 4*little)
	for i := range list {
		list[i] = 1 // resident
	}
	if now := held(); now < before+3*little {
		t.Fatalf("%d bytes were held, and %d with the list", before, now)
	}
	runtime.KeepAlive(list)
	returnMemory(last)
	if now := held(); now > before+little {
		t.Errorf("%d bytes were held before the list, and %d after it", before, now)
	}
}
