// Package controllers watches Clusters and what they depend on, and carries out what the
// packages vip and allocator decide.
//
//	register.go         wires everything
//	handler.go          one reconcile of a Cluster: observe, plan, place, act
//	act*.go             carries a vip.Decision out; turns.go bounds how many claims at once
//	report.go           conditions and events on Clusters
//	class_reporter.go   events on classes; pool_reporter.go on pools
//	wake.go             which Cluster an event of another object concerns
//	expectations.go     what the caches do not show; waiting_gauges.go who waits
//	lease_keeper.go     gives back the Leases of addresses
package controllers
