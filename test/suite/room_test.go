package suite

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Two full pools of one class and two Clusters that wait. Each pool frees one address, the
// second pool first: the Cluster that comes for the one leaves the other to the next.
func TestEveryFreeAddressFindsAWaiter(t *testing.T) {
	w := newWorld(t)
	w.leaveShared()
	p := w.startAllocator()
	k := w.gatedClass(controlPlane)
	first, second := w.pool(serving(controlPlane, k), size(1)), w.pool(serving(controlPlane, k), size(1))
	const rounds = 5
	var served []*cluster
	for round := range rounds {
		if round == 0 {
			first.take("first")
			second.take("second")
		}
		older, younger := w.cluster(k), w.cluster(k)
		older.becomes(reason(controlPlane, "PoolExhausted"))
		younger.becomes(reason(controlPlane, "PoolExhausted"))
		// The allocator hears of both at once.
		w.signal(p, syscall.SIGSTOP)
		if round == 0 {
			second.giveBack("second")
			first.giveBack("first")
		} else {
			for _, c := range served {
				c.remove()
				w.gone(observe.Clusters, w.namespace, c.name)
			}
		}
		w.eventually("both pools have room", func() error {
			for _, pool := range []*pool{first, second} {
				if free := pool.now().Status.IPAddresses.Free; free != 1 {
					return fmt.Errorf("%s has %d free addresses", pool.name, free)
				}
			}
			return nil
		})
		w.signal(p, syscall.SIGCONT)
		older.becomes(reason(controlPlane, "Allocated"))
		younger.becomes(reason(controlPlane, "Allocated"))
		// The one of the second pool goes first again.
		if served = []*cluster{younger, older}; older.claim(controlPlane).Spec.PoolRef.Name == second.name {
			served = []*cluster{older, younger}
		}
	}
}

func (w *world) signal(p *allocator.Process, signal syscall.Signal) {
	w.t.Helper()
	if err := p.Signal(signal); err != nil {
		w.t.Fatal(err)
	}
}

// A claim that nobody binds and that has the name of the Cluster's own holds the last
// address of a pool. The other role counts it like any other claim: it waits, says so, and
// costs nothing.
func TestAClaimInTheWayTakesTheLastAddress(t *testing.T) {
	w := newWorld(t)
	w.leaveShared()
	p := w.startAllocator()
	k := w.gatedClass(controlPlane, ingress)
	pool := w.pool(serving("control-plane_ingress", k), size(1))
	idle := w.cluster(k, paused(true)) // whose claims the provider passes over
	name := w.unique("c")
	create(w, observe.Claims, &ipamv1.IPAddressClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: ipamv1.GroupVersion.String(), Kind: "IPAddressClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: controlPlane.claim(name), Labels: map[string]string{clusterNameLabel: idle.name}},
		Spec:       ipamv1.IPAddressClaimSpec{PoolRef: pool.ref()},
	})
	c := w.cluster(k, named(name))
	c.becomes(reason(controlPlane, "ClaimForeign"), reason(ingress, "PoolExhausted", pool.name))
	before := w.reconciles(p)
	w.barrier()
	if after := w.reconciles(p); after > before+1000 { // those of the barrier are some
		t.Errorf("%d reconciles while nothing happens", after-before)
	}
	w.remove(observe.Claims, w.namespace, controlPlane.claim(name), metav1.DeleteOptions{})
	c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "PoolExhausted", pool.name))
}

// reconciles counts those of all Clusters.
func (w *world) reconciles(p *allocator.Process) (count int) {
	w.t.Helper()
	series, err := p.Series(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range series {
		if strings.HasPrefix(name, "capi_vip_allocator_reconcile_total{") {
			count += int(value)
		}
	}
	return count
}
