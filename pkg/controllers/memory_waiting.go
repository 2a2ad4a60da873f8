package controllers

import (
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// planned notes, before anything is done for the Cluster, which roles lack their
// VIP. What was known of an earlier Cluster of that name is forgotten.
func (m *memory) planned(key, uid string, d *vip.Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.clusters[key]; c != nil && c.uid != "" && c.uid != uid {
		delete(m.clusters, key)
	}
	c := m.cluster(key)
	c.uid = uid
	for role, outcome := range d.Roles {
		if !outcome.Reason.Ready() {
			m.missed(c.roles[role])
		}
	}
}

func (m *memory) missed(r *roleMemory) {
	if r.firstSeen.IsZero() {
		r.firstSeen = m.now()
	}
}

// lacking tells whether the role has not got what it needs after a pass. So it is if the
// pass kept its VIP back, which then is still to be published.
func lacking(outcome *vip.Outcome) bool { return !outcome.Reason.Ready() || outcome.Published }

// decided notes what each role waits for after the pass. The Cluster's condition
// remembers since when, where that was before this process.
func (m *memory) decided(key string, cluster *clusterv1.Cluster, d *vip.Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for role, r := range m.cluster(key).roles {
		r.waitsFor = ""
		outcome := d.Roles[role]
		switch {
		case outcome != nil && lacking(outcome):
			m.missed(r)
			r.waitsFor, r.waitsSince = outcome.Reason, r.firstSeen
			if outcome.Published {
				r.waitsFor = vip.ClaimPending // to whoever waits for the VIP it is the same
			}
			if since := kube.FalseSince(cluster, role); !since.IsZero() && since.Before(r.waitsSince) {
				r.waitsSince = since
			}
		case outcome == nil || !outcome.Changes:
			// It has what it needs, or needs nothing, without a publication of ours.
			r.firstSeen = time.Time{}
		}
	}
}

// skipped notes that the Cluster is none of our business now.
func (m *memory) skipped(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.clusters[key]; c != nil {
		for _, r := range c.roles {
			r.firstSeen, r.waitsFor = time.Time{}, ""
		}
	}
}

// published returns how long the role was seen without its VIP, and forgets it.
func (m *memory) published(key string, role vip.Role) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.cluster(key).roles[role]
	if r.firstSeen.IsZero() {
		return 0
	}
	waited := m.now().Sub(r.firstSeen)
	r.firstSeen = time.Time{}
	return waited
}

// waitingRole is a role of a Cluster that lacks what it needs.
type waitingRole struct {
	key, uid string
	role     vip.Role
	reason   vip.Reason
	since    time.Time
}

// waiting lists all of them.
func (m *memory) waiting() []waitingRole {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []waitingRole
	for key, c := range m.clusters {
		for role, r := range c.roles {
			if r.waitsFor != "" {
				all = append(all, waitingRole{key: key, uid: c.uid, role: role, reason: r.waitsFor, since: r.waitsSince})
			}
		}
	}
	return all
}
