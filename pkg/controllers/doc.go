// Package controllers watches Clusters and what they depend on, and carries out
// what package vip decides.
//
//	register.go       wires everything
//	handler.go        one pass over a Cluster: observe, plan, act
//	observe*.go       reads the caches into a vip.Snapshot
//	act*.go           carries a vip.Decision out
//	*_gauges.go       what a scrape reads from the caches
//	report.go         conditions and events on Clusters
//	pool_reporter.go  events on pools
//	wake.go           which Cluster an event of another object concerns
//	waiters.go        the Clusters that wait for a pool, and whom it invites
//	ledger.go         what is spoken for, per pool
//	memory*.go        what the last passes did and the caches do not show yet
//	lease_keeper.go   gives back the Leases of addresses
//	reader.go         the observer for the hook; list_reader.go for the command line
package controllers
