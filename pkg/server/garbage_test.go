package server

import (
	"runtime/debug"
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
		collectGarbage()
		if got := debug.SetGCPercent(initial); got != test.want {
			t.Errorf("with GOGC=%q garbage is collected at %d %%, want %d", test.environment, got, test.want)
		}
	}
}
