package controllers

import (
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ingressIs is a decision with that outcome of the ingress role, and none of the other.
func ingressIs(reason vip.Reason, changes bool) *vip.Decision {
	outcome := &vip.Outcome{Role: vip.Ingress, Reason: reason, Changes: changes}
	return &vip.Decision{Roles: map[vip.Role]*vip.Outcome{vip.Ingress: outcome}}
}

// passOver has the expectations see a whole reconcile of the Cluster of that UID.
func passOver(m *expectations, key, uid string, d *vip.Decision) {
	m.planned(key, uid, d)
	m.decided(key, d)
}

func TestHowLongARoleWaitedForItsVIP(t *testing.T) {
	m, pass := clock()
	if m.published("a/b", vip.Ingress) != 0 {
		t.Error("it waited before it was seen")
	}
	waits := ingressIs(vip.NoPool, false)
	passOver(m, "a/b", "u-1", waits)
	pass(2 * time.Second)
	passOver(m, "a/b", "u-1", ingressIs(vip.ClaimPending, false))
	pass(time.Second)
	passOver(m, "a/b", "u-1", ingressIs(vip.Allocated, true))
	if got := m.published("a/b", vip.ControlPlane); got != 0 {
		t.Errorf("the other role waited %s", got)
	}
	if got := m.published("a/b", vip.Ingress); got != 3*time.Second {
		t.Errorf("it waited %s", got)
	}
	if got := m.published("a/b", vip.Ingress); got != 0 {
		t.Errorf("it waited again, %s", got)
	}
}

func TestAWaitEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end func(m *expectations)
		// goesOn says that the VIP, which comes later, was waited for since the beginning.
		goesOn bool
	}{
		"not before the patch that publishes the VIP was sent": {func(m *expectations) { passOver(m, "a/b", "u-1", ingressIs(vip.Allocated, true)) }, true},
		"with a VIP that was set by hand":                      {func(m *expectations) { passOver(m, "a/b", "u-1", ingressIs(vip.Manual, false)) }, false},
		"when the role applies no longer":                      {func(m *expectations) { passOver(m, "a/b", "u-1", &vip.Decision{}) }, false},
		"when the Cluster is skipped":                          {func(m *expectations) { passOver(m, "a/b", "u-1", &vip.Decision{Skipped: vip.SkipPaused}) }, false},
		"when the Cluster goes":                                {func(m *expectations) { m.forget("a/b") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, pass := clock()
			passOver(m, "a/b", "u-1", ingressIs(vip.NoPool, false))
			if got := m.waiting(); len(got) != 1 || got[0] != (waitingRole{key: "a/b", uid: "u-1", role: vip.Ingress, reason: vip.NoPool, since: m.now()}) {
				t.Fatalf("it waits: %+v", got)
			}
			pass(time.Minute)
			test.end(m)
			if got := m.waiting(); len(got) != 0 {
				t.Errorf("it still waits: %+v", got)
			}
			if got := m.published("a/b", vip.Ingress); (got == time.Minute) != test.goesOn {
				t.Errorf("it waited %s", got)
			}
		})
	}
}

// The address is there, but nobody has it.
func TestAVIPThatIsKeptBackIsWaitedFor(t *testing.T) {
	m, pass := clock()
	d := ingressIs(vip.Allocated, true)
	d.Roles[vip.Ingress].Published = true
	want := waitingRole{key: "a/b", uid: "u-1", role: vip.Ingress, reason: vip.ClaimPending, since: m.now()}
	for range 2 {
		passOver(m, "a/b", "u-1", d)
		if got := m.waiting(); len(got) != 1 || got[0] != want {
			t.Fatalf("it waits: %+v", got)
		}
		pass(time.Second)
	}
	passOver(m, "a/b", "u-1", ingressIs(vip.Allocated, false))
	if got := m.waiting(); len(got) != 0 {
		t.Errorf("it still waits: %+v", got)
	}
}

func TestAClusterCreatedAnewWaitsAnew(t *testing.T) {
	m, pass := clock()
	passOver(m, "a/b", "u-1", ingressIs(vip.NoPool, false))
	pass(time.Hour)
	passOver(m, "a/b", "u-2", ingressIs(vip.NoPool, false))
	if got := m.waiting(); len(got) != 1 || !got[0].since.Equal(m.now()) || got[0].uid != "u-2" {
		t.Errorf("it waits: %+v", got)
	}
}

// A patch that the API server does not take, time after time, has failed since the first.
func TestAStateLastsFromReconcileToReconcile(t *testing.T) {
	m, pass := clock()
	var first time.Time
	for n := range 3 {
		planned, done := ingressIs(vip.Allocated, true), ingressIs(vip.PatchRefused, true)
		m.planned("a/b", "u-1", planned)
		m.decided("a/b", done)
		if n == 0 {
			first = m.now()
		}
		if got := m.since("a/b", vip.Ingress); !got.Equal(first) {
			t.Errorf("since %s, not %s", got, first)
		}
		pass(time.Second)
	}
}
