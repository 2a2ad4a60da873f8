package server

import (
	"os"
	"runtime/debug"
)

// garbagePercent is how much garbage there may be, in percent of what lives. Nearly
// everything that lives here is in the caches and stays, so Go's default of 100 would
// double a memory that grows with the number of Clusters, and a list of everything after a
// restart of the API server would double it again. Little garbage is made meanwhile, so
// collecting it earlier costs next to nothing.
const garbagePercent = 30

// collectGarbage sets how often garbage is collected, unless the environment says so.
func collectGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}
