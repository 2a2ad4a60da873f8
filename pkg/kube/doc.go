// Package kube stands between the planner and the Kubernetes API: it turns API
// objects into the parts of a vip.Snapshot, and it is the only package that writes
// what belongs to Cluster API. The planner behind it knows no API version.
package kube
