// Package rancher carries the stamps of Clusters to Rancher and Fleet, whose
// templates cannot see Cluster API's objects.
//
// The target is the management.cattle.io Cluster that Rancher keeps for the Cluster;
// Rancher itself brings labels and annotations from there to its user interface and
// to Fleet. Where there is none, it is a fleet.cattle.io Cluster that somebody
// registered by hand. What the Cluster API Addon Provider Fleet (CAAPF) manages is
// its own to keep current, and provisioning.cattle.io Clusters are Rancher's.
//
//	source.go      what is known of a Cluster
//	target.go      what is known of a Rancher or Fleet Cluster, from its metadata
//	record.go      the annotation that tells our values from those of others
//	plan.go        which targets get the stamps, and why others do not
//	change.go      what brings one target there
//	follower.go    a cache of metadata that comes and goes with its CRD
//	kinds.go       where the kinds are served, and whether we may list them
//	propagator.go  who wakes whom; one pass over a Cluster
//	act.go         patches
//	ration.go      bounds the writes where somebody undoes them
//	memory.go      what the last passes did, and since when something is so
//	report.go      events and log lines
//	withdraw.go    takes everything back where propagation is switched off
//
// source.go to change.go decide, and know no client and no
// clock.
package rancher
