// Package version says what was built. The build sets the variables.
package version

import (
	"runtime"
	"runtime/debug"
)

// Version is the released version, or "dev"; GitCommit the commit it was built from.
var (
	Version   = "dev"
	GitCommit = unknown
)

const unknown = "unknown"

// Revision is the commit that was built, as the build or else the Go toolchain noted it.
func Revision() string {
	if GitCommit != unknown {
		return GitCommit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				return setting.Value
			}
		}
	}
	return unknown
}

// String returns version, commit and Go version in one line.
func String() string { return Version + " (" + Revision() + ", " + runtime.Version() + ")" }

// UserAgent is what the API server sees of us.
func UserAgent() string { return "capi-vip-allocator/" + Version }
