// Package sandbox runs the templates of ClusterClasses where they harm nobody. A
// template can neither be interrupted from outside nor kept from allocating, and
// whoever may write a ClusterClass in a namespace of their own writes templates. So
// they run in a child process of the same program, which is bounded and may be killed.
//
//	evaluator.go  answers questions about classes, one at a time, each namespace in turn
//	queue.go      whose question is next
//	process.go    the child process as its parent sees it
//	child.go      what runs in the child, and its bounds
package sandbox
