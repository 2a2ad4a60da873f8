// Package race proves that infrastructure is never built without its VIPs: a witness
// sees every version of every infrastructure and control-plane object that Cluster
// API makes while crowds of Clusters are created, for each form of gate. Without a
// gate the race is lost, and the witness must see that too.
package race
