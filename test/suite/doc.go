// Package suite tests what the allocator does for its users, on a real management
// cluster: kube-apiserver, Cluster API with its topology controller and webhooks,
// and the in-cluster IPAM provider. The allocator is a process with the rights that
// its chart gives it.
//
// # How a test is built
//
// A test works in a world of its own: a namespace, classes and pools with names
// that nobody else uses, and ranges of addresses that do not overlap. So tests run
// side by side on one management cluster, and most share one allocator. That one
// serves only Clusters with a certain watch-filter label, so that a test which needs
// other flags, or kills its allocator, starts one for a label value of its own.
//
// Tests of what matters most (pools that overlap, run dry, come and go; crowds that
// wait; claims that get lost; restarts and stale caches at the worst moment) run under
// the eyes of package checker. Their crowds are as large as fits into a minute; -long
// makes them as large as the allocator promises to bear.
//
// Whatever is waited for is a condition with a deadline. "Nothing happens" is shown
// by a barrier: a Cluster created later gets its VIPs, and until then the audit log
// holds no write of the allocator for the one in question.
package suite
