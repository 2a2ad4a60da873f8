package race

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// The API server crashes while a crowd is created, and comes back. The IPAM provider
// goes down with it: with caches that miss the last addresses before the crash it
// would give some of them twice, and those Clusters could not be built.
func TestAPIServerRestarts(t *testing.T) {
	under(t, some("hold"), func(w *world, _ gate) {
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

// The IPAM provider is gone. Claims that it has not seen wait for it, those of a deleted
// Cluster too, so that it releases all that was meant for them; and the allocator leaves
// it and others their finalizers when it brings a claim up to date.
func TestProviderIsGone(t *testing.T) {
	w := newWorld(t, "")
	w.class(gates.ByVariable)
	w.pools()
	w.start()
	if err := w.Management.StopComponent(management.IPAM); err != nil {
		t.Fatal(err)
	}
	back := sync.OnceValue(func() error { return w.Management.StartComponent(management.IPAM) })
	t.Cleanup(func() {
		if err := back(); err != nil {
			t.Error(err)
		}
	})
	const release, others = "ipam.cluster.x-k8s.io/ReleaseAddress", "example.com/others"
	claims := w.Client.Resource(observe.Claims).Namespace(w.namespace)
	// finalized waits until a claim has the role label and exactly these finalizers.
	finalized := func(name string, want ...string) {
		w.eventually("claim "+name+" is as it should be", func() error {
			claim, err := claims.Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if got := claim.GetFinalizers(); claim.GetLabels()[observe.RoleLabel] == "" || !slices.Equal(got, want) {
				return fmt.Errorf("it has the labels %v and the finalizers %v, want the role and %v", claim.GetLabels(), got, want)
			}
			return nil
		})
	}
	edit := func(name, merge string) {
		if _, err := claims.Patch(t.Context(), name, types.MergePatchType, []byte(merge), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	w.create(2)
	for _, name := range []string{"vip-cp-c0", "vip-ingress-c0", "vip-cp-c1", "vip-ingress-c1"} {
		finalized(name, release)
	}
	edit("vip-cp-c0", fmt.Sprintf(`{"metadata": {"labels": {%q: null}, "finalizers": [%q, %q]}}`, observe.RoleLabel, release, others))
	finalized("vip-cp-c0", release, others)
	edit("vip-cp-c0", fmt.Sprintf(`{"metadata": {"finalizers": [%q]}}`, release))
	w.is(clusterName(0), "says what it waits for", func(cluster *unstructured.Unstructured) error {
		if got := observe.Condition(cluster, observe.ControlPlaneReady)["reason"]; got != "ClaimPending" {
			return fmt.Errorf("the reason is %v", got)
		}
		return nil
	})
	w.delete(clusterName(1))
	w.gone(clusterName(1))
	w.eventually("a claim of the deleted Cluster is deleted", func() error {
		claim, err := claims.Get(t.Context(), "vip-cp-c1", metav1.GetOptions{})
		if err == nil && claim.GetDeletionTimestamp() == nil {
			err = errors.New("it is not")
		}
		return err
	})

	if err := back(); err != nil {
		t.Fatal(err)
	}
	w.built(1)
	for _, resource := range []schema.GroupVersionResource{observe.Claims, observe.Addresses} {
		w.eventually(resource.Resource+" are those of the Cluster that is left", func() error {
			list, err := w.Client.Resource(resource).Namespace(w.namespace).List(t.Context(), metav1.ListOptions{})
			if err == nil && len(list.Items) != 2 {
				err = fmt.Errorf("there are %d", len(list.Items))
			}
			return err
		})
	}
	w.noLoss()
}

// Whoever runs already is none of the gates' business: Clusters are scaled and
// upgraded while no allocator runs.
func TestRunningClustersNeedNobody(t *testing.T) {
	under(t, allGates, func(w *world, _ gate) {
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
	w.class(gates.ByObject)
	w.create(1)
	w.apply(fmt.Sprintf(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: %s}
spec:
  topology:
    classRef: {name: %s}
    version: v1.36.3
    controlPlane: {replicas: 1}
    variables: [{name: controlPlaneEndpoint, value: {}}]
`, clusterName(1), w.namespace, gates.ClassName))
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
