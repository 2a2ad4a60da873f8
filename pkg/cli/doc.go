// Package cli holds the commands for people: they look at a management cluster and
// change nothing, but for reserve.
//
//	command.go      what all commands share; the plugin of kubectl
//	target.go       which management cluster: kubeconfig, context, namespace
//	settings.go     how the running controller is set
//	reading.go      gets and lists, and remembers what was not visible
//	look.go         lists what an observer needs, once
//	explain*.go     explain: the planner's own answer for one Cluster
//	explanation.go  what it tells, as a public struct
//	remedies.go     what to do next, by reason
//	downstream.go   Clusters of Rancher and Fleet that stand for the Cluster
//	pools*.go       pools: capacity, warnings; holdings.go who holds which address
//	*_text.go       all of it in words
//	reserve*.go     reserve: makes a claim, and waits until it is bound
//	clean*.go       clean: a manifest to copy, without a management cluster
//	follow.go       what look lists, kept current; pulse.go whether the API server answers
//	ui*.go          ui: what is followed, as Views of package ui
//	lint*.go        lint: manifests, without a management cluster
//	screen.go       tables, colours
//
// What the commands print as JSON or YAML are the exported structs.
package cli
