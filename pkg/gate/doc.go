// Package gate reads the patches of a ClusterClass the way Cluster API runs them:
// which of them need a VIP, and whether infrastructure could be built without one.
package gate
