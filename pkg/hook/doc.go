// Package hook is the gate for ClusterClasses that are not gated themselves: a
// runtime extension that Cluster API asks before it builds anything for a new
// Cluster. It says yes only to a Cluster that carries its VIPs in the request
// itself, since Cluster API goes on with exactly that object.
//
//	server.go       the HTTPS server and its bounds
//	answer.go       requests and responses of the hooks
//	verdict.go      whether a Cluster may be built, and what it waits for
//	certificate.go  issues and rotates the certificates
//	encoding.go     what they look like in the Secret
//	secret.go       shares them among replicas
//	keeper.go       keeps the one that is served current
package hook
