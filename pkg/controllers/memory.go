package controllers

import (
	"sync"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// memory holds what the last passes did and the caches do not show yet, and since
// when something has been so. All of it may be lost: it saves requests that the
// API server would refuse, and it lets a passing state pass unreported.
type memory struct {
	mu       sync.Mutex
	clusters map[string]*clusterMemory
	now      func() time.Time
}

type clusterMemory struct {
	// uid is that of the Cluster that was planned last, empty before.
	uid string
	// written is the resourceVersion that our last write returned, at when.
	written   string
	writtenAt time.Time
	refusal   refusal
	// version is the resourceVersion that was seen last, versionAt when it was first.
	version   string
	versionAt time.Time
	roles     map[vip.Role]*roleMemory
}

// refusal is a patch that the API server refused for a reason of its own.
type refusal struct {
	patch, because string
	at             time.Time
}

type roleMemory struct {
	// firstSeen is when the role was first seen without its VIP.
	firstSeen time.Time
	// reason is the role's outcome, since when it has had it.
	reason vip.Reason
	since  time.Time
	// waitsFor is what the last pass left the role waiting for, empty if for nothing;
	// waitsSince is since when the role has lacked what it needs.
	waitsFor   vip.Reason
	waitsSince time.Time
}

// lateAfter is how long a watch may take to show our own write before a live read is made.
const lateAfter = 5 * time.Second

func newMemory() *memory {
	return &memory{clusters: map[string]*clusterMemory{}, now: time.Now}
}

func (m *memory) cluster(key string) *clusterMemory {
	c := m.clusters[key]
	if c == nil {
		c = &clusterMemory{roles: map[vip.Role]*roleMemory{}}
		for _, role := range vip.Roles() {
			c.roles[role] = &roleMemory{}
		}
		m.clusters[key] = c
	}
	return c
}

func (m *memory) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.clusters, key)
}

// wrote notes the resourceVersion that a write of ours, or a live read, returned.
func (m *memory) wrote(key, resourceVersion string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(key)
	c.written, c.writtenAt = resourceVersion, m.now()
}

// behind tells whether the cache shows the Cluster as it was before our own last
// write. The watch event of that write is on its way and will wake us. If it has been
// for too long, either the API server is so busy that its watches are late, or it was
// restored from a backup and counts from an earlier number: a live read tells.
func (m *memory) behind(key, resourceVersion string) (behind, tooLong bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, known := m.clusters[key]
	if !known || c.written == "" {
		return false, false
	}
	if !kube.Older(resourceVersion, c.written) {
		c.written = ""
		return false, false
	}
	return true, m.now().Sub(c.writtenAt) >= lateAfter
}

// versionSince returns when the Cluster was first seen in this version.
func (m *memory) versionSince(key, resourceVersion string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(key)
	if c.version != resourceVersion {
		c.version, c.versionAt = resourceVersion, m.now()
	}
	return c.versionAt
}

// refuses notes that the API server refused the patch, in so many words.
func (m *memory) refuses(key, patch, because string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cluster(key).refusal = refusal{patch: patch, because: because, at: m.now()}
}

// refused returns why the API server refused this very patch a moment ago, and when
// to try again; because is empty if it did not, or if it is time.
func (m *memory) refused(key, patch string) (because string, again time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, known := m.clusters[key]
	if !known || c.refusal.patch != patch {
		return "", 0
	}
	if again = retryRefused - m.now().Sub(c.refusal.at); again <= 0 {
		return "", 0
	}
	return c.refusal.because, again
}

// outcome notes the role's outcome and returns since when it has been so.
func (m *memory) outcome(key string, role vip.Role, reason vip.Reason) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.cluster(key).roles[role]
	if r.reason != reason {
		r.reason, r.since = reason, m.now()
	}
	return r.since
}
