package rancher

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	// patience is how long a stamp that vanished stays on the targets. A GitOps tool
	// that strips it is undone within moments; Fleet would uninstall meanwhile.
	patience = 5 * time.Second
	// recovery is how long a label stays off a Fleet Cluster from which somebody took it.
	// Fleet 0.16 that gets it back within moments, while it still removes what it deployed
	// by it, may wait for ever for values that it has removed last.
	recovery = 10 * time.Second
	// settle is how long something must be blocked to be reported. Whoever else copies
	// stamps may be about to do so.
	settle = 15 * time.Second
	// repeat is how long one and the same report is not repeated.
	repeat = time.Hour
	// unseen is how long the cache may lag behind our own write at most.
	unseen = 5 * time.Second
)

// memory holds what the last passes did and since when something is so. All of it
// may be lost.
type memory struct {
	mu       sync.Mutex
	now      func() time.Time
	clusters map[types.NamespacedName]*clusterMemory
	// written holds the resourceVersion of our last write, by the target's UID.
	written map[string]write
	// stripped is since when the label of a role is off a target, by the target's UID.
	stripped map[string]map[vip.Role]time.Time
}

type write struct {
	version string
	at      time.Time
}

type clusterMemory struct {
	// missing is since when a role's stamp is gone.
	missing map[vip.Role]time.Time
	// blocked is since when each block lasts.
	blocked map[string]time.Time
	// cause is what the last writes were made for.
	cause string
	// said is what was reported last.
	said   string
	saidAt time.Time
}

func newMemory() *memory {
	return &memory{now: time.Now, clusters: map[types.NamespacedName]*clusterMemory{}, written: map[string]write{}, stripped: map[string]map[vip.Role]time.Time{}}
}

func (m *memory) cluster(key types.NamespacedName) *clusterMemory {
	c := m.clusters[key]
	if c == nil {
		c = &clusterMemory{missing: map[vip.Role]time.Time{}, blocked: map[string]time.Time{}}
		m.clusters[key] = c
	}
	return c
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.clusters, key)
}

// forgetTarget drops what is known of a target that is gone.
func (m *memory) forgetTarget(uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.written, uid)
	delete(m.stripped, uid)
}

// settling notes from which Fleet Clusters a label has been taken, and leaves that role
// settling for a while. It returns when to look again; zero if none is.
func (m *memory) settling(targets []Target) (again time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range targets {
		t := &targets[i]
		if t.Kind != FleetCluster {
			continue // Rancher sees no more than that it is there again
		}
		since := map[vip.Role]time.Time{}
		t.Settling = map[vip.Role]bool{}
		for _, role := range vip.Roles() {
			if !t.stripped(role) {
				continue
			}
			if since[role] = m.stripped[t.UID][role]; since[role].IsZero() {
				since[role] = m.now()
			}
			if left := recovery - m.now().Sub(since[role]); left > 0 {
				t.Settling[role] = true
				again = max(again, left)
			}
		}
		if m.stripped[t.UID] = since; len(since) == 0 {
			delete(m.stripped, t.UID)
		}
	}
	return again
}

// wrote notes what our write of a target returned.
func (m *memory) wrote(uid, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written[uid] = write{version: version, at: m.now()}
}

// behind tells whether the cache shows the target as it was before our own last
// write. The event of that write will wake us.
func (m *memory) behind(t *Target) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.written[t.UID]
	if !known {
		return false
	}
	if !kube.Older(t.Version, last.version) || m.now().Sub(last.at) >= unseen {
		delete(m.written, t.UID)
		return false
	}
	return true
}

// unsettled notes which roles have lost a stamp that stands on targets, and leaves
// those that have just done so unsettled. It returns when to look again; zero if
// none is.
func (m *memory) unsettled(s *Source, targets []Target) (again time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(s.Key)
	for _, role := range vip.Roles() {
		recorded := slices.ContainsFunc(targets, func(t Target) bool { return t.Record.VIPs[role] != "" })
		if s.VIPs[role] != "" || !recorded {
			delete(c.missing, role)
			continue
		}
		if c.missing[role].IsZero() {
			c.missing[role] = m.now()
		}
		if left := patience - m.now().Sub(c.missing[role]); left > 0 {
			s.Unsettled[role] = true
			again = max(again, left)
		}
	}
	return again
}

// cause is what writes for the Cluster are made for: what it is stamped with. A
// stamp that may come back changes nothing.
func (m *memory) cause(s *Source) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(s.Key)
	if len(s.Unsettled) == 0 {
		c.cause = fmt.Sprintf("%d %s %s", s.State, s.VIPs[vip.ControlPlane], s.VIPs[vip.Ingress])
	}
	return c.cause
}

// lasting returns the blocks that have lasted, and when to look at the others again;
// zero if there are none.
func (m *memory) lasting(key types.NamespacedName, blocks []string) (lasting []string, again time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(key)
	before := c.blocked
	c.blocked = map[string]time.Time{}
	for _, block := range blocks {
		since, known := before[block]
		if !known {
			since = m.now()
		}
		c.blocked[block] = since
		if left := settle - m.now().Sub(since); left > 0 {
			again = max(again, left)
		} else {
			lasting = append(lasting, block)
		}
	}
	return lasting, again
}

// news tells whether the text was not reported lately, and notes that it is now.
func (m *memory) news(key types.NamespacedName, text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.cluster(key)
	if c.said == text && m.now().Sub(c.saidAt) < repeat {
		return false
	}
	c.said, c.saidAt = text, m.now()
	return true
}
