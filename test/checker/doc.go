// Package checker watches a management cluster from outside and finds out whether
// the allocator ever broke one of its promises. It shares no code with the
// allocator, keeps every version of every object that the API server sends, and
// judges all of them, not only the end:
//
//   - no address is the VIP of two Clusters that exist at the same time, nor of
//     both roles of one Cluster
//   - an endpoint that is set never becomes another one
//   - a Cluster has one live claim per role
//   - the spec of a claim never changes
//   - a VIP that the allocator published from a claim is the address to which that
//     claim was bound then
//   - no VIP is published for a Cluster that is paused or being deleted
//
// What a user does to a Cluster breaks the same promises, so a test in which users
// do so leaves that namespace out.
package checker
