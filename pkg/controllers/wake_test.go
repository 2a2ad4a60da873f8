package controllers

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/record"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/allocator"
	clustercontrollers "github.com/gorizond/capi-vip-allocator/pkg/generated/controllers/cluster.x-k8s.io/v1beta2"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

var (
	somePool  = vip.PoolRef{Group: "g", Kind: "k", Name: "p"}
	globalRef = ipamv1.IPPoolReference{APIGroup: "g", Kind: "P", Name: "p"}
	global    = vip.PoolRef{Group: "g", Kind: "P", Name: "p"}
)

func claimOf(namespace, name string) *ipamv1.IPAddressClaim {
	return &ipamv1.IPAddressClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: ipamv1.IPAddressClaimSpec{PoolRef: globalRef}}
}

func boundClaim(claim *ipamv1.IPAddressClaim) *ipamv1.IPAddressClaim {
	claim = claim.DeepCopy()
	claim.Status.AddressRef.Name = claim.Name
	return claim
}

// poolOf is a global pool of that name for the class and role.
func poolOf(name, class string, roles ...vip.Role) *kube.Pool {
	entry := vip.ClassEntry{Name: class}
	return &kube.Pool{Ref: vip.PoolRef{Kind: "P", Name: name}, Ours: true, Serves: vip.Serves{Classes: []vip.ClassEntry{entry}, Roles: roles}}
}

var past = &metav1.Time{Time: time.Unix(1, 0)}

func TestAClaimEventMatters(t *testing.T) {
	base := claimOf("team-a", "vip-cp-c1")
	base.Labels = map[string]string{"a": "b"}
	for _, test := range []struct {
		name string
		edit func(*ipamv1.IPAddressClaim)
		same bool
	}{
		{"not by a finalizer of its provider", func(c *ipamv1.IPAddressClaim) { c.Finalizers, c.ResourceVersion = []string{"x"}, "9" }, true},
		{"by its binding", func(c *ipamv1.IPAddressClaim) { c.Status.AddressRef.Name = "x" }, false},
		{"by a condition", func(c *ipamv1.IPAddressClaim) { c.Status.Conditions = []metav1.Condition{{Type: "Ready"}} }, false},
		{"by its deletion", func(c *ipamv1.IPAddressClaim) { c.DeletionTimestamp = past }, false},
		{"by its labels", func(c *ipamv1.IPAddressClaim) { c.Labels = nil }, false},
		{"by its owners", func(c *ipamv1.IPAddressClaim) { c.OwnerReferences = []metav1.OwnerReference{{UID: "x"}} }, false},
		{"by its being another", func(c *ipamv1.IPAddressClaim) { c.UID = "x" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := base.DeepCopy()
			test.edit(changed)
			if got := sameClaim(base, changed); got != test.same {
				t.Errorf("same is %v", got)
			}
		})
	}
}

func TestAClassEventMatters(t *testing.T) {
	base := &clusterv1.ClusterClass{ObjectMeta: metav1.ObjectMeta{Generation: 1, Annotations: map[string]string{"a": "b"}}}
	for _, test := range []struct {
		name string
		edit func(*clusterv1.ClusterClass)
		same bool
	}{
		{"not by labels, or conditions of others", func(c *clusterv1.ClusterClass) {
			c.Labels = map[string]string{"a": "b"}
			c.Status.Conditions = []metav1.Condition{{Type: "Other"}}
		}, true},
		{"by its spec", func(c *clusterv1.ClusterClass) { c.Generation = 2 }, false},
		{"by its annotations", func(c *clusterv1.ClusterClass) { c.Annotations = nil }, false},
		{"by its variables", func(c *clusterv1.ClusterClass) {
			c.Status.Variables = []clusterv1.ClusterClassStatusVariable{{Name: "x"}}
		}, false},
		{"by becoming ready", func(c *clusterv1.ClusterClass) {
			c.Status.ObservedGeneration = 1
			c.Status.Conditions = []metav1.Condition{{Type: clusterv1.ClusterClassVariablesReadyCondition, Status: metav1.ConditionTrue}}
		}, false},
		{"by its being another", func(c *clusterv1.ClusterClass) { c.UID = "x" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := base.DeepCopy()
			test.edit(changed)
			if got := sameClass(base, changed); got != test.same {
				t.Errorf("same is %v", got)
			}
		})
	}
}

// clusterIndex is the cache of Clusters as far as wake-ups read it.
type clusterIndex struct {
	clustercontrollers.ClusterCache
	found map[string][]*clusterv1.Cluster
}

func (c clusterIndex) GetByIndex(index, key string) ([]*clusterv1.Cluster, error) {
	return c.found[index+" "+key], nil
}

// noClasses is an empty cache of ClusterClasses.
type noClasses struct {
	clustercontrollers.ClusterClassCache
}

func (noClasses) Get(_, name string) (*clusterv1.ClusterClass, error) {
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "clusterclasses"}, name)
}

func clusterNamed(name string) *clusterv1.Cluster {
	return &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: name}}
}

// listening is a waker that notes whom it wakes.
func listening() (w *waker, woken func() []string) {
	heard := map[string]bool{}
	index := clusterIndex{found: map[string][]*clusterv1.Cluster{
		snapshot.ByClassName + " rke2":   {clusterNamed("named")},
		snapshot.ByClass + " team-a/k3s": {clusterNamed("namespaced")},
	}}
	o := &snapshot.Observer{Clusters: index, Classes: noClasses{}, Pools: kube.NewPools(nil, nil, nil), Allocator: allocator.New()}
	w = &waker{
		observer: o,
		pools:    newPoolReporter(&record.FakeRecorder{}, o.Pools, metrics.New(prometheus.NewPedanticRegistry())),
		wake:     func(_, name string) { heard[name] = true },
		wakeAll: func(keys []string) {
			for _, key := range keys {
				heard[strings.TrimPrefix(key, "team-a/")] = true
			}
		},
	}
	return w, func() []string {
		names := slices.Sorted(maps.Keys(heard))
		clear(heard)
		return names
	}
}

func TestAClaimWakesTheClusterThatItsNameLeadsTo(t *testing.T) {
	w, woken := listening()
	claim := claimOf("team-a", "vip-ingress-c1")
	w.onClaim(nil, claim)
	if got := woken(); !slices.Equal(got, []string{"c1"}) {
		t.Errorf("made: %v", got)
	}
	w.onClaim(claim, claim.DeepCopy())
	w.onClaim(nil, claimOf("team-a", "other"))
	if got := woken(); len(got) != 0 {
		t.Errorf("unchanged, or not ours: %v", got)
	}
	w.onClaim(claim, boundClaim(claim))
	if got := woken(); !slices.Equal(got, []string{"c1"}) {
		t.Errorf("bound: %v", got)
	}
	w.onClaim(boundClaim(claim), nil)
	if got := woken(); !slices.Equal(got, []string{"c1"}) {
		t.Errorf("gone: %v", got)
	}
}

func TestWhichAddressesDiffer(t *testing.T) {
	keys := func(text string) (keys []netip.Addr) {
		for _, letter := range strings.Fields(text) {
			keys = append(keys, netip.AddrFrom4([4]byte{10, 0, 0, letter[0]}))
		}
		return keys
	}
	for _, test := range [][4]string{
		{"", "", "", ""}, {"a b c", "a b c", "", ""}, {"", "a b", "", "a b"}, {"a b", "", "a b", ""},
		{"a c", "b c d", "a", "b d"}, {"b", "a c", "b", "a c"}, {"a z", "b", "a z", "b"},
	} {
		gone, came := differing(keys(test[0]), keys(test[1]))
		if !slices.Equal(gone, keys(test[2])) || !slices.Equal(came, keys(test[3])) {
			t.Errorf("from %q to %q, %v is gone and %v came", test[0], test[1], gone, came)
		}
	}
}

func TestAClassWakesItsClusters(t *testing.T) {
	w, woken := listening()
	class := &clusterv1.ClusterClass{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "k3s"}}
	w.onClass(nil, class)
	w.onClass(class, class.DeepCopy())
	w.onClass(class, nil)
	if got := woken(); !slices.Equal(got, []string{"namespaced"}) {
		t.Errorf("woken: %v", got)
	}
}

func TestAPoolEventIsToldFromAChangeOfItsCapacity(t *testing.T) {
	base := poolOf("p", "rke2", vip.Ingress)
	base.Known, base.Usable = true, 1
	for _, test := range []struct {
		name string
		edit func(*kube.Pool)
		same bool
	}{
		{"nothing but its capacity", func(p *kube.Pool) { p.Usable, p.Used, p.ResourceVersion = 9, 9, "9" }, true},
		{"its annotations", func(p *kube.Pool) { p.Annotations = map[string]string{vip.PoolPriorityKey: "1"} }, false},
		{"its labels", func(p *kube.Pool) { p.Labels = map[string]string{"a": "b"} }, false},
		{"a pause", func(p *kube.Pool) { p.Annotations = map[string]string{vip.PausedAnnotation: ""} }, false},
		{"its deletion", func(p *kube.Pool) { p.DeletionTimestamp = past }, false},
		{"its being another", func(p *kube.Pool) { p.UID = "x" }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := *base
			test.edit(&changed)
			if got := samePool(base, &changed); got != test.same {
				t.Errorf("same is %v", got)
			}
		})
	}
}

func TestAPoolWithMoreRoomWakesAsManyAsItHasRoomFor(t *testing.T) {
	w, woken := listening()
	old := poolOf("p", "rke2", vip.Ingress)
	old.Known = true
	w.onPool(nil, old)
	view := old.View()
	for i, name := range []string{"a", "b", "c"} {
		want := &vip.Want{Role: vip.Ingress, Claim: vip.Ingress.ClaimName(name), Candidates: []vip.Candidate{{Pool: &view}}}
		w.observer.Allocator.Reserve(allocator.Request{
			Cluster: "team-a/" + name, Since: time.Unix(int64(9-i), 0), Class: vip.ClassKey{Namespace: "team-a", Name: "rke2"},
			Wants: []*vip.Want{want}, Seen: w.observer.Allocator.Changes("team-a"),
		})
	}
	woken()
	current := *old
	current.Usable = 1
	w.onPool(old, &current)
	if got := woken(); !slices.Equal(got, []string{"c"}) {
		t.Errorf("woken: %v", got)
	}
	w.onPool(&current, &current)
	if got := woken(); len(got) != 0 {
		t.Errorf("an event without change wakes %v", got)
	}
	paused := current
	paused.Annotations = map[string]string{vip.PausedAnnotation: ""}
	w.onPool(&current, &paused)
	if got := woken(); !slices.Equal(got, []string{"a", "b", "c", "named"}) {
		t.Errorf("of a pause hear %v", got)
	}
}

func TestAPoolThatRanDryWakesWhoseClaimsWaitOnIt(t *testing.T) {
	w, woken := listening()
	claim := claimOf("team-a", "vip-ingress-pending")
	w.onClaim(nil, claim)
	old := poolOf("p", "rke2", vip.Ingress)
	old.Ref, old.Known, old.Usable = global, true, 1
	w.onPool(nil, old)
	woken()
	current := *old
	current.Usable = 0
	w.onPool(old, &current)
	if got := woken(); !slices.Equal(got, []string{"pending"}) {
		t.Errorf("woken: %v", got)
	}
}

func TestAnUnknownConditionIsKeptAsItIs(t *testing.T) {
	old := map[string]vip.Condition{"a": {Reason: vip.Manual}}
	wanted := map[string]vip.Condition{"a": {Reason: vip.NoPool}, "b": {Reason: vip.NoPool}}
	keep(wanted, old, "a")
	keep(wanted, old, "b")
	if want := map[string]vip.Condition{"a": {Reason: vip.Manual}}; !maps.Equal(wanted, want) {
		t.Errorf("%v", wanted)
	}
}
