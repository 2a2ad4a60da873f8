package rancher

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func memoryAt(clock *clock) *memory {
	m := newMemory()
	m.now = clock.now
	return m
}

func sourceWith(ingress string) *Source {
	s := &Source{Key: types.NamespacedName{Namespace: "team-a", Name: "prod"}, State: Served, VIPs: map[vip.Role]string{}, Unsettled: map[vip.Role]bool{}}
	if ingress != "" {
		s.VIPs[vip.Ingress] = ingress
	}
	return s
}

// A GitOps tool may strip a stamp, which is restored within moments. Fleet must not
// see that.
func TestAStampThatVanishedIsUnsettledForAWhile(t *testing.T) {
	clock := newClock()
	m := memoryAt(clock)
	stamped := []Target{{Record: Record{VIPs: map[vip.Role]string{vip.Ingress: "10.0.0.5"}}}}
	look := func(ingress string, targets []Target) (bool, time.Duration) {
		s := sourceWith(ingress)
		again := m.unsettled(s, targets)
		return s.Unsettled[vip.Ingress], again
	}
	if unsettled, again := look("10.0.0.5", stamped); unsettled || again != 0 {
		t.Errorf("with a stamp: %t, %s", unsettled, again)
	}
	if unsettled, again := look("", []Target{{}}); unsettled || again != 0 {
		t.Errorf("where nothing was carried: %t, %s", unsettled, again)
	}
	if unsettled, again := look("", stamped); !unsettled || again != patience {
		t.Errorf("just gone: %t, %s", unsettled, again)
	}
	clock.passes(patience - time.Second)
	if unsettled, again := look("", stamped); !unsettled || again != time.Second {
		t.Errorf("gone for a while: %t, %s", unsettled, again)
	}
	if unsettled, _ := look("10.0.0.5", stamped); unsettled {
		t.Error("back, and unsettled")
	}
	if unsettled, again := look("", stamped); !unsettled || again != patience {
		t.Errorf("gone again: %t, %s", unsettled, again)
	}
	clock.passes(patience)
	if unsettled, again := look("", stamped); unsettled || again != 0 {
		t.Errorf("gone for good: %t, %s", unsettled, again)
	}
}

// Otherwise whoever strips a stamp in a loop would give whoever fights over the
// target a new ration each time.
func TestAnUnsettledStampIsNoNewCause(t *testing.T) {
	m := memoryAt(newClock())
	stamped := []Target{{Record: Record{VIPs: map[vip.Role]string{vip.Ingress: "10.0.0.5"}}}}
	s := sourceWith("10.0.0.5")
	m.unsettled(s, stamped)
	before := m.cause(s)
	s = sourceWith("")
	m.unsettled(s, stamped)
	if during := m.cause(s); during != before {
		t.Errorf("%q became %q", before, during)
	}
	if after := m.cause(sourceWith("10.0.0.6")); after == before {
		t.Errorf("another VIP is the same cause %q", after)
	}
}

func TestOnlyABlockThatLastsIsReported(t *testing.T) {
	clock := newClock()
	m := memoryAt(clock)
	key := types.NamespacedName{Name: "prod"}
	if lasting, again := m.lasting(key, []string{"a"}); len(lasting) != 0 || again != settle {
		t.Errorf("at first: %q, %s", lasting, again)
	}
	clock.passes(settle - time.Second)
	if lasting, again := m.lasting(key, []string{"a", "b"}); len(lasting) != 0 || again != settle {
		t.Errorf("then: %q, %s", lasting, again)
	}
	clock.passes(time.Second)
	if lasting, again := m.lasting(key, []string{"a", "b"}); !slices.Equal(lasting, []string{"a"}) || again != settle-time.Second {
		t.Errorf("later: %q, %s", lasting, again)
	}
	m.lasting(key, nil)
	if lasting, again := m.lasting(key, []string{"a"}); len(lasting) != 0 || again != settle {
		t.Errorf("after it was gone: %q, %s", lasting, again)
	}
	if lasting, again := m.lasting(key, nil); len(lasting) != 0 || again != 0 {
		t.Errorf("without blocks: %q, %s", lasting, again)
	}
}

func TestAReportIsNotRepeated(t *testing.T) {
	clock := newClock()
	m := memoryAt(clock)
	key := types.NamespacedName{Name: "prod"}
	for i, want := range []bool{true, false, false} {
		if got := m.news(key, "a"); got != want {
			t.Errorf("report %d: %t", i, got)
		}
	}
	if !m.news(key, "b") {
		t.Error("another text is no news")
	}
	clock.passes(repeat)
	if !m.news(key, "b") {
		t.Error("it is never repeated")
	}
}

func TestACacheThatLagsIsWaitedForAWhile(t *testing.T) {
	clock := newClock()
	m := memoryAt(clock)
	old, current := &Target{UID: "uid", Version: "99"}, &Target{UID: "uid", Version: "100"}
	if m.behind(old) {
		t.Error("behind what was never written")
	}
	m.wrote("uid", "100")
	if !m.behind(old) {
		t.Error("our own write is not waited for")
	}
	if m.behind(current) || m.behind(old) {
		t.Error("behind after the write was seen")
	}
	m.wrote("uid", "100")
	clock.passes(unseen)
	if m.behind(old) {
		t.Error("waited for ever, as after a restore of etcd")
	}
	m.wrote("uid", "100")
	m.forgetTarget("uid")
	if m.behind(old) {
		t.Error("remembered after the target was gone")
	}
}

// Fleet must be through with what it removes before the label that it deployed by is back.
func TestALabelThatWasTakenOffStaysOffForAWhile(t *testing.T) {
	clock := newClock()
	m := memoryAt(clock)
	look := func(kind Kind, labels map[string]string) (settling bool, again time.Duration) {
		targets := []Target{{
			Kind: kind, UID: "uid", Labels: labels,
			Record: Record{VIPs: map[vip.Role]string{vip.Ingress: "10.0.0.5"}},
		}}
		again = m.settling(targets)
		return targets[0].Settling[vip.Ingress], again
	}
	whole := map[string]string{vip.Ingress.Stamp(): "10.0.0.5", vip.Ingress.StampedLabel(): "true"}
	half := map[string]string{vip.Ingress.Stamp(): "10.0.0.5"}
	if settling, again := look(FleetCluster, whole); settling || again != 0 {
		t.Errorf("with its labels: %t, %s", settling, again)
	}
	if settling, again := look(RancherCluster, half); settling || again != 0 {
		t.Errorf("of Rancher: %t, %s", settling, again)
	}
	if settling, again := look(FleetCluster, half); !settling || again != recovery {
		t.Errorf("just taken off: %t, %s", settling, again)
	}
	clock.passes(recovery - time.Second)
	if settling, again := look(FleetCluster, nil); !settling || again != time.Second {
		t.Errorf("the other one too: %t, %s", settling, again)
	}
	clock.passes(time.Second)
	if settling, again := look(FleetCluster, half); settling || again != 0 {
		t.Errorf("off for long: %t, %s", settling, again)
	}
	look(FleetCluster, whole)
	if settling, again := look(FleetCluster, half); !settling || again != recovery {
		t.Errorf("taken off again: %t, %s", settling, again)
	}
	look(FleetCluster, map[string]string{vip.Ingress.Stamp(): "10.9.9.9", vip.Ingress.StampedLabel(): "true"})
	if settling, _ := look(FleetCluster, map[string]string{vip.Ingress.Stamp(): "10.9.9.9", vip.Ingress.StampedLabel(): "true"}); settling {
		t.Error("a label that was changed selects the same, and is settling")
	}
	m.forgetTarget("uid")
	if len(m.stripped) != 0 {
		t.Errorf("remembered after the target was gone: %v", m.stripped)
	}
}
