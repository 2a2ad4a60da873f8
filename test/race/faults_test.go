package race

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// some waits until so many Clusters of the namespace are built.
func (w *world) some(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d Clusters are built", n), func() error {
		if got := w.witness.complete(w.namespace, "DemoCluster"); got < n {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
}

// The API server goes away while a crowd is created, and comes back.
func TestAPIServerRestarts(t *testing.T) {
	for _, g := range some(gates, "hold") {
		t.Run(g.name, func(t *testing.T) {
			w := newWorld(t, g.labels)
			w.class(g.class)
			w.pools()
			p := w.start()
			const n = 12
			w.create(n)
			w.some(n / 4)
			if err := w.management.StopComponent(management.APIServer); err != nil {
				t.Fatal(err)
			}
			if err := w.management.StartComponent(management.APIServer); err != nil {
				t.Fatal(err)
			}
			if err := w.witness.watch(w.context, w.client); err != nil {
				t.Fatal(err)
			}
			// One that lost its Lease meanwhile ended itself, and a kubelet would start it anew.
			w.eventually("an allocator is there", func() error {
				select {
				case <-p.Done():
					p = w.start()
				default:
				}
				return p.Ready(t.Context())
			})
			w.built(n)
			w.noLoss()
		})
	}
}

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

const hookSecret = "capi-vip-allocator-runtime-extension-tls"

// The hook's authority is replaced while a crowd is created. Cluster API takes its
// time to learn of that; until then everybody waits.
func TestCertificateIsReplaced(t *testing.T) {
	g := gates[3]
	w := newWorld(t, g.labels)
	w.class(g.class)
	w.pools()
	p := w.start()
	const n = 12
	w.create(n)
	w.some(n / 4)
	if err := w.client.Resource(secrets).Namespace(allocator.Namespace).Delete(t.Context(), hookSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.built(n)
	w.noLoss()
}

// Whoever runs already is none of the gates' business: Clusters are scaled and
// upgraded while no allocator runs.
func TestRunningClustersNeedNobody(t *testing.T) {
	for _, g := range gates {
		t.Run(g.name, func(t *testing.T) {
			w := newWorld(t, g.labels)
			w.class(g.class)
			w.pools()
			p := w.start()
			w.create(1)
			w.built(1)
			if _, err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			w.patch(clusterName(0), `{"spec":{"topology":{"controlPlane":{"replicas":3}}}}`)
			w.eventually("the control plane is scaled", func() error {
				list, err := w.client.Resource(demoControlPlanes).Namespace(w.namespace).List(t.Context(), metav1.ListOptions{})
				if err != nil || len(list.Items) != 1 {
					return fmt.Errorf("%d control planes: %w", len(list.Items), err)
				}
				if got, _, _ := unstructured.NestedInt64(list.Items[0].Object, "spec", "replicas"); got != 3 {
					return fmt.Errorf("it has %d replicas", got)
				}
				return nil
			})
			w.noLoss()
		})
	}
}

// A class that keeps the endpoint in an object variable blocks on an empty object,
// and the allocator fills its host.
func TestObjectVariable(t *testing.T) {
	w := newWorld(t, "")
	w.apply(fmt.Sprintf(objectManifest, w.namespace))
	if err := observe.AwaitClass(t.Context(), w.client, w.namespace, "race"); err != nil {
		t.Fatal(err)
	}
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

const objectManifest = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DemoClusterTemplate
metadata: {name: race, namespace: %[1]s}
spec: {template: {spec: {}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: DemoControlPlaneTemplate
metadata: {name: race, namespace: %[1]s}
spec: {template: {spec: {tlsSANs: [localhost]}}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata:
  name: race
  namespace: %[1]s
  annotations: {vip.capi.gorizond.io/control-plane-variable: controlPlaneEndpoint.host}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: race}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: race}}
  variables:
  - name: controlPlaneEndpoint
    required: false
    schema:
      openAPIV3Schema:
        type: object
        properties:
          host: {type: string, minLength: 1}
          port: {type: integer}
  patches:
  - name: endpoint
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/controlPlaneEndpoint, valueFrom: {variable: controlPlaneEndpoint}}
      - {op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: controlPlaneEndpoint.host}}
`

// A crowd that waits for the allocator is served in little more than the time that
// the IPAM provider itself takes for as many claims.
func TestBacklog(t *testing.T) {
	if !*long {
		t.Skip("measures; run it with -long")
	}
	for _, g := range gates {
		t.Run(g.name, func(t *testing.T) {
			w := newWorld(t, g.labels)
			w.class(g.class)
			w.pools()
			n := crowdSize()
			w.create(n)
			w.is(clusterName(n-1), "waits", g.waits)
			w.start()
			began := time.Now()
			w.some(n)
			t.Logf("%d Clusters are built %s after the allocator is ready", n, time.Since(began).Round(time.Millisecond))
			w.noLoss()
		})
	}
}
