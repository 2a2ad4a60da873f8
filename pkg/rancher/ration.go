package rancher

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Against somebody who undoes our writes we stop after attempts in a period, and
// take up again when it is over: at most attempts writes of a key in any period.
const (
	attempts = 4
	period   = time.Hour
)

// ration bounds the writes of each target. Turtles, Rancher and CAAPF write the same
// values as we do or leave ours alone, so it runs out only where somebody means it.
type ration struct {
	mu      sync.Mutex
	now     func() time.Time
	targets map[string]*targetRation // by UID
}

type targetRation struct {
	// cause is what the writes were made for. Another VIP begins anew.
	cause string
	// times holds, by key and value, when it was written.
	times map[string][]time.Time
	// refused is the patch that the API server refused, at and with which answer.
	refused   string
	refusedAt time.Time
	answer    string
}

func newRation() *ration {
	return &ration{now: time.Now, targets: map[string]*targetRation{}}
}

// target returns what is known of the target under this cause.
func (r *ration) target(uid, cause string) *targetRation {
	t := r.targets[uid]
	if t == nil || t.cause != cause {
		t = &targetRation{cause: cause, times: map[string][]time.Time{}}
		r.targets[uid] = t
	}
	return t
}

// cut takes out of the patch what was written often enough. It returns why nothing
// or not all is left, and when to look again.
func (r *ration) cut(p *Patch, cause string) (block string, again time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.target(p.Target.UID, cause)
	if t.refused != "" && t.refused == digest(p) {
		if left := period - r.now().Sub(t.refusedAt); left > 0 {
			p.Labels, p.Annotations = nil, nil
			return t.answer, left
		}
	}
	lost := false
	for _, e := range p.entries() {
		if left := t.left(e.id(), r.now()); left > 0 {
			p.drop(e)
			lost, again = true, max(again, left)
		}
	}
	if !lost {
		return "", 0
	}
	return fmt.Sprintf("somebody keeps undoing the stamps of %s: they are left as they are, and tried again within an hour", p.Target), again
}

// left returns for how long the entry must not be written; not positive if it may be.
func (t *targetRation) left(id string, now time.Time) time.Duration {
	times := t.times[id]
	if len(times) < attempts {
		return 0
	}
	return period - now.Sub(times[len(times)-attempts])
}

// wrote notes that the patch was made.
func (r *ration) wrote(p *Patch, cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.target(p.Target.UID, cause)
	t.refused = ""
	for _, e := range p.entries() {
		id := e.id()
		t.times[id] = append(t.times[id], r.now())
		t.times[id] = t.times[id][max(0, len(t.times[id])-attempts):]
	}
}

// refused notes that the API server refused the patch.
func (r *ration) refused(p *Patch, cause, answer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.target(p.Target.UID, cause)
	t.refused, t.refusedAt, t.answer = digest(p), r.now(), answer
}

func (r *ration) forget(uid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.targets, uid)
}

// digest identifies the patch.
func digest(p *Patch) string {
	var ids []string
	for _, e := range p.entries() {
		ids = append(ids, e.id())
	}
	slices.Sort(ids)
	return strings.Join(ids, "\n")
}
