// Package pools tests how the allocator treats pools and claims when it matters:
// pools that overlap, run dry, come and go; crowds that wait; providers of other
// makes; claims that get lost; restarts and stale caches at the worst moment. All of
// it runs on a real management cluster, with the allocator as a process of its own,
// under the eyes of package checker.
//
// Every test has a namespace, pools and addresses of its own, so they run side by
// side. Whatever is waited for is a condition with a deadline.
//
// The crowds are as large as fits into minutes; -long makes them as large as the
// allocator promises to bear.
package pools
