package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ingressIs is a decision with that outcome of the ingress role, and none of the other.
func ingressIs(reason vip.Reason, changes bool) *vip.Decision {
	outcome := &vip.Outcome{Role: vip.Ingress, Reason: reason, Changes: changes}
	return &vip.Decision{Roles: map[vip.Role]*vip.Outcome{vip.Ingress: outcome}}
}

// passOver has the memory see a whole pass over Cluster a/b of that UID.
func passOver(m *memory, uid string, d *vip.Decision) {
	m.planned("a/b", uid, d)
	m.decided("a/b", &clusterv1.Cluster{}, d)
}

func TestHowLongARoleWaitedForItsVIP(t *testing.T) {
	m, pass := clock()
	if m.published("a/b", vip.Ingress) != 0 {
		t.Error("it waited before it was seen")
	}
	waits := ingressIs(vip.NoPool, false)
	m.planned("a/b", "u-1", waits)
	pass(2 * time.Second)
	passOver(m, "u-1", ingressIs(vip.ClaimPending, false))
	pass(time.Second)
	m.planned("a/b", "u-1", ingressIs(vip.Allocated, true))
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
		end func(m *memory)
		// goesOn says that the VIP, which comes later, was waited for since the beginning.
		goesOn bool
	}{
		"not before the patch that publishes the VIP was sent": {func(m *memory) { passOver(m, "u-1", ingressIs(vip.Allocated, true)) }, true},
		"with a VIP that was set by hand":                      {func(m *memory) { passOver(m, "u-1", ingressIs(vip.Manual, false)) }, false},
		"when the role applies no longer":                      {func(m *memory) { passOver(m, "u-1", &vip.Decision{}) }, false},
		"when the Cluster is skipped":                          {func(m *memory) { m.skipped("a/b") }, false},
		"when the Cluster goes":                                {func(m *memory) { m.forget("a/b") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, pass := clock()
			passOver(m, "u-1", ingressIs(vip.NoPool, false))
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
		passOver(m, "u-1", d)
		if got := m.waiting(); len(got) != 1 || got[0] != want {
			t.Fatalf("it waits: %+v", got)
		}
		pass(time.Second)
	}
	passOver(m, "u-1", ingressIs(vip.Allocated, false))
	if got := m.waiting(); len(got) != 0 {
		t.Errorf("it still waits: %+v", got)
	}
}

func TestAClusterCreatedAnewWaitsAnew(t *testing.T) {
	m, pass := clock()
	passOver(m, "u-1", ingressIs(vip.NoPool, false))
	pass(time.Hour)
	passOver(m, "u-2", ingressIs(vip.NoPool, false))
	if got := m.waiting(); len(got) != 1 || !got[0].since.Equal(m.now()) || got[0].uid != "u-2" {
		t.Errorf("it waits: %+v", got)
	}
}

// A new process asks the condition, which only tells of what was reported.
func TestTheConditionRemembersTheBeginningOfAWait(t *testing.T) {
	m, pass := clock()
	began := m.now()
	pass(time.Hour)
	for _, test := range []struct {
		name      string
		condition metav1.Condition
		since     time.Time
	}{
		{"while it is False", metav1.Condition{Type: vip.Ingress.ConditionType(), Status: metav1.ConditionFalse}, began},
		{"not while it is True", metav1.Condition{Type: vip.Ingress.ConditionType(), Status: metav1.ConditionTrue}, m.now()},
		{"not that of the other role", metav1.Condition{Type: vip.ControlPlane.ConditionType(), Status: metav1.ConditionFalse}, m.now()},
	} {
		t.Run(test.name, func(t *testing.T) {
			cluster := &clusterv1.Cluster{}
			test.condition.LastTransitionTime = metav1.NewTime(began)
			cluster.Status.Conditions = []metav1.Condition{test.condition}
			m.forget("a/b")
			d := ingressIs(vip.NoPool, false)
			m.planned("a/b", "u-1", d)
			m.decided("a/b", cluster, d)
			if got := m.waiting(); len(got) != 1 || !got[0].since.Equal(test.since) {
				t.Errorf("it waits: %+v, not since %s", got, test.since)
			}
		})
	}
}
