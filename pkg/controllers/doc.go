// Package controllers watches Clusters and what they depend on, and carries out
// what package vip decides.
//
//	observe.go   reads the caches into a vip.Snapshot
//	handler.go   one pass over a Cluster: observe, plan, act
//	act.go       carries a vip.Decision out
//	report.go    conditions, events and metrics
//	wake.go      which Cluster an event of another object concerns
//	memory.go    what the last passes did and the caches do not show yet
package controllers
