package controllers

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var (
	ledgerPool = ipamv1.IPPoolReference{APIGroup: "g", Kind: "P", Name: "p"}
	global     = vip.PoolRef{Group: "g", Kind: "P", Name: "p"}
)

func claimOf(namespace, name string) *ipamv1.IPAddressClaim {
	return &ipamv1.IPAddressClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: ipamv1.IPAddressClaimSpec{PoolRef: ledgerPool}}
}

func boundClaim(claim *ipamv1.IPAddressClaim) *ipamv1.IPAddressClaim {
	claim = claim.DeepCopy()
	claim.Status.AddressRef.Name = claim.Name
	return claim
}

func addressOf(claim *ipamv1.IPAddressClaim) *ipamv1.IPAddress {
	return &ipamv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Namespace: claim.Namespace, Name: claim.Name},
		Spec:       ipamv1.IPAddressSpec{PoolRef: ledgerPool, ClaimRef: ipamv1.IPAddressClaimReference{Name: claim.Name}, Address: "10.0.0.1"},
	}
}

func used(n int64) *kube.Pool { return &kube.Pool{Ref: global, Known: true, Used: n} }

func TestTheLedgerCountsOurClaimsThatWait(t *testing.T) {
	l := newLedger()
	claim := claimOf("team-a", "vip-cp-c1")
	l.onClaim(nil, claim)
	l.onClaim(nil, claimOf("team-b", "vip-ingress-c1"))
	l.onClaim(nil, claimOf("team-a", "somebody-elses"))
	deleting := claimOf("team-a", "vip-cp-c2")
	deleting.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	l.onClaim(nil, deleting)

	if got := l.taken(used(0)); got != 2 {
		t.Errorf("%d wait", got)
	}
	if got := l.taken(used(0), "team-a/vip-cp-c1", "team-a/vip-cp-c9"); got != 1 {
		t.Errorf("but for our own, %d wait", got)
	}
	namespaced := &kube.Pool{Ref: global}
	namespaced.Ref.Namespace = "team-a"
	if got := l.taken(namespaced); got != 1 {
		t.Errorf("on the pool of that name in one namespace, %d wait", got)
	}
	if got := l.pending(global); !slices.Equal(got, []string{"team-a/vip-cp-c1", "team-b/vip-ingress-c1"}) {
		t.Errorf("waiting: %v", got)
	}
	l.onClaim(claim, boundClaim(claim))
	l.onClaim(claimOf("team-b", "vip-ingress-c1"), nil)
	if got := l.taken(used(0)); got != 0 || len(l.pending(global)) != 0 {
		t.Errorf("bound and deleted, %d wait: %v", got, l.pending(global))
	}
}

// An address must not be counted twice while claim, IPAddress and the pool's status
// tell of it one after another, in whatever order.
func TestAnAddressOnItsWayCountsOnce(t *testing.T) {
	claim := claimOf("team-a", "vip-cp-c1")
	address := addressOf(claim)
	events := map[string]func(l *ledger, pool *kube.Pool){
		"address": func(l *ledger, _ *kube.Pool) { l.onAddress(nil, address) },
		"claim":   func(l *ledger, _ *kube.Pool) { l.onClaim(claim, boundClaim(claim)) },
		"status":  func(_ *ledger, pool *kube.Pool) { pool.Used = 1 },
	}
	// The provider makes the address first, then it tells of it.
	for _, order := range [][]string{{"address", "claim", "status"}, {"address", "status", "claim"}} {
		l, pool := newLedger(), used(0)
		l.onClaim(nil, claim)
		for _, event := range order {
			if got := l.taken(pool) + pool.Used; got != 1 {
				t.Errorf("before %s of %v: %d addresses are spoken for", event, order, got)
			}
			events[event](l, pool)
		}
		if got := l.taken(pool) + pool.Used; got != 1 {
			t.Errorf("in the end of %v: %d addresses are spoken for", order, got)
		}
	}
}

func TestTheLedgerComesOutEven(t *testing.T) {
	l := newLedger()
	claim := claimOf("team-a", "vip-cp-c1")
	address := addressOf(claim)
	for range 3 {
		l.onClaim(nil, claim)
		l.onClaim(claim, claim) // a resync hands over one object twice
		l.onAddress(nil, address)
		l.onAddress(address, address)
		if !l.isBinding("team-a/vip-cp-c1") {
			t.Error("the claim is not being bound")
		}
		l.onAddress(address, nil)
		l.onClaim(claim, nil)
	}
	if l.taken(used(0)) != 0 || l.isBinding("team-a/vip-cp-c1") || len(l.claims)+len(l.binding)+len(l.waiting)+len(l.addresses) != 0 {
		t.Errorf("left: %+v", l)
	}
}

func TestAddressesThatTheStatusCountsAlreadyAreNotTaken(t *testing.T) {
	l := newLedger()
	l.onAddress(nil, addressOf(claimOf("team-a", "x")))
	l.onAddress(nil, addressOf(claimOf("team-a", "y")))
	for counted, want := range map[int64]int64{0: 2, 1: 1, 2: 0, 9: 0} {
		if got := l.taken(used(counted)); got != want {
			t.Errorf("the status counts %d: %d are taken, want %d", counted, got, want)
		}
	}
}
