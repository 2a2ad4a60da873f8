package controllers

import (
	"sync"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// lateAfter is how long a watch may take to show our own write before a live read is made:
// those of a busy API server were seen to lag by 5 s.
const lateAfter = 5 * time.Second

// expectations holds what the caches do not show: our own writes that they are to show, the
// patches that the API server refused, and since when a state has lasted. All of it may be
// lost: it saves requests in vain, and lets a passing state pass unreported.
type expectations struct {
	mu       sync.Mutex
	clusters map[string]*expected
	now      func() time.Time
}

type expected struct {
	// uid is that of the Cluster that was planned last, empty before.
	uid string
	// written is the resourceVersion that our last write returned, at when.
	written   string
	writtenAt time.Time
	// refused is the patch that the API server refused, because and at when.
	refused, because string
	refusedAt        time.Time
	// version is the resourceVersion that was seen last, versionAt when it was first.
	version   string
	versionAt time.Time
	roles     map[vip.Role]*roleState
}

type roleState struct {
	// reason is the role's outcome, since when it has had it.
	reason vip.Reason
	since  time.Time
	// missing is when the role was first seen without its VIP; lacks says that it still is.
	missing time.Time
	lacks   bool
}

func newExpectations() *expectations {
	return &expectations{clusters: map[string]*expected{}, now: time.Now}
}

// of locks the expectations until done is called.
func (e *expectations) of(key string) (c *expected, done func()) {
	e.mu.Lock()
	if c = e.clusters[key]; c == nil {
		c = newExpected()
		e.clusters[key] = c
	}
	return c, e.mu.Unlock
}

func newExpected() *expected {
	c := &expected{roles: map[vip.Role]*roleState{}}
	for _, role := range vip.Roles() {
		c.roles[role] = &roleState{}
	}
	return c
}

func (e *expectations) forget(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.clusters, key)
}

// wrote notes the resourceVersion that a write of ours, or a live read, returned.
func (e *expectations) wrote(key, resourceVersion string) {
	c, done := e.of(key)
	defer done()
	c.written, c.writtenAt = resourceVersion, e.now()
}

// stale tells whether the cache shows the Cluster as it was before our own last write. The
// watch event of that write is on its way and will wake us. If it has been for too long,
// either the API server is so busy that its watches are late, or it was restored from a
// backup and counts from an earlier number: a live read tells.
func (e *expectations) stale(key, resourceVersion string) (stale, tooLong bool) {
	c, done := e.of(key)
	defer done()
	if c.written == "" || !kube.Older(resourceVersion, c.written) {
		c.written = ""
		return false, false
	}
	return true, e.now().Sub(c.writtenAt) >= lateAfter
}

// versionSince returns when the Cluster was first seen in this version.
func (e *expectations) versionSince(key, resourceVersion string) time.Time {
	c, done := e.of(key)
	defer done()
	if c.version != resourceVersion {
		c.version, c.versionAt = resourceVersion, e.now()
	}
	return c.versionAt
}

// refuse notes that the API server refused the patch, in so many words.
func (e *expectations) refuse(key, patch, because string) {
	c, done := e.of(key)
	defer done()
	c.refused, c.because, c.refusedAt = patch, because, e.now()
}

// refusal returns why the API server refused this very patch a moment ago, and when
// to try again; because is empty if it did not, or if it is time.
func (e *expectations) refusal(key, patch string) (because string, again time.Duration) {
	c, done := e.of(key)
	defer done()
	if again = retryRefused - e.now().Sub(c.refusedAt); c.refused != patch || again <= 0 {
		return "", 0
	}
	return c.because, again
}

// lacking tells whether the role has not got what it needs. So it is if its VIP is deferred,
// which then is still to be published.
func lacking(outcome *vip.Outcome) bool { return !outcome.Reason.Ready() || outcome.Published }

// planned notes, before anything is done for the Cluster, which roles lack their VIP. What
// was known of an earlier Cluster of that name is forgotten.
func (e *expectations) planned(key, uid string, d *vip.Decision) {
	c, done := e.of(key)
	defer done()
	if c.uid != "" && c.uid != uid {
		*c = *newExpected()
	}
	c.uid = uid
	for role, outcome := range d.Roles {
		if r := c.roles[role]; lacking(outcome) && r.missing.IsZero() {
			r.missing = e.now()
		}
	}
}

// decided notes what the roles have come to, once in each reconcile.
func (e *expectations) decided(key string, d *vip.Decision) {
	c, done := e.of(key)
	defer done()
	for role, r := range c.roles {
		outcome := d.Roles[role]
		if r.lacks = outcome != nil && lacking(outcome); r.lacks && r.missing.IsZero() {
			r.missing = e.now()
		}
		reason := vip.Reason("")
		if outcome != nil {
			reason = outcome.Reason
		}
		switch {
		case r.lacks && outcome.Published:
			reason = vip.ClaimPending // to whoever waits for the VIP it is the same
		case r.lacks:
		case outcome == nil || !outcome.Changes:
			// It has what it needs, or needs nothing, without a publication of ours.
			r.missing = time.Time{}
		}
		if r.reason != reason {
			r.reason, r.since = reason, e.now()
		}
	}
}

// since returns since when the role has had its outcome.
func (e *expectations) since(key string, role vip.Role) time.Time {
	c, done := e.of(key)
	defer done()
	return c.roles[role].since
}

// published returns how long the role was seen without its VIP, and forgets it.
func (e *expectations) published(key string, role vip.Role) (waited time.Duration) {
	c, done := e.of(key)
	defer done()
	if r := c.roles[role]; !r.missing.IsZero() {
		waited, r.missing = e.now().Sub(r.missing), time.Time{}
	}
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
func (e *expectations) waiting() []waitingRole {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []waitingRole
	for key, c := range e.clusters {
		for role, r := range c.roles {
			if r.lacks {
				all = append(all, waitingRole{key: key, uid: c.uid, role: role, reason: r.reason, since: r.missing})
			}
		}
	}
	return all
}
