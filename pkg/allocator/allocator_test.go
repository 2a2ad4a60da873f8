package allocator_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

func poolRef(name string) vip.PoolRef { return vip.PoolRef{Group: "g", Kind: "P", Name: name} }

// sized is a pool whose provider reports so many free addresses.
func sized(free int) *allocator.Pool { return &allocator.Pool{Usable: int64(free), Reported: true} }

// pending is a claim for a VIP on the pool that is not bound.
func pending(pool string) *allocator.Claim {
	return &allocator.Claim{Pool: poolRef(pool), Ours: true}
}

// request is that of a Cluster, the older the smaller the number, for one VIP from the pools.
func request(age int, pools ...string) allocator.Request {
	name := fmt.Sprintf("c%d", age)
	want := &vip.Want{Role: vip.Ingress, Claim: vip.Ingress.ClaimName(name)}
	for _, pool := range pools {
		want.Candidates = append(want.Candidates, vip.Candidate{Pool: &vip.Pool{Ref: poolRef(pool)}})
	}
	return allocator.Request{Cluster: "ns/" + name, Since: time.Unix(int64(age), 0), Wants: []*vip.Want{want}}
}

func reserve(t *testing.T, a *allocator.Allocator, r allocator.Request) (pool string, wake []string) {
	t.Helper()
	placements, wake := a.Reserve(r)
	return placements[vip.Ingress].Pool.Name, wake
}

// Two full pools and two Clusters that wait. Each pool frees one address: the Cluster that
// comes for one of them leaves the other to the next.
func TestEveryFreeAddressFindsAWaiter(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), sized(0))
	a.SetPool(poolRef("q"), sized(0))
	for age := range 2 {
		if pool, wake := reserve(t, a, request(age, "p", "q")); pool != "" || len(wake) > 0 {
			t.Fatalf("%d has %q, woken %v", age, pool, wake)
		}
	}
	first := append(a.SetPool(poolRef("p"), sized(1)), a.SetPool(poolRef("q"), sized(1))...)
	if slices.Sort(first); !slices.Equal(slices.Compact(first), []string{"ns/c0"}) {
		t.Errorf("woken first: %v", first)
	}
	if pool, _ := reserve(t, a, request(2, "p", "q")); pool != "" {
		t.Errorf("one that came just now gets %s", pool)
	}
	pool, wake := reserve(t, a, request(0, "p", "q"))
	if pool != "p" || !slices.Equal(wake, []string{"ns/c1"}) {
		t.Errorf("the oldest has %q, then woken: %v", pool, wake)
	}
	if pool, wake := reserve(t, a, request(1, "p", "q")); pool != "q" || len(wake) > 0 {
		t.Errorf("the next has %q, then woken: %v", pool, wake)
	}
}

// A place that is given up for a better one is offered to the next.
func TestAPlaceThatIsGivenUpFindsAWaiter(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), sized(0))
	a.SetPool(poolRef("q"), sized(1))
	if pool, _ := reserve(t, a, request(0, "p", "q")); pool != "q" {
		t.Fatalf("the first has %q", pool)
	}
	reserve(t, a, request(1, "q"))
	a.SetPool(poolRef("p"), sized(1))
	if pool, wake := reserve(t, a, request(0, "p", "q")); pool != "p" || !slices.Equal(wake, []string{"ns/c1"}) {
		t.Errorf("then it has %q, woken: %v", pool, wake)
	}
}

// The claim that a Cluster gives up for another pool does not cost it its place there.
func TestAMoveKeepsItsPlace(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), sized(0))
	a.SetPool(poolRef("q"), sized(1))
	for age := range 2 {
		a.SetClaim("ns", fmt.Sprintf("vip-ingress-c%d", age), nil, pending("p"), false)
	}
	move := func(age int) allocator.Request {
		r := request(age, "q")
		r.Wants[0].Claimed = poolRef("p")
		return r
	}
	if pool, _ := reserve(t, a, move(0)); pool != "q" {
		t.Fatalf("it goes to %q", pool)
	}
	deleting := *pending("p")
	deleting.Deleting = true
	wake := a.SetClaim("ns", "vip-ingress-c0", pending("p"), &deleting, false)
	if pool, _ := reserve(t, a, move(1)); pool != "" || len(wake) > 0 {
		t.Errorf("while its claim goes, another one goes to %q, woken: %v", pool, wake)
	}
	keeps := request(0)
	keeps.Wants[0].Keep = true
	if pool, _ := reserve(t, a, keeps); pool != "q" {
		t.Errorf("it keeps %q", pool)
	}
	a.SetClaim("ns", "vip-ingress-c0", &deleting, nil, false)
	if pool, _ := reserve(t, a, request(0, "p", "q")); pool != "q" {
		t.Errorf("then it has %q", pool)
	}
}

// Nobody waits for a Cluster that cannot make its claim, nor for one that is gone.
func TestWhoCannotActKeepsNobodyWaiting(t *testing.T) {
	for name, leave := range map[string]func(*allocator.Allocator, string) []string{
		"it failed": (*allocator.Allocator).Failed, "it is gone": (*allocator.Allocator).Forget,
	} {
		t.Run(name, func(t *testing.T) {
			a := allocator.New()
			a.SetPool(poolRef("p"), sized(0))
			reserve(t, a, request(0, "p"))
			reserve(t, a, request(1, "p"))
			a.SetPool(poolRef("p"), sized(1))
			if pool, _ := reserve(t, a, request(0, "p")); pool != "p" {
				t.Fatalf("the oldest has %q", pool)
			}
			if wake := leave(a, "ns/c0"); !slices.Equal(wake, []string{"ns/c1"}) {
				t.Errorf("then woken: %v", wake)
			}
			if pool, _ := reserve(t, a, request(1, "p")); pool != "p" {
				t.Errorf("the next has %q", pool)
			}
		})
	}
}

// Who waited before this process is older than who comes first.
func TestTheLineOutlivesTheProcess(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), sized(1))
	a.Await(request(0, "p"))
	if pool, _ := reserve(t, a, request(1, "p")); pool != "" {
		t.Errorf("the younger has %q", pool)
	}
	if pool, wake := reserve(t, a, request(0, "p")); pool != "p" || len(wake) > 0 {
		t.Errorf("the older has %q, then woken: %v", pool, wake)
	}
}

// As many are woken as there is room for, each once until it comes.
func TestAsManyAreWokenAsThereIsRoomFor(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), sized(0))
	for age := range 1000 {
		reserve(t, a, request(age, "p"))
	}
	for growth := range 50 {
		for _, again := range []int{20, 0} {
			wake := a.SetPool(poolRef("p"), &allocator.Pool{Usable: 20, Used: int64(20 * growth), Reported: true})
			if len(wake) != again {
				t.Fatalf("growth %d wakes %d, not %d", growth, len(wake), again)
			}
		}
		for i := range 20 {
			r := request(20*growth+i, "p")
			pool, wake := reserve(t, a, r)
			if pool != "p" || len(wake) > 0 {
				t.Fatalf("%s has %q, then woken: %v", r.Cluster, pool, wake)
			}
			claim := r.Wants[0].Claim
			a.Made("ns/" + claim)
			wake = append(a.SetClaim("ns", claim, nil, pending("p"), false),
				a.SetAddress("ns", nil, &allocator.Address{Pool: poolRef("p"), Claim: claim})...)
			if slices.ContainsFunc(wake, func(key string) bool { return key != r.Cluster }) {
				t.Fatalf("%s makes its claim, and that wakes %v", r.Cluster, wake)
			}
		}
	}
}

// An unbound claim of an earlier Cluster of the same name has the pool's last address.
func TestAClaimOfAnEarlierClusterCountsLikeAnyOther(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), sized(1))
	a.SetClaim("ns", vip.ControlPlane.ClaimName("c0"), nil, pending("p"), false)
	for range 2 {
		if pool, wake := reserve(t, a, request(0, "p")); pool != "" || len(wake) > 0 {
			t.Errorf("it has %q, and is woken again: %v", pool, wake)
		}
	}
	if wake := a.SetClaim("ns", vip.ControlPlane.ClaimName("c0"), pending("p"), nil, false); !slices.Equal(wake, []string{"ns/c0"}) {
		t.Errorf("woken when the claim goes: %v", wake)
	}
}

// A claim that was made is not made again until it was seen, but not for ever.
func TestAClaimIsMadeOnceUntilItIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := allocator.New()
		a.SetPool(poolRef("p"), sized(1))
		reserve(t, a, request(0, "p"))
		reserve(t, a, request(1, "p"))
		a.Made("ns/vip-ingress-c0")
		if placements, _ := a.Reserve(request(0, "p")); !placements[vip.Ingress].Made {
			t.Error("it is made again")
		}
		a.Failed("ns/c0")
		if pool, _ := reserve(t, a, request(1, "p")); pool != "" {
			t.Error("its place is given away")
		}
		time.Sleep(30 * time.Second)
		if wake := a.Tick(); !slices.Equal(wake, []string{"ns/c0", "ns/c1"}) {
			t.Errorf("woken when it was never seen: %v", wake)
		}
		if placements, _ := a.Reserve(request(0, "p")); placements[vip.Ingress].Made || placements[vip.Ingress].Pool != poolRef("p") {
			t.Errorf("then: %+v", placements)
		}
	})
}

// Known free addresses come before unknown ones, and before a better name.
func TestKnownRoomComesFirst(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("a"), &allocator.Pool{}) // tells nothing
	a.SetPool(poolRef("b"), sized(0))
	a.SetPool(poolRef("c"), sized(1))
	if pool, _ := reserve(t, a, request(0, "a", "b", "c")); pool != "c" {
		t.Errorf("the first goes to %q", pool)
	}
	if pool, _ := reserve(t, a, request(1, "a", "b", "c")); pool != "a" {
		t.Errorf("the second goes to %q", pool)
	}
}

// Whoever may not see IPAddresses sees that the provider has counted them.
func TestAnAddressIsCountedOnce(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), &allocator.Pool{Usable: 3, Used: 1, Reported: true})
	for _, test := range []struct {
		what string
		set  func()
		free int64
	}{
		{"a bound claim whose IPAddress is not seen", func() { a.SetClaim("ns", "a", nil, &allocator.Claim{Pool: poolRef("p"), Bound: true}, false) }, 3},
		{"its IPAddress", func() { a.SetAddress("ns", nil, &allocator.Address{Pool: poolRef("p"), Claim: "a"}) }, 3},
		{"a claim that waits", func() { a.SetClaim("ns", "b", nil, pending("p"), false) }, 2},
		{"its IPAddress, which the provider has not counted yet", func() { a.SetAddress("ns", nil, &allocator.Address{Pool: poolRef("p"), Claim: "b"}) }, 2},
	} {
		test.set()
		if free, _ := a.Free(poolRef("p")); free != test.free {
			t.Errorf("%s: %d free, not %d", test.what, free, test.free)
		}
	}
}

// A pool whose provider refused the claim is passed over until it changes, or for a while.
func TestARefusalIsRemembered(t *testing.T) {
	for name, end := range map[string]func(*allocator.Allocator) []string{
		"until the pool changes": func(a *allocator.Allocator) []string { return a.SetPool(poolRef("a"), &allocator.Pool{}) },
		"for a while":            func(a *allocator.Allocator) []string { time.Sleep(5 * time.Minute); return a.Tick() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := allocator.New()
				a.SetPool(poolRef("a"), &allocator.Pool{})
				a.Refuse("ns/vip-ingress-c0", poolRef("a"), false)
				if pool, _ := reserve(t, a, request(0, "a")); pool != "" {
					t.Errorf("it is asked again: %q", pool)
				}
				if pool, _ := reserve(t, a, request(1, "a")); pool != "a" {
					t.Errorf("another Cluster has %q", pool)
				}
				if wake := end(a); !slices.Contains(wake, "ns/c0") {
					t.Errorf("woken: %v", wake)
				}
				if pool, _ := reserve(t, a, request(0, "a")); pool != "a" {
					t.Errorf("then it has %q", pool)
				}
			})
		})
	}
}

// A Cluster that is created anew is refused nothing on account of the former one.
func TestARefusalGoesWithItsCluster(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("a"), &allocator.Pool{})
	a.Refuse("ns/vip-ingress-c0", poolRef("a"), false)
	a.Forget("ns/c0")
	if pool, _ := reserve(t, a, request(0, "a")); pool != "a" {
		t.Errorf("it has %q", pool)
	}
}

// A VIP that is taken back needs no free address, but its own, and that once.
func TestAPinReservesTheAddress(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), sized(0))
	pinned := func(age int) allocator.Request {
		r := request(age, "p")
		r.Wants[0].Pin = addr(7)
		return r
	}
	if pool, _ := reserve(t, a, pinned(1)); pool != "p" {
		t.Errorf("it has %q", pool)
	}
	if pool, _ := reserve(t, a, pinned(0)); pool != "" {
		t.Errorf("another one has %q", pool)
	}
	a.Forget("ns/c1")
	if pool, _ := reserve(t, a, pinned(0)); pool != "p" {
		t.Errorf("then it has %q", pool)
	}
}

// A pending claim stays where it is until its pool has given all addresses away.
func TestAPendingClaimMovesWhenItsPoolIsFull(t *testing.T) {
	a := allocator.New()
	a.SetPool(poolRef("p"), sized(1))
	a.SetPool(poolRef("q"), sized(1))
	moving := func() allocator.Request {
		r := request(0, "q")
		r.Wants[0].Claimed = poolRef("p")
		return r
	}
	a.SetClaim("ns", "vip-ingress-c0", nil, pending("p"), false)
	if pool, _ := reserve(t, a, moving()); pool != "p" {
		t.Errorf("it goes to %q", pool)
	}
	wake := a.SetAddress("ns", nil, &allocator.Address{Pool: poolRef("p"), Claim: "other"})
	if !slices.Equal(wake, []string{"ns/c0"}) {
		t.Errorf("woken when the pool is full: %v", wake)
	}
	if pool, _ := reserve(t, a, moving()); pool != "q" {
		t.Errorf("then it goes to %q", pool)
	}
	a.SetAddress("ns", nil, &allocator.Address{Pool: poolRef("p"), Claim: "vip-ingress-c0"})
	if pool, _ := reserve(t, a, moving()); pool != "p" {
		t.Errorf("with an address of its own it goes to %q", pool)
	}
}

// A claim that is never bound does not end all bursts.
func TestAStuckClaimIsPartOfNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := roomy("p")
		a.SetClaim("ns", "vip-ingress-stuck", nil, pending("p"), false)
		for range 2 {
			burst(a, 20)
			if a.Publish("ns/x", vip.PoolRef{}, poolRef("p")) {
				t.Error("it publishes in a burst")
			}
			bind(a, 0, 20)
			for i := range 20 {
				a.SetClaim("ns", vip.ControlPlane.ClaimName(fmt.Sprint(i)), &allocator.Claim{Pool: poolRef("p"), Ours: true, Bound: true}, nil, false)
			}
			time.Sleep(2 * time.Minute)
			a.Tick()
			a.Publish("ns/x", vip.PoolRef{})
		}
	})
}

// Whoever makes claims that nobody can bind has nobody else wait, however much the provider
// does for others.
func TestClaimsThatCannotBeBoundAreNoBurst(t *testing.T) {
	for name, pool := range map[string]*allocator.Pool{
		"there is no such pool":     nil,
		"it has no address left":    sized(0),
		"its provider is not asked": {Usable: 100, Reported: true, Idle: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := roomy("good")
			a.SetPool(poolRef("p"), pool)
			burst(a, 20)
			a.SetClaim("other", "vip-cp-y", nil, pending("good"), false)
			a.SetClaim("other", "vip-cp-y", pending("good"), &allocator.Claim{Pool: poolRef("good"), Ours: true, Bound: true}, true)
			if !a.Publish("ns/x", vip.PoolRef{}, poolRef("good")) {
				t.Error("a Cluster waits for them")
			}
			a.SetPool(poolRef("p"), sized(100))
			if a.Publish("ns/y", vip.PoolRef{}, poolRef("good")) {
				t.Error("a Cluster does not wait though they can be bound")
			}
		})
	}
}

// A number of claims that goes up and down is no burst in which the provider does nothing.
func TestClaimsThatComeAndGoAreNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := roomy("p")
		burst(a, 9)
		a.Publish("ns/x", vip.PoolRef{}, poolRef("p"))
		for range 5 {
			time.Sleep(time.Second)
			a.SetClaim("ns", "vip-cp-0", pending("p"), nil, false)
			a.SetClaim("ns", "vip-cp-0", nil, pending("p"), false)
			a.Tick()
		}
		if a.Deferring() && !a.Publish("ns/x", vip.PoolRef{}, poolRef("p")) {
			t.Error("a Cluster waits for them")
		}
	})
}

// Claims that are not bound for a minute are no burst, whatever the provider does for others.
func TestOldClaimsAreNoBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := roomy("p")
		burst(a, 20)
		time.Sleep(time.Minute)
		a.Tick()
		a.SetClaim("other", "vip-cp-y", nil, pending("p"), false)
		a.SetClaim("other", "vip-cp-y", pending("p"), &allocator.Claim{Pool: poolRef("p"), Ours: true, Bound: true}, true)
		if !a.Publish("ns/x", vip.PoolRef{}, poolRef("p")) {
			t.Error("a Cluster waits for them")
		}
	})
}

// Claims that are seen before their pool, as after a start, are a burst once it is.
func TestClaimsThatAreSeenBeforeTheirPool(t *testing.T) {
	a := allocator.New()
	burst(a, 20)
	a.SetPool(poolRef("p"), sized(1000))
	if a.Publish("ns/x", vip.PoolRef{}, poolRef("p")) {
		t.Error("it publishes in a burst")
	}
}

// roomy returns an Allocator that knows a pool with room.
func roomy(pool string) *allocator.Allocator {
	a := allocator.New()
	a.SetPool(poolRef(pool), sized(1000))
	return a
}

// burst makes so many claims that are not bound.
func burst(a *allocator.Allocator, claims int) {
	for i := range claims {
		a.SetClaim("ns", vip.ControlPlane.ClaimName(fmt.Sprint(i)), nil, pending("p"), false)
	}
}

func bind(a *allocator.Allocator, from, to int) (wake []string) {
	for i := from; i < to; i++ {
		wake = append(wake, a.SetClaim("ns", vip.ControlPlane.ClaimName(fmt.Sprint(i)), pending("p"), &allocator.Claim{Pool: poolRef("p"), Ours: true, Bound: true}, true)...)
	}
	return wake
}

func TestNobodyPublishesInABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := roomy("p")
		burst(a, 20)
		if a.Publish("ns/x", vip.PoolRef{}, poolRef("p")) || !a.Deferring() {
			t.Error("it publishes in a burst")
		}
		if !a.Publish("ns/y", vip.PoolRef{}, vip.PoolRef{Kind: "other", Name: "p"}) {
			t.Error("so does one of another provider not")
		}
		if wake := bind(a, 0, 11); len(wake) > 0 {
			t.Errorf("woken while 9 claims are not bound: %v", wake)
		}
		if wake := bind(a, 11, 12); !slices.Equal(wake, []string{"ns/x"}) {
			t.Errorf("woken when 8 are left: %v", wake)
		}
		bind(a, 12, 20)
		if !a.Publish("ns/x", vip.PoolRef{}, poolRef("p")) || a.Deferring() {
			t.Error("then it does not publish")
		}
		burst(a, 20)
		if !a.Publish("ns/x", vip.PoolRef{}, poolRef("p")) {
			t.Error("its patch failed, and it waits for the next burst too")
		}
	})
}

func TestNobodyWaitsForAProviderThatDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := roomy("p")
		burst(a, 20)
		a.Publish("ns/x", vip.PoolRef{}, poolRef("p"))
		time.Sleep(time.Second)
		if wake := a.Tick(); len(wake) > 0 {
			t.Errorf("woken after a second: %v", wake)
		}
		bind(a, 0, 1)
		time.Sleep(2 * time.Second)
		if wake := a.Tick(); !slices.Equal(wake, []string{"ns/x"}) || !a.Publish("ns/x", vip.PoolRef{}, poolRef("p")) {
			t.Errorf("woken when it stalls: %v", wake)
		}
	})
}

func TestABurstDoesNotLastForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := roomy("p")
		burst(a, 200)
		a.Publish("ns/x", vip.PoolRef{}, poolRef("p"))
		for i := range 60 {
			time.Sleep(time.Second)
			wake := append(bind(a, i, i+1), a.Tick()...)
			if want := i == 59; slices.Equal(wake, []string{"ns/x"}) != want {
				t.Fatalf("woken after %d s: %v", i+1, wake)
			}
		}
	})
}

func TestTheFirstVIPWaitsForTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := allocator.New()
		if a.Publish("ns/x", poolRef("p"), poolRef("q")) {
			t.Error("it does not wait")
		}
		if !a.Publish("ns/x", vip.PoolRef{}, poolRef("q"), poolRef("p")) {
			t.Error("it waits when both are there")
		}
		a.Publish("ns/y", poolRef("p"), poolRef("q"))
		time.Sleep(2 * time.Second)
		if wake := a.Tick(); !slices.Equal(wake, []string{"ns/y"}) || !a.Publish("ns/y", poolRef("p"), poolRef("q")) {
			t.Errorf("woken behind a silent provider: %v", wake)
		}
		a.Publish("ns/y", vip.PoolRef{})
		if a.Deferring() {
			t.Error("what was published is deferred")
		}
	})
}

// ranged is a pool of the addresses 10.0.0.first to 10.0.0.last.
func ranged(first, last byte, generation int64) *allocator.Pool {
	key := func(n byte) netip.Addr { return netip.AddrFrom16(netip.AddrFrom4([4]byte{10, 0, 0, n}).As16()) }
	return &allocator.Pool{
		Size: int64(last-first) + 1, Generation: generation,
		Holds: func(a netip.Addr) bool { return a.Compare(key(first)) >= 0 && a.Compare(key(last)) <= 0 },
		Addresses: func(yield func(netip.Addr) bool) {
			for n := first; n <= last && yield(key(n)); n++ {
			}
		},
	}
}

// choosing asks for one of the addresses only.
func choosing(cluster string, choices ...byte) allocator.Request {
	want := &vip.Want{Role: vip.Ingress, Claim: vip.Ingress.ClaimName(cluster)}
	candidate := vip.Candidate{Pool: &vip.Pool{Ref: poolRef("a")}}
	for _, n := range choices {
		candidate.Choices = append(candidate.Choices, netip.AddrFrom16(netip.AddrFrom4([4]byte{10, 0, 0, n}).As16()))
	}
	want.Candidates = []vip.Candidate{candidate}
	return allocator.Request{Cluster: "ns/" + cluster, Wants: []*vip.Want{want}}
}

func TestWhoWaitsForCertainAddresses(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(a *allocator.Allocator) (wake []string){
		"the one who was to get it is gone":    func(a *allocator.Allocator) []string { return a.Forget("ns/c0") },
		"the one who was to get it cannot act": func(a *allocator.Allocator) []string { return a.Failed("ns/c0") },
		"the pool's ranges change, and no more": func(a *allocator.Allocator) []string {
			return a.Changed("", true, func(vip.ClassKey) bool { return true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := allocator.New()
			a.SetPool(poolRef("a"), ranged(1, 9, 1))
			if placed, _ := a.Reserve(choosing("c0", 5)); !placed[vip.Ingress].Pin.IsValid() {
				t.Fatalf("placed at %v", placed)
			}
			if placed, _ := a.Reserve(choosing("c1", 5)); placed[vip.Ingress].Pool != (vip.PoolRef{}) {
				t.Fatalf("placed at %v", placed)
			}
			if wake := happens(a); !slices.Contains(wake, "ns/c1") {
				t.Errorf("it wakes %q", wake)
			}
		})
	}
}

// Who refused the address of a pool that cannot be told another one is not sent back to it
// by that pool's own status.
func TestRefusedAddressIsNotDrawnAgain(t *testing.T) {
	t.Parallel()
	a := allocator.New()
	pool := func(used, generation int64) *allocator.Pool {
		return &allocator.Pool{Reported: true, Usable: 9 - used, Used: used, Generation: generation}
	}
	a.SetPool(poolRef("a"), pool(1, 1))
	a.Refuse("ns/vip-ingress-c0", poolRef("a"), true)
	a.SetPool(poolRef("a"), pool(0, 1))
	if got, _ := reserve(t, a, request(0, "a")); got != "" {
		t.Errorf("it is sent back to %q", got)
	}
	if wake := a.SetPool(poolRef("a"), pool(0, 2)); !slices.Contains(wake, "ns/c0") {
		t.Errorf("a change of its spec wakes %q", wake)
	}
}
