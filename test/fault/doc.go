// Package fault puts a proxy between an unchanged program and kube-apiserver and
// makes it misbehave: it loses, repeats, delays and refuses requests, loses and
// truncates replies, freezes, cuts and expires watches, and tells a test about every
// write, so that the test can stop or kill the program at exactly that moment.
//
// The proxy holds the credentials; the program gets a kubeconfig that names the
// proxy and nobody else.
package fault
