package cli

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

// A View of ten thousand Clusters with both VIPs is there soon, and small.
func TestViewOfManyClusters(t *testing.T) {
	const n, most, weight = 10_000, 20 * time.Second, 200 << 20
	s := newScene(t)
	s.add(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata: {name: huge, labels: {vip.capi.gorizond.io/cluster-class: demo, vip.capi.gorizond.io/role: control-plane_ingress}}
spec: {addresses: [172.16.0.0/16], prefix: 12, addressReuseGracePeriodSeconds: 60}`)
	p := s.painter("")
	before := heap()
	for i := range n {
		p.addCluster(t, i)
	}
	began := time.Now()
	view := p.mustView(t)
	took := time.Since(began)
	t.Logf("a View of %d Clusters takes %s, and everything %d MiB", n, took.Round(time.Millisecond), (heap()-before)>>20)
	if took > most {
		t.Errorf("it takes %s", took)
	}
	if grown := heap() - before; grown > weight {
		t.Errorf("it weighs %d MiB", grown>>20)
	}
	last := view.Clusters[len(view.Clusters)-1]
	if len(view.Clusters) != n+1 || last.Roles[0].VIP == "" || last.Roles[1].VIP == "" {
		t.Errorf("of %d Clusters the last is %+v", len(view.Clusters), last)
	}
	runtime.KeepAlive(p)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// addCluster puts a Cluster, its claims and its addresses where informers would.
func (p *painter) addCluster(t *testing.T, i int) {
	t.Helper()
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "many", Name: name, UID: types.UID(name), CreationTimestamp: metav1.Now()}
	}
	cluster := &clusterv1.Cluster{ObjectMeta: meta(fmt.Sprintf("c-%05d", i))}
	cluster.Labels = map[string]string{"cluster.x-k8s.io/watch-filter": "a"}
	cluster.Spec.Topology.ClassRef = clusterv1.ClusterClassRef{Namespace: "team", Name: "demo"}
	cluster.Annotations = map[string]string{}
	add := func(store cache.Store, object any) {
		if err := store.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	for j, role := range []struct{ prefix, name string }{{"vip-cp-", "control-plane"}, {"vip-ingress-", "ingress"}} {
		address := fmt.Sprintf("172.16.%d.%d", (2*i+j)/250, (2*i+j)%250+1)
		pool := ipamv1.IPPoolReference{APIGroup: "ipam.cluster.x-k8s.io", Kind: "GlobalInClusterIPPool", Name: "huge"}
		claim := &ipamv1.IPAddressClaim{ObjectMeta: meta(role.prefix + cluster.Name), Spec: ipamv1.IPAddressClaimSpec{PoolRef: pool}}
		claim.Labels = map[string]string{"vip.capi.gorizond.io/role": role.name, "cluster.x-k8s.io/cluster-name": cluster.Name}
		claim.OwnerReferences = []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster", Name: cluster.Name, UID: cluster.UID}}
		claim.Status.AddressRef.Name = claim.Name
		bound := &ipamv1.IPAddress{ObjectMeta: meta(claim.Name), Spec: ipamv1.IPAddressSpec{Address: address, PoolRef: pool, ClaimRef: ipamv1.IPAddressClaimReference{Name: claim.Name}}}
		cluster.Annotations["vip.capi.gorizond.io/"+role.name+"-vip"] = address
		if j == 0 {
			cluster.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: address, Port: 6443}
		}
		add(p.stores[claims.GroupVersionResource], claim)
		add(p.stores[addresses.GroupVersionResource], bound)
	}
	add(p.stores[clusters.GroupVersionResource], cluster)
}
