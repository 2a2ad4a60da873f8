// Package neighbours runs the examples beside the real programs that people run them with, as
// far as those can be built from Go modules: the kubeadm, RKE2 and k3s providers with their
// webhooks, and Fleet's controller. docs/tried-with.md says which, and what nobody runs here.
//
// The classes of examples/classes are applied as they are. Infrastructure is played: an object
// that Cluster API makes of an infrastructure kind is told to be provisioned. Where a provider's
// kinds cannot be had, ones without a schema stand in for them.
package neighbours
