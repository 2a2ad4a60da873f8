package controllers

import (
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// clock is a memory whose time goes on by hand only.
func clock() (m *expectations, pass func(time.Duration)) {
	m, at := newExpectations(), time.Unix(1_000_000_000, 0)
	m.now = func() time.Time { return at }
	return m, func(d time.Duration) { at = at.Add(d) }
}

func TestTheCacheIsBehindUntilItShowsOurWrite(t *testing.T) {
	m, _ := clock()
	if behind, _ := m.stale("a/b", "5"); behind {
		t.Error("nothing was written yet")
	}
	m.wrote("a/b", "7")
	for _, cached := range []string{"5", "6"} {
		if behind, _ := m.stale("a/b", cached); !behind {
			t.Errorf("%s is not behind 7", cached)
		}
	}
	if behind, _ := m.stale("a/c", "5"); behind {
		t.Error("another Cluster is behind")
	}
	if behind, _ := m.stale("a/b", "7"); behind {
		t.Error("the cache shows just our write, and is behind")
	}
	m.wrote("a/b", "7")
	if behind, _ := m.stale("a/b", "10"); behind {
		t.Error("10 is behind 7: versions are numbers, not texts")
	}
	if behind, _ := m.stale("a/b", "5"); behind {
		t.Error("once the write was seen, nothing is behind it")
	}
}

func TestTheCacheIsNotBehindForEver(t *testing.T) {
	m, pass := clock()
	m.wrote("a/b", "7000")
	if _, tooLong := m.stale("a/b", "5"); tooLong {
		t.Error("a watch has no time to be late")
	}
	pass(lateAfter)
	if behind, tooLong := m.stale("a/b", "5"); !behind || !tooLong {
		t.Error("an API server that was restored from a backup counts from an earlier number")
	}
	m.wrote("a/b", "no number")
	if behind, _ := m.stale("a/b", "5"); behind {
		t.Error("a version that is no number says nothing")
	}
	m.wrote("a/b", "7")
	m.forget("a/b")
	if behind, _ := m.stale("a/b", "5"); behind {
		t.Error("a Cluster of that name that is new is behind the old one's writes")
	}
}

func TestTheSamePatchIsNotSentRightAfterItsRefusal(t *testing.T) {
	m, pass := clock()
	m.refuse("a/b", "patch", "because")
	pass(retryRefused / 3)
	if because, again := m.refusal("a/b", "patch"); because != "because" || again != retryRefused-retryRefused/3 {
		t.Errorf("it was refused because %q and is tried again in %s", because, again)
	}
	for _, other := range [][2]string{{"a/b", "another patch"}, {"a/c", "patch"}} {
		if because, _ := m.refusal(other[0], other[1]); because != "" {
			t.Errorf("%q of %s is refused", other[1], other[0])
		}
	}
	pass(retryRefused)
	if because, _ := m.refusal("a/b", "patch"); because != "" {
		t.Error("it is never tried again")
	}
}

func TestGoodNewsWaitUntilNobodyWritesTheCluster(t *testing.T) {
	m, goOn := clock()
	h := &handler{expectations: m, allocator: allocator.New()}
	published := m.now()
	until := func(version string) time.Duration {
		cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}}
		return h.untilCalm(&pass{key: "a/b", cluster: cluster}, published)
	}
	if got := until("1"); got != calm {
		t.Errorf("after our own write they wait %s", got)
	}
	goOn(calm / 2)
	if got := until("2"); got != calm {
		t.Errorf("after somebody else's they wait %s", got)
	}
	goOn(calm / 2)
	if got := until("2"); got != calm/2 {
		t.Errorf("half a moment later they wait %s", got)
	}
	goOn(calm / 2)
	if got := until("2"); got > 0 {
		t.Errorf("when nobody writes they wait %s", got)
	}
	h.publishing.Store(1)
	if got := until("2"); got != calm {
		t.Errorf("while another one is published they wait %s", got)
	}
	h.publishing.Store(0)
	// Its other VIP waits for a provider, so that this one is not published yet.
	h.allocator.Publish("a/other", vip.PoolRef{Kind: "P", Name: "q"}, vip.PoolRef{Kind: "P", Name: "p"})
	if got := until("2"); got != calm {
		t.Errorf("while another one's VIPs are deferred they wait %s", got)
	}
	goOn(settle)
	if got := until("3"); got > 0 {
		t.Errorf("however much is written, they wait %s", got)
	}
}

func TestSinceWhenAnOutcomeIsSo(t *testing.T) {
	m, pass := clock()
	decide := func(reason vip.Reason) { passOver(m, "a/b", "u", ingressIs(reason, false)) }
	decide(vip.NoPool)
	first := m.now()
	pass(time.Minute)
	if decide(vip.NoPool); !m.since("a/b", vip.Ingress).Equal(first) {
		t.Errorf("since %s, not %s", m.since("a/b", vip.Ingress), first)
	}
	if decide(vip.Allocated); !m.since("a/b", vip.Ingress).Equal(m.now()) {
		t.Errorf("a new outcome is so since %s", m.since("a/b", vip.Ingress))
	}
}

func TestAPendingClaimIsReportedOnceItsProviderIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newExpectations()
		h := &handler{expectations: m, allocator: allocator.New()}
		pending := &vip.Outcome{Reason: vip.ClaimPending, Pool: vip.PoolRef{Group: "g", Kind: "k", Name: "p"}}
		claim := &allocator.Claim{Pool: pending.Pool}
		since := m.now()
		time.Sleep(settle)
		if got := h.remaining(pending, since); got > 0 {
			t.Errorf("behind a silent provider it goes unreported for %s", got)
		}
		h.allocator.SetClaim("a", "c", nil, claim, true)
		if got := h.remaining(pending, since); got != settle {
			t.Errorf("behind a busy one for %s, want %s", got, settle)
		}
		time.Sleep(patience - settle)
		h.allocator.SetClaim("a", "c", claim, claim, true)
		if got := h.remaining(pending, since); got > 0 {
			t.Errorf("for ever: %s more", got)
		}
		dry := &vip.Outcome{Reason: vip.PoolExhausted, Pool: pending.Pool}
		if got := h.remaining(dry, since); got > 0 {
			t.Errorf("a dry pool goes unreported for %s", got)
		}
	})
}
