// Package lint checks manifests of ClusterClasses, pools and Clusters without a
// management cluster. It reads nothing but what it is given, and judges with the
// parsers, the inspection of classes and the planner of the controller itself.
package lint
