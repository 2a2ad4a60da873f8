package vip_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func TestPlanOfRandomSnapshotsKeepsTheInvariants(t *testing.T) {
	count := 5000
	if testing.Short() {
		count = 500
	}
	tally := map[vip.Reason]int{}
	first, last := seeds(count)
	for n := first; n <= last && !t.Failed(); n++ {
		s := seeded(n).snapshot()
		d := vip.Plan(s)
		checkDecision(t, s, &d)
		for _, outcome := range d.Roles {
			tally[outcome.Reason]++
		}
		if t.Failed() {
			t.Logf("again with: -seed %d\n%s", n, renderPlan(t, &d))
		}
	}
	if *seed == 0 && !testing.Short() {
		t.Logf("outcomes: %v", tally)
		for _, reason := range vip.Reasons() {
			if tally[reason] == 0 && reason != vip.PatchRefused {
				t.Errorf("no random snapshot led to %s", reason)
			}
		}
	}
}

// checkDecision holds for every Snapshot whatever.
func checkDecision(t testing.TB, s *vip.Snapshot, d *vip.Decision) {
	t.Helper()
	_, paused := s.Cluster.Annotations[vip.PausedAnnotation]
	byUser := paused || (s.Cluster.Paused != nil && *s.Cluster.Paused && !s.Cluster.Held())
	if (byUser || s.Cluster.Deleting) && d.Skipped == "" {
		t.Error("a Cluster that a user paused, or a dying one, is handled")
	}
	lifts := slices.ContainsFunc(d.Patch, func(op vip.PatchOp) bool { return op.Op != "test" && op.Path == "/spec/paused" })
	if lifts && (byUser || !s.Cluster.Held()) {
		t.Error("the pause of a user is lifted")
	}
	if d.Skipped != "" {
		if len(d.Roles)+len(d.Conditions) > 0 || (len(d.Patch) > 0 && !lifts) {
			t.Errorf("skipped, and yet there is something to do: %+v", d)
		}
		return
	}
	if s.Cluster.Held() && !lifts && (!s.Settings.HoldGate || d.Ready()) && s.Class.Exists && s.Class.Ready {
		t.Error("nothing is missing, and the Cluster is kept")
	}
	if lifts && s.Settings.HoldGate {
		for role, outcome := range d.Roles {
			next := after(t, s, d).Cluster
			named := next.Annotations[role.Stamp()] != "" || valueAt(&next, s.Class.Roles[role].Path) != "" || (role == vip.ControlPlane && next.Endpoint.Host != "")
			if !outcome.Reason.Ready() && s.WaitsFor(role) && !named {
				t.Errorf("the Cluster is let go without the VIP of role %s", role)
			}
		}
	}
	if len(d.Conditions) != len(d.Roles) {
		t.Errorf("%d conditions for %d roles", len(d.Conditions), len(d.Roles))
	}
	for role, outcome := range d.Roles {
		checkOutcome(t, s, role, outcome)
		condition := d.Conditions[role.ConditionType()]
		if condition.Reason != outcome.Reason || condition.True != outcome.Reason.Ready() {
			t.Errorf("role %s is %s, its condition %+v", role, outcome.Reason, condition)
		}
		if len(condition.Message) > 4096 || strings.ContainsAny(condition.Message, "\n\x1b\x00") {
			t.Errorf("role %s: a condition with a message of %d bytes: %.200q", role, len(condition.Message), condition.Message)
		}
	}
	if len(d.Patch) > 0 && s.Settings.HoldGate && (!s.Class.Exists || !s.Class.Ready) {
		t.Errorf("a patch although the class cannot vouch for it")
	}
	checkPatch(t, s, d)
	for _, role := range vip.Roles() {
		checkAlone(t, s, role)
	}
}

func checkOutcome(t testing.TB, s *vip.Snapshot, role vip.Role, o *vip.Outcome) {
	t.Helper()
	claim := s.Claims[role]
	if o.Published && claim.Address.Outside {
		t.Errorf("role %s: an address outside of its pool is published", role)
	}
	disabled := s.Cluster.Annotations[role.EnabledAnnotation()] == "false"
	if o.Message == "" {
		t.Errorf("role %s: %s without a message", role, o.Reason)
	}
	if o.Release != nil {
		switch {
		case o.Release == claim && len(claim.OwnerUIDs) == 0 && claim.ClusterLabel == s.Cluster.Name && !claim.Deleting:
			// What an earlier Cluster left behind. That it is in use is looked at in the cases.
		case o.Release != claim || claim.Deleting || !owned(s, claim):
			t.Errorf("role %s releases a claim that is not live and its own", role)
		case o.Ensure:
			t.Errorf("role %s wants its claim both made and released", role)
		case !disabled && claim.Bound && (o.Want == nil || o.Want.Refused != claim.Pool):
			t.Errorf("role %s releases a bound claim that nobody disabled", role)
		case disabled && claim.Binding && !claim.Bound:
			t.Errorf("role %s releases a claim whose address would stay behind", role)
		case role == vip.ControlPlane && claim.Address != nil && sameAddress(s.Cluster.Endpoint.Host, claim.Address.Text):
			t.Errorf("the claim behind the endpoint is released")
		}
	}
	takesBack := o.Reason == vip.ClaimLost && o.Ensure
	if takesBack && (claim != nil || o.Pool != s.Recoveries[role] || !sameAddress(o.Pin.String(), s.Cluster.Annotations[role.Stamp()])) {
		t.Errorf("role %s takes back %s from %s", role, o.Address, o.Pool)
	}
	if o.Ensure && claim == nil && !takesBack {
		if s.Cluster.Annotations[role.WrittenAnnotation()] != "" && !begins(s, role) {
			t.Errorf("role %s, published before, gets a new address", role)
		}
		for _, candidate := range s.Placements[role].Candidates {
			if candidate.Verdict == "" {
				if candidate.Pool.Ref != o.Pool {
					t.Errorf("role %s chooses %s before %s", role, o.Pool, candidate.Pool.Ref)
				}
				return
			}
		}
		t.Errorf("role %s wants a claim on %s, which cannot serve", role, o.Pool)
	}
	if o.Ensure && claim != nil && (o.Pool != claim.Pool || claim.Deleting || !owned(s, claim)) {
		t.Errorf("role %s wants a second claim beside %+v", role, claim)
	}
}

// begins tells whether what says that the role was published before need not count: nothing
// is built with it yet, or it was switched off since.
func begins(s *vip.Snapshot, role vip.Role) bool {
	c := &s.Cluster
	off := c.Annotations[role.WrittenAnnotation()] == vip.WrittenNone && c.Annotations[role.Stamp()] == ""
	return off || (!c.HasInfrastructure && c.Endpoint.Host == "")
}

func owned(s *vip.Snapshot, claim *vip.Claim) bool {
	return len(claim.OwnerUIDs) > 0 && claim.OwnerUIDs[0] == s.Cluster.UID
}

func sameAddress(a, b string) bool {
	keyA, okA := vip.Key(a)
	keyB, okB := vip.Key(b)
	return okA && okB && keyA == keyB
}

// checkPatch applies the patch and looks at what became of the Cluster.
func checkPatch(t testing.TB, s *vip.Snapshot, d *vip.Decision) {
	t.Helper()
	before := newClusterDoc(&s.Cluster)
	doc, err := before.apply(d.Patch)
	if err != nil {
		t.Errorf("the patch does not apply: %v", err)
		return
	}
	if a, b := before.foreign(s), doc.foreign(s); !reflect.DeepEqual(a, b) {
		t.Errorf("foreign fields changed: %s", difference(a, b))
	}
	next := after(t, s, d)
	old, current := s.Cluster.Endpoint, next.Cluster.Endpoint
	if (old.Host != "" && current.Host != old.Host) || (old.Port != 0 && current.Port != old.Port) {
		t.Errorf("the endpoint was %v and is %v", old, current)
	}
	again := vip.Plan(next)
	cleared := d.Roles[vip.Ingress] != nil && d.Roles[vip.Ingress].Reason == vip.Disabled &&
		d.Roles[vip.ControlPlane] != nil && d.Roles[vip.ControlPlane].Reason == vip.AddressInUse
	if len(again.Patch) > 0 && (retired(s) || retired(next) || cleared) {
		// Whether a value of a variable that the class no longer declares is ours may
		// only be told once the stamp is there. And a provider that bound one address for
		// both roles may have it used for the one when the other is switched off.
		next = after(t, next, &again)
		again = vip.Plan(next)
	}
	if len(again.Patch) > 0 {
		t.Errorf("the next pass would patch again: %s", toLines(again.Patch))
	}
	for role, outcome := range d.Roles {
		checkPublished(t, s, next, role, outcome)
	}
}

// checkFilled holds for running Clusters: a variable is filled for the first time
// only where somebody asked for it.
func checkFilled(t testing.TB, s, next *vip.Snapshot, role vip.Role) {
	t.Helper()
	path := s.Class.Roles[role].Path
	if s.Class.Roles[role].Shared {
		return // it is filled for the control plane
	}
	filled := valueAt(&s.Cluster, path) != valueAt(&next.Cluster, path) && valueAt(&next.Cluster, path) != ""
	first := s.Cluster.Endpoint.Host == "" && next.Cluster.Endpoint.Host != "" && !s.Cluster.InfrastructureProvisioned
	restored := s.Cluster.Annotations[role.WrittenAnnotation()] == path || (role == vip.Ingress && begins(s, role)) // or enabled again
	if filled && s.Cluster.HasInfrastructure && !first && !restored && s.Cluster.Annotations[vip.BackfillAnnotation] != "true" {
		t.Errorf("role %s: variable %s of a running Cluster is filled", role, path)
	}
}

// retired tells whether we wrote a variable that the class no longer declares.
func retired(s *vip.Snapshot) bool {
	for _, role := range vip.Roles() {
		written := s.Cluster.Annotations[role.WrittenAnnotation()]
		if name, _, _ := strings.Cut(written, "."); written != "" && written != vip.WrittenNone && !s.Class.Declares[name] {
			return true
		}
	}
	return false
}

func checkPublished(t testing.TB, s, next *vip.Snapshot, role vip.Role, o *vip.Outcome) {
	t.Helper()
	checkFilled(t, s, next, role)
	claim := s.Claims[role]
	stamp := next.Cluster.Annotations[role.Stamp()]
	if o.Reason == vip.Allocated {
		// An ingress stamp that somebody changed is theirs.
		theirs := role == vip.Ingress && stamp == s.Cluster.Annotations[role.Stamp()]
		if !sameAddress(o.Address, claim.Address.Text) || (!theirs && !sameAddress(stamp, o.Address)) {
			t.Errorf("role %s is allocated %s, stamped %q, bound %q", role, o.Address, stamp, claim.Address.Text)
		}
		if label := next.Cluster.Labels[role.Stamp()]; o.Changes && label != "" && label != stamp {
			t.Errorf("role %s is stamped %q, its label says %q", role, stamp, label)
		}
		if role == vip.ControlPlane && !sameAddress(next.Cluster.Endpoint.Host, o.Address) {
			t.Errorf("the control plane is allocated %s, but the endpoint is %v", o.Address, next.Cluster.Endpoint)
		}
	}
	if o.Published {
		key, _ := vip.Key(claim.Address.Text)
		for _, holder := range s.Holders[key] {
			if !holder.Rival {
				t.Errorf("role %s publishes %s, which %s holds", role, key, holder)
			}
		}
		if claim.Contested && !claim.LeaseHeld && !o.Lease {
			t.Errorf("role %s publishes %s, which another pool could hand out too, without its Lease", role, key)
		}
		if _, err := vip.ParseAddress(claim.Address.Text); err != nil || claim.Deleting || claim.Address.Deleting || !owned(s, claim) {
			t.Errorf("role %s publishes from %+v", role, claim)
		}
	}
}

// checkAlone plans one role only: the other's fields must stay as they are.
func checkAlone(t testing.TB, s *vip.Snapshot, role vip.Role) {
	t.Helper()
	d := vip.PlanRoles(s, role)
	doc, err := newClusterDoc(&s.Cluster).apply(d.Patch)
	if err != nil {
		t.Errorf("the patch of role %s alone does not apply: %v", role, err)
		return
	}
	for other := range d.Roles {
		if other != role {
			t.Errorf("role %s alone decides about role %s", role, other)
		}
	}
	changed := doc.read(s.Cluster)
	for _, other := range vip.Roles() {
		if other == role {
			continue
		}
		path := s.Class.Roles[other].Path
		written := s.Cluster.Annotations[other.WrittenAnnotation()]
		if name, _, _ := strings.Cut(written, "."); !s.Class.Declares[name] {
			// A variable that the class no longer declares makes the API server refuse
			// every change, so whoever comes first removes it.
			continue
		}
		for _, key := range []string{other.Stamp(), other.StampedLabel(), other.WrittenAnnotation()} {
			if changed.Labels[key] != s.Cluster.Labels[key] || changed.Annotations[key] != s.Cluster.Annotations[key] {
				t.Errorf("role %s alone changes %s", role, key)
			}
		}
		mine := path == s.Class.Roles[role].Path || path == s.Cluster.Annotations[role.WrittenAnnotation()]
		if !mine && valueAt(&changed, path) != valueAt(&s.Cluster, path) {
			t.Errorf("role %s alone changes variable %s", role, path)
		}
		if other == vip.ControlPlane && changed.Endpoint != s.Cluster.Endpoint {
			t.Errorf("role %s alone changes the endpoint", role)
		}
	}
}
