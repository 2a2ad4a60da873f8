package race

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/management"
)

// The API server crashes while a crowd is created, and comes back. The IPAM provider
// goes down with it: with caches that miss the last addresses before the crash it
// would give some of them twice, and those Clusters could not be built.
func TestAPIServerRestarts(t *testing.T) {
	under(t, some(gates, "hold"), func(w *world, _ gate) {
		p := w.start()
		const n = 12
		w.create(n)
		w.some(n / 4)
		for _, component := range []string{management.IPAM, management.APIServer} {
			if err := w.Management.KillComponent(component); err != nil {
				w.t.Fatal(err)
			}
		}
		for _, component := range []string{management.APIServer, management.IPAM} {
			if err := w.Management.StartComponent(component); err != nil {
				w.t.Fatal(err)
			}
		}
		if err := w.witness.watch(w.context, w.Client); err != nil {
			w.t.Fatal(err)
		}
		// One that lost its Lease meanwhile ended itself, and a kubelet would start it anew.
		w.eventually("an allocator is there", func() error {
			select {
			case <-p.Done():
				p = w.start()
			default:
			}
			return p.Ready(w.t.Context())
		})
		w.built(n)
	})
}

// Whoever runs already is none of the gates' business: Clusters are scaled and
// upgraded while no allocator runs.
func TestRunningClustersNeedNobody(t *testing.T) {
	under(t, gates, func(w *world, _ gate) {
		p := w.start()
		w.create(1)
		w.built(1)
		if _, err := p.Stop(); err != nil {
			w.t.Fatal(err)
		}
		w.patch(clusterName(0), `{"spec":{"topology":{"controlPlane":{"replicas":3}}}}`)
		w.eventually("the control plane is scaled", func() error {
			list, err := w.Client.Resource(demoControlPlanes).Namespace(w.namespace).List(w.t.Context(), metav1.ListOptions{})
			if err != nil || len(list.Items) != 1 {
				return fmt.Errorf("%d control planes: %w", len(list.Items), err)
			}
			if got, _, _ := unstructured.NestedInt64(list.Items[0].Object, "spec", "replicas"); got != 3 {
				return fmt.Errorf("it has %d replicas", got)
			}
			return nil
		})
	})
}

// A class that keeps the endpoint in an object variable blocks on an empty object,
// and the allocator fills its host.
func TestObjectVariable(t *testing.T) {
	w := newWorld(t, "")
	w.class(byObject)
	w.create(1)
	w.apply(fmt.Sprintf(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: %s}
spec:
  topology:
    classRef: {name: race}
    version: v1.36.3
    controlPlane: {replicas: 1}
    variables: [{name: controlPlaneEndpoint, value: {}}]
`, clusterName(1), w.namespace))
	for i := range 2 {
		w.is(clusterName(i), "waits", topologyFails)
	}
	w.pools()
	w.start()
	for i := range 2 {
		w.is(clusterName(i), "is built", func(cluster *unstructured.Unstructured) error {
			if name, _, _ := unstructured.NestedString(cluster.Object, "spec", "infrastructureRef", "name"); name == "" {
				return fmt.Errorf("it is not")
			}
			return reconciled(cluster)
		})
	}
	for _, loss := range w.witness.losses(w.namespace) {
		// This class has no ingress VIP, and gives its control plane none.
		if strings.Contains(loss, "spec.controlPlaneEndpoint.host") {
			t.Error(loss)
		}
	}
}

// A crowd that waits for the allocator is served in little more than the time that
// the IPAM provider itself takes for as many claims.
func TestBacklog(t *testing.T) {
	if !*long {
		t.Skip("measures; run it with -long")
	}
	under(t, gates, func(w *world, g gate) {
		n := crowdSize()
		w.create(n)
		w.is(clusterName(n-1), "waits", g.waits)
		w.start()
		began := time.Now()
		w.some(n)
		w.t.Logf("%d Clusters are built %s after the allocator is ready", n, time.Since(began).Round(time.Millisecond))
	})
}
