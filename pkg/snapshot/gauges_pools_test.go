package snapshot

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics/metricstest"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const inCluster = "ipam.cluster.x-k8s.io"

// filled is a pool of so many addresses, of which some are in use.
func filled(ref vip.PoolRef, total, used int64) *kube.Pool {
	return &kube.Pool{Ref: ref, Ours: true, Known: true, Total: total, Used: used, Free: total - used, Usable: total - used}
}

// Equal names in other kinds and namespaces are other pools.
func TestPoolsHaveNamesOfTheirOwnInMetrics(t *testing.T) {
	unknown := filled(vip.PoolRef{Group: inCluster, Kind: "GlobalInClusterIPPool", Name: "silent"}, 1, 1)
	unknown.Known = false
	outOfRange := filled(vip.PoolRef{Group: inCluster, Kind: "GlobalInClusterIPPool", Name: "shrunk"}, 2, 3)
	outOfRange.Usable += 2
	overdrawn := filled(vip.PoolRef{Group: inCluster, Kind: "GlobalInClusterIPPool", Name: "overdrawn"}, 2, 3)
	pools := []*kube.Pool{
		filled(vip.PoolRef{Group: inCluster, Kind: "GlobalInClusterIPPool", Name: "p"}, 10, 1),
		filled(vip.PoolRef{Group: inCluster, Kind: "InClusterIPPool", Namespace: "a", Name: "p"}, 20, 2),
		filled(vip.PoolRef{Group: inCluster, Kind: "InClusterIPPool", Namespace: "b", Name: "p"}, 30, 3),
		filled(vip.PoolRef{Group: inCluster, Kind: "Another", Name: "p"}, 40, 4),
		filled(vip.PoolRef{Group: "ipam.metal3.io", Kind: "IPPool", Namespace: "a", Name: "p"}, 50, 5),
		filled(vip.PoolRef{Group: "example.com", Kind: "IPPool", Namespace: "a", Name: "p"}, 60, 6),
		unknown, outOfRange, overdrawn,
	}
	got := metricstest.Scrape(t, func(r metrics.Readings) error { showAddresses(r, pools); return nil },
		metrics.PoolAddressesTotal, metrics.PoolAddressesFree, metrics.PoolAddressesUsed)
	want := map[string]float64{}
	for name, numbers := range map[string][3]float64{
		"p": {10, 9, 1}, "a/p": {20, 18, 2}, "b/p": {30, 27, 3}, "Another.ipam.cluster.x-k8s.io/p": {40, 36, 4},
		"IPPool.ipam.metal3.io/a/p": {50, 45, 5}, "IPPool.example.com/a/p": {60, 54, 6},
		"shrunk": {2, 1, 3}, "overdrawn": {2, 0, 3},
	} {
		for i, metric := range []string{"total", "free", "used"} {
			want[fmt.Sprintf("pool_addresses_%s{%s}", metric, name)] = numbers[i]
		}
	}
	metricstest.Compare(t, got, want)
}

// serve has the pool serve the classes in the ingress role.
func serve(pool *kube.Pool, classes ...vip.ClassEntry) *kube.Pool {
	pool.Serves = vip.Serves{Classes: classes, Roles: []vip.Role{vip.Ingress}}
	return pool
}

func TestPoolsAvailable(t *testing.T) {
	global := func() *kube.Pool {
		return filled(vip.PoolRef{Group: inCluster, Kind: "GlobalInClusterIPPool", Name: "p"}, 2, 1)
	}
	rke2 := vip.ClassEntry{Name: "rke2"}
	for _, test := range []struct {
		name string
		pool *kube.Pool
		want map[string]float64
	}{
		{"one", serve(global(), rke2), map[string]float64{"pools_available{rke2,ingress}": 1}},
		{"one, however often it names the class", serve(global(), rke2, vip.ClassEntry{Namespace: "a", Name: "rke2"}, vip.ClassEntry{Namespace: "b", Name: "rke2"}),
			map[string]float64{"pools_available{rke2,ingress}": 1}},
		{"for each class", serve(global(), rke2, vip.ClassEntry{Name: "k3s"}), map[string]float64{"pools_available{rke2,ingress}": 1, "pools_available{k3s,ingress}": 1}},
		{"not one for every class that nobody declares", serve(global(), vip.ClassEntry{Name: "*"}), map[string]float64{}},
		{"not one that is exhausted", serve(filled(global().Ref, 1, 1), rke2), map[string]float64{"pools_available{rke2,ingress}": 0}},
		{"not one that is paused", serve(func() *kube.Pool {
			p := global()
			p.Annotations = map[string]string{vip.PausedAnnotation: ""}
			return p
		}(), rke2),
			map[string]float64{"pools_available{rke2,ingress}": 0}},
		{"not one that is being deleted", serve(func() *kube.Pool { p := global(); p.DeletionTimestamp = past; return p }(), rke2),
			map[string]float64{"pools_available{rke2,ingress}": 0}},
		{"not one that is malformed", func() *kube.Pool { p := serve(global(), rke2); p.Serves.Err = errNot("well-formed"); return p }(),
			map[string]float64{"pools_available{rke2,ingress}": 0}},
		{"not one for no namespace", func() *kube.Pool { p := serve(global(), rke2); p.Serves.Namespaces = []string{}; return p }(),
			map[string]float64{"pools_available{rke2,ingress}": 0}},
		{"not one for a class that does not exist", serve(global(), vip.ClassEntry{Name: "nobody"}), map[string]float64{}},
		{"one whose provider tells no numbers", func() *kube.Pool { p := serve(global(), rke2); p.Known, p.Usable = false, 0; return p }(),
			map[string]float64{"pools_available{rke2,ingress}": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := observerOf(&clusterv1.ClusterClass{ObjectMeta: named("a", "rke2")}, &clusterv1.ClusterClass{ObjectMeta: named("a", "k3s")})
			o.Allocator.SetPool(test.pool.Ref, test.pool.Room())
			metricstest.Compare(t, metricstest.Scrape(t, func(r metrics.Readings) error { return o.showAvailable(r, []*kube.Pool{test.pool}) }, metrics.PoolsAvailable), test.want)
		})
	}
}

// A claim that waits on the pool has spoken for its last address.
func TestAPoolThatIsSpokenForIsNotAvailable(t *testing.T) {
	pool := serve(filled(vip.PoolRef{Group: inCluster, Kind: "GlobalInClusterIPPool", Name: "p"}, 2, 1), vip.ClassEntry{Name: "rke2"})
	o := observerOf()
	o.Allocator.SetPool(pool.Ref, pool.Room())
	claim := claimOf("a", "vip-cp-c1")
	claim.Spec.PoolRef = ipamv1.IPPoolReference{APIGroup: inCluster, Kind: pool.Ref.Kind, Name: "p"}
	o.Allocator.SetClaim("a", claim.Name, nil, kube.ClaimRoom(claim), false)
	if o.available(pool) {
		t.Error("it is available")
	}
	o.Allocator.SetClaim("a", claim.Name, kube.ClaimRoom(claim), nil, false)
	if !o.available(pool) {
		t.Error("without the claim it is not")
	}
}

// A class that declares the variable is shown whether or not there is a pool, and
// those of one name in several namespaces are one.
func TestAClassWithoutPoolsIsShown(t *testing.T) {
	var classes []runtime.Object
	for _, namespace := range []string{"a", "b"} {
		classes = append(classes, gatedClass(namespace, "rke2"))
	}
	o := observerOf(append(classes, &clusterv1.ClusterClass{ObjectMeta: named("a", "cloud")})...)
	show := func(pools ...*kube.Pool) map[string]float64 {
		return metricstest.Scrape(t, func(r metrics.Readings) error { return o.showAvailable(r, pools) }, metrics.PoolsAvailable)
	}
	metricstest.Compare(t, show(), map[string]float64{"pools_available{rke2,ingress}": 0})
	every := serve(filled(vip.PoolRef{Group: inCluster, Kind: "GlobalInClusterIPPool", Name: "every"}, 2, 1), vip.ClassEntry{Name: "*"})
	ofA := serve(filled(vip.PoolRef{Group: inCluster, Kind: "InClusterIPPool", Namespace: "a", Name: "p"}, 2, 1), vip.ClassEntry{Namespace: "a", Name: "rke2"})
	ofB := serve(filled(vip.PoolRef{Group: inCluster, Kind: "InClusterIPPool", Namespace: "b", Name: "p"}, 2, 1), vip.ClassEntry{Name: "rke2"})
	metricstest.Compare(t, show(every, ofA, ofB), map[string]float64{"pools_available{rke2,ingress}": 3})
	everyOf := func(namespace string) *kube.Pool {
		return serve(filled(vip.PoolRef{Group: inCluster, Kind: "InClusterIPPool", Namespace: namespace, Name: "every"}, 2, 1), vip.ClassEntry{Name: "*"})
	}
	// There is no such class in c.
	metricstest.Compare(t, show(everyOf("b"), everyOf("c")), map[string]float64{"pools_available{rke2,ingress}": 1})
}
