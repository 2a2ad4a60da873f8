// Package version says what was built. The build sets the variables.
package version

import "runtime"

// Version is the released version, or "dev"; GitCommit the commit it was built from.
var (
	Version   = "dev"
	GitCommit = "unknown"
)

// String returns version, commit and Go version in one line.
func String() string { return Version + " (" + GitCommit + ", " + runtime.Version() + ")" }

// UserAgent is what the API server sees of us.
func UserAgent() string { return "capi-vip-allocator/" + Version }
