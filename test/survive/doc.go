// Package survive tests what becomes of Clusters when everything around the allocator
// fails: it is killed at each of its writes, replies get lost, watches freeze, leaders
// die, and all of that at random.
//
// Each test works in a world of its own: a namespace with a class, pools, and an
// installation of the allocator that keeps its Leases there and reaches the API server
// through a proxy of its own. So many of them run side by side on one management
// cluster. Package checker watches all versions of all objects meanwhile.
//
// The default is what fits into a few minutes; -long does all of it. Random histories
// print their seed; -seed plays one of them again.
package survive
