// Package vip decides which virtual IPs a Cluster gets.
//
// It is the part of the allocator that thinks: it holds no Kubernetes client, no
// clock and no logger. One pass over a Cluster is
//
//	observe   package controllers reads every cache once into a [Snapshot]
//	plan      [Plan] turns the Snapshot into a [Decision]
//	act       package controllers carries the Decision out
//
// # Words
//
// A role says what a virtual IP is for: control-plane or ingress. A pool is an
// IPAM pool that carries our labels or annotations. A claim is an IPAddressClaim,
// an address the IPAddress that an IPAM provider binds to it. The endpoint is the
// Cluster's spec.controlPlaneEndpoint. The stamp is the label and annotation that
// publish a VIP to others.
//
// # What holds
//
//   - An endpoint that is set is never changed, whoever set it.
//   - A claim is believed only if the Cluster's UID owns it and it is not going away.
//   - An address that somebody else uses is never published.
//   - The roles do not wait for each other.
//   - A converged Cluster yields a Decision without writes.
package vip
