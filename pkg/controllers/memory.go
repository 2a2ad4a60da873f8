package controllers

import (
	"slices"
	"strings"
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
	// creating holds the claims that we made and no cache has shown, by namespace/name.
	creating map[string]createdClaim
	// avoided holds the pools that a claim was moved away from, by namespace/name.
	avoided map[string]map[vip.PoolRef]avoidedPool
	now     func() time.Time
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
	// incomplete is since when a VIP could be published and the other could not.
	incomplete time.Time
	roles      map[vip.Role]*roleMemory
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

type createdClaim struct {
	pool vip.PoolRef
	at   time.Time
}

// avoidedPool is a pool that had no address, in the state in which that was found.
type avoidedPool struct {
	resourceVersion string
	at              time.Time
}

// avoidFor is how long a pool that had no address is passed over for that claim
// unless it changes. Without this, a pool whose capacity is not reported would be
// chosen anew each time its claim was moved away from it.
const avoidFor = 5 * time.Minute

// unseenFor is how long a claim that we made is believed in without having been seen:
// longer than the watches of a busy API server lag, short enough not to matter if the
// claim was deleted before anyone could see it.
const unseenFor = 30 * time.Second

// lateAfter is how long a watch may take to show our own write before a live read is made.
const lateAfter = 5 * time.Second

func newMemory() *memory {
	return &memory{clusters: map[string]*clusterMemory{}, creating: map[string]createdClaim{}, avoided: map[string]map[vip.PoolRef]avoidedPool{}, now: time.Now}
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
	namespace, name, _ := strings.Cut(key, "/")
	for _, role := range vip.Roles() {
		delete(m.avoided, namespace+"/"+role.ClaimName(name))
	}
}

// wrote notes the resourceVersion that a write of ours, or a live read, returned.
func (m *memory) wrote(key, resourceVersion string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(key)
	c.written, c.writtenAt = resourceVersion, m.now()
	c.incomplete = time.Time{}
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

// reserve notes that the claim is being made on the pool. It reports false, and when
// to look again, if that was done a moment ago and the cache merely does not show
// it yet, or if other passes have taken the room meanwhile.
func (m *memory) reserve(claim string, pool vip.PoolRef, room int64) (ok bool, again time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if made, exists := m.creating[claim]; exists && m.now().Sub(made.at) < unseenFor {
		return false, unseenFor
	}
	if m.unseenLocked(pool, claim) >= room {
		return false, 0
	}
	m.creating[claim] = createdClaim{pool: pool, at: m.now()}
	return true, 0
}

// avoid notes that the claim was moved away from the pool, which had no address.
func (m *memory) avoid(claim string, pool *kube.Pool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.avoided[claim] == nil {
		m.avoided[claim] = map[vip.PoolRef]avoidedPool{}
	}
	m.avoided[claim][pool.Ref] = avoidedPool{resourceVersion: pool.ResourceVersion, at: m.now()}
}

// avoids tells whether the claim was moved away from the pool as it is now.
func (m *memory) avoids(claim string, pool *kube.Pool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, known := m.avoided[claim][pool.Ref]
	return known && a.resourceVersion == pool.ResourceVersion && m.now().Sub(a.at) < avoidFor
}

// holdsBack tells for how much longer the Cluster's patch, which publishes one VIP,
// waits for the other, whose claim's provider last bound one at that time.
func (m *memory) holdsBack(key string, answered time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(key)
	if c.incomplete.IsZero() {
		c.incomplete = m.now()
	}
	if answered.Before(c.incomplete) {
		answered = c.incomplete
	}
	return min(together-m.now().Sub(answered), settle-m.now().Sub(c.incomplete))
}

// sawClaim notes that the cache shows the claim, or that making it failed.
func (m *memory) sawClaim(claim string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.creating, claim)
}

// unseen counts the claims made on the pool that no cache shows, but for the excepted ones.
func (m *memory) unseen(pool vip.PoolRef, except ...string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unseenLocked(pool, except...)
}

func (m *memory) unseenLocked(pool vip.PoolRef, except ...string) int64 {
	count := int64(0)
	for claim, made := range m.creating {
		if m.now().Sub(made.at) >= unseenFor {
			delete(m.creating, claim)
		} else if made.pool == pool && !slices.Contains(except, claim) {
			count++
		}
	}
	return count
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
