// Package security proves the threat model: it plays tenants with the rights of
// examples/tenant-role.yaml, an IPAM provider that lies, and readers of metrics, and
// brings everything hostile to the API server that a user may write.
package security
