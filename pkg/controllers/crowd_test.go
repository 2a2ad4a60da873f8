package controllers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var (
	somePool  = vip.PoolRef{Group: "g", Kind: "k", Name: "p"}
	otherPool = vip.PoolRef{Group: "g", Kind: "other", Name: "p"}
)

// testCrowd is a crowd whose time goes on by hand only, and whom it woke.
type testCrowd struct {
	*crowd
	at    time.Time
	woken []string
}

func newTestCrowd() *testCrowd {
	t := &testCrowd{at: time.Unix(1_000_000_000, 0)}
	t.crowd = newCrowd(func(key string) { t.woken = append(t.woken, key) })
	t.now = func() time.Time { return t.at }
	// The test calls stalled itself.
	t.watched = true
	return t
}

func (t *testCrowd) pass(d time.Duration) { t.at = t.at.Add(d) }

// claims makes so many, and has the provider bind another one.
func (t *testCrowd) claims(n int) {
	for i := range n {
		t.made(fmt.Sprintf("a/%d", i), somePool)
	}
	t.answer(ipamv1.IPPoolReference{APIGroup: "g", Kind: "k", Name: "another"})
}

func TestWhatWasSeenBeforeAClaimSaysNothingOfIt(t *testing.T) {
	c := newTestCrowd()
	before := c.at
	c.made("a/1", somePool)
	c.pass(time.Second)
	if c.seenSince("a/1", before) {
		t.Error("a status from before the claim counts")
	}
	if !c.seenSince("a/1", c.at) {
		t.Error("a status from after the claim does not count")
	}
	if !c.seenSince("a/2", before) {
		t.Error("a claim of an earlier process is older than anything")
	}
	c.settled("a/1")
	if !c.seenSince("a/1", before) {
		t.Error("a settled claim is remembered")
	}
}

func TestVIPsAreKeptBackWhileAProviderWorksThroughACrowd(t *testing.T) {
	for _, test := range []struct {
		name   string
		claims int
		pools  []vip.PoolRef
		idle   time.Duration
		keeps  bool
	}{
		{name: "nothing is published", claims: 2 * few},
		{name: "few claims", claims: few, pools: []vip.PoolRef{somePool}},
		{name: "many claims", claims: few + 1, pools: []vip.PoolRef{somePool}, keeps: true},
		{name: "another provider", claims: 2 * few, pools: []vip.PoolRef{otherPool}},
		{name: "either provider", claims: 2 * few, pools: []vip.PoolRef{otherPool, somePool}, keeps: true},
		{name: "the provider binds nothing", claims: 2 * few, pools: []vip.PoolRef{somePool}, idle: calm},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newTestCrowd()
			c.claims(test.claims)
			c.pass(test.idle)
			if got := c.keeps("a/b", test.pools...); got != test.keeps {
				t.Errorf("it keeps: %v", got)
			}
		})
	}
}

func TestTheLastOfACrowdSetsTheOthersFree(t *testing.T) {
	c := newTestCrowd()
	c.claims(few + 2)
	c.pass(calm / 10)
	c.keeps("a/b", somePool)
	for i := range few + 1 {
		if c.settled(fmt.Sprintf("a/%d", i)); len(c.woken) > 0 {
			t.Fatalf("claim %d of %d woke %v", i+1, few+2, c.woken)
		}
	}
	if !c.keeps("a/b", somePool) {
		t.Error("it is not kept back for the last")
	}
	if c.keeps("a/c", somePool) {
		t.Error("another is kept back for a single claim")
	}
	c.made("a/later", somePool)
	if c.settled(fmt.Sprintf("a/%d", few+1)); len(c.woken) != 1 || c.woken[0] != "a/b" {
		t.Errorf("the last of many woke %v", c.woken)
	}
	if c.keeps("a/b", somePool) {
		t.Error("it is kept back for a claim made since")
	}
	if c.settled("a/later"); len(c.woken) != 1 {
		t.Errorf("one that is free was woken again: %v", c.woken)
	}
}

func TestAProviderThatStopsFreesThoseThatWaitForIt(t *testing.T) {
	c := newTestCrowd()
	c.claims(2 * few)
	c.keeps("a/b", somePool)
	if c.stalled(); len(c.woken) > 0 {
		t.Errorf("a busy provider woke %v", c.woken)
	}
	// Another one goes on.
	for i := range 2 * few {
		c.made(fmt.Sprintf("other/%d", i), otherPool)
	}
	c.pass(calm)
	c.answer(ipamv1.IPPoolReference{APIGroup: otherPool.Group, Kind: otherPool.Kind})
	c.keeps("a/other", otherPool)
	if c.stalled(); !slices.Equal(c.woken, []string{"a/b"}) {
		t.Errorf("a provider that binds nothing more woke %v", c.woken)
	}
	if c.keeps("a/b", somePool) || !c.keeps("a/other", otherPool) {
		t.Error("who is kept back does not follow its own provider")
	}
	c.woken = nil
	c.forget("a/other")
	if c.stalled(); len(c.woken) > 0 {
		t.Errorf("those that are gone or free are woken: %v", c.woken)
	}
}

func TestOneThatIsFreeIsNotKeptBackAgain(t *testing.T) {
	c := newTestCrowd()
	c.claims(few + 1)
	c.keeps("a/b", somePool)
	for i := range few + 1 {
		c.settled(fmt.Sprintf("a/%d", i))
	}
	if c.keeps("a/b", somePool) || c.keepsAny() {
		t.Fatal("it is kept back for nobody")
	}
	c.claims(2 * few)
	if c.keeps("a/b", somePool) {
		t.Error("its patch failed, and it is kept back for another crowd")
	}
	// It was published, and later another VIP of it.
	c.keeps("a/b")
	if !c.keeps("a/b", somePool) {
		t.Error("it is free for ever")
	}
}

// Cluster API builds then, whatever else is kept back.
func TestACrowdKeepsNobodyBackForEver(t *testing.T) {
	c := newTestCrowd()
	c.claims(few + 1)
	if !c.keeps("a/first", somePool) {
		t.Fatal("many claims keep nobody back")
	}
	for range longest / calm {
		c.pass(calm)
		c.claims(few + 1) // the next ones, in place of those that are bound
	}
	if c.stalled(); !slices.Equal(c.woken, []string{"a/first"}) {
		t.Errorf("after %s %v are woken", longest, c.woken)
	}
	if c.keeps("a/first", somePool) || c.keeps("a/late", somePool) {
		t.Errorf("somebody is kept back after %s", longest)
	}
	for i := range few + 1 {
		c.settled(fmt.Sprintf("a/%d", i))
	}
	c.claims(few + 1)
	if !c.keeps("a/b", somePool) {
		t.Error("the next crowd keeps nobody back")
	}
}

func TestCrowdAfterCrowdKeepsNobodyBackForEver(t *testing.T) {
	c := newTestCrowd()
	c.claims(few + 1)
	c.keeps("a/b", somePool)
	c.pass(longest - calm)
	for i := range few {
		c.settled(fmt.Sprintf("a/%d", i))
	}
	c.claims(few + 1) // another crowd, before the last claim of the first is bound
	c.pass(calm)
	c.claims(few + 1)
	if !c.keeps("a/new", somePool) {
		t.Error("the other crowd keeps nobody back")
	}
	if c.keeps("a/b", somePool) {
		t.Errorf("one is kept back after %s", longest)
	}
}

func TestClaimsThatNobodyBindsDoNotCountForEver(t *testing.T) {
	c := newTestCrowd()
	c.claims(2 * few)
	c.pass(longest)
	c.answer(ipamv1.IPPoolReference{APIGroup: "g", Kind: "k"})
	if c.keeps("a/b", somePool) {
		t.Error("they keep somebody back")
	}
	c.claims(few + 1)
	if !c.keeps("a/b", somePool) {
		t.Error("new ones beside them keep nobody back")
	}
}
