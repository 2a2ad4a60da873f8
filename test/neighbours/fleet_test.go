package neighbours

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// workspace is a namespace whose Fleet Clusters may ask for VIPs.
const workspace = "edge"

var (
	fleetClusters     = fleetKind("clusters")
	bundles           = fleetKind("bundles")
	bundleDeployments = fleetKind("bundledeployments")
)

func fleetKind(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "fleet.cattle.io", Version: "v1alpha1", Resource: resource}
}

// fleetworld is the real controller of Fleet with Clusters of Cluster API, each registered by
// hand. No agent deploys anything.
type fleetworld struct {
	*environment
	t         *testing.T
	namespace string
}

// The real Fleet renders the example bundles with the VIP for each Cluster that has one, and for
// no other.
func TestFleet(t *testing.T) {
	t.Parallel()
	e, err := boot()
	if err != nil {
		t.Fatal(err)
	}
	w := &fleetworld{environment: e, t: t, namespace: e.Namespace(t, "")}
	w.startFleet()
	w.Apply(t, string(gates.Class(w.namespace, gates.Stranger)))
	w.register("prod", `vip.capi.gorizond.io/ingress-vip: 10.0.0.5`)
	w.register("v6", `vip.capi.gorizond.io/ingress-vip: "2001:db8::5"`)
	w.register("waiting", "")

	addresses := map[string]func(map[string]any) string{
		"kube-vip-ingress": func(values map[string]any) string {
			address, _, _ := unstructured.NestedString(values, "config", "address")
			return address
		},
		"traefik": func(values map[string]any) string {
			address, _, _ := unstructured.NestedString(values, "service", "annotations", "kube-vip.io/loadbalancerIPs")
			return address
		},
	}
	for name := range addresses {
		w.deploy(name)
	}
	all := func(cluster, want string) {
		t.Helper()
		for name, address := range addresses {
			w.renders(name, cluster, want, address)
		}
	}
	all("prod", "10.0.0.5")
	all("v6", "2001:db8::5")
	all("waiting", "")

	w.annotate("prod", `"10.0.0.6"`)
	all("prod", "10.0.0.6")
	w.annotate("waiting", `"10.0.0.7"`)
	all("waiting", "10.0.0.7")
	w.annotate("v6", "null")
	all("v6", "")

	// A label that somebody takes off comes back once Fleet has removed what it deployed.
	w.merge(fleetClusters, workspace, "prod", `{"metadata":{"labels":{"vip.capi.gorizond.io/has-ingress-vip":null}}}`)
	all("prod", "")
	all("prod", "10.0.0.6")
}

// startFleet runs Fleet's controller until the test ends.
func (w *fleetworld) startFleet() {
	w.t.Helper()
	binary, err := fleetBinary()
	if err != nil {
		w.t.Fatal(err)
	}
	kinds, err := os.ReadFile(filepath.Join(filepath.Dir(binary), "manifests", "crds", "crds.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.Apply(w.t, string(kinds))
	w.Apply(w.t, fleetManifest)
	ports, err := loopback.FreePorts(2)
	if err != nil {
		w.t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(w.Logs, "fleet.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.CommandContext(w.t.Context(), binary)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Management.Kubeconfig(), "NAMESPACE=cattle-fleet-system",
		"CATTLE_ELECTION_LEASE_DURATION=30s", "CATTLE_ELECTION_RENEW_DEADLINE=25s", "CATTLE_ELECTION_RETRY_PERIOD=1s",
		"FLEET_METRICS_BIND_ADDRESS="+loopback.Address(ports[0]), "FLEET_HEALTHPROBE_BIND_ADDRESS="+loopback.Address(ports[1]))
	for _, kind := range []string{"BUNDLE", "BUNDLEDEPLOYMENT", "CLUSTER", "CLUSTERGROUP", "IMAGESCAN"} {
		cmd.Env = append(cmd.Env, kind+"_RECONCILER_WORKERS=2")
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(done)
	}()
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails only if it is gone
		<-done
		log.Close()
		if content, err := os.ReadFile(log.Name()); w.t.Failed() && err == nil {
			w.t.Logf("end of Fleet's log:\n%s", content[max(len(content)-4096, 0):])
		}
	})
	scene.Until(w.t, patience, "Fleet serves", func() error {
		response, err := http.Get("http://" + loopback.Address(ports[1]) + "/readyz")
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
}

const fleetManifest = `
apiVersion: v1
kind: Namespace
metadata: {name: cattle-fleet-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: ` + workspace + `}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fleet-controller, namespace: cattle-fleet-system}
data: {config: '{"agentCheckinInterval":"15m"}'}
`

// register makes a Cluster and the Fleet Cluster that asks for its VIPs. Of Fleet's agent there
// is only the namespace.
func (w *fleetworld) register(name, annotation string) {
	w.t.Helper()
	w.Apply(w.t, fmt.Sprintf(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %[1]s, namespace: %[2]s, annotations: {%[3]s}}
spec: {topology: {classRef: {name: %[4]s}, version: v1.36.3, controlPlane: {replicas: 1}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: cluster-%[5]s-%[1]s}
---
apiVersion: fleet.cattle.io/v1alpha1
kind: Cluster
metadata:
  name: %[1]s
  namespace: %[5]s
  labels: {env: test, vip.capi.gorizond.io/cluster-name: %[1]s, vip.capi.gorizond.io/cluster-namespace: %[2]s}
`, name, w.namespace, annotation, gates.ClassName, workspace))
	if _, err := w.Client.Resource(fleetClusters).Namespace(workspace).Patch(w.t.Context(), name, types.MergePatchType,
		[]byte(fmt.Sprintf(`{"status":{"namespace":"cluster-%s-%s"}}`, workspace, name)), metav1.PatchOptions{}, "status"); err != nil {
		w.t.Fatal(err)
	}
}

// deploy makes the Bundle that "fleet apply" would make of an example: its targets are those of
// the file. The chart is a small one of our own, since what matters are the values.
func (w *fleetworld) deploy(name string) {
	w.t.Helper()
	examples, err := allocator.Examples(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(examples, "fleet", name, "fleet-bundle.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	var file struct {
		DefaultNamespace string           `json:"defaultNamespace"`
		OverrideTargets  []map[string]any `json:"overrideTargets"`
		Helm             map[string]any   `json:"helm"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		w.t.Fatal(err)
	}
	delete(file.Helm, "repo")
	delete(file.Helm, "version")
	file.Helm["chart"] = "chart"
	data, err := json.Marshal(map[string]any{
		"apiVersion": "fleet.cattle.io/v1alpha1", "kind": "Bundle", "metadata": map[string]any{"name": name, "namespace": workspace},
		"spec": map[string]any{
			"defaultNamespace": file.DefaultNamespace, "helm": file.Helm,
			"targets": file.OverrideTargets, "targetRestrictions": file.OverrideTargets,
			"resources": []any{map[string]any{"name": "chart/Chart.yaml", "content": "apiVersion: v2\nname: chart\nversion: 1.0.0\n"}},
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Apply(w.t, string(data))
}

// renders waits until Fleet's values for the Cluster have the address; for "", until the Cluster
// is no target.
func (w *fleetworld) renders(bundle, cluster, want string, address func(map[string]any) string) {
	w.t.Helper()
	scene.Until(w.t, patience, fmt.Sprintf("bundle %s has %q for Cluster %s", bundle, want, cluster), func() error {
		of, err := w.Client.Resource(bundles).Namespace(workspace).Get(w.t.Context(), bundle, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if ready := fmt.Sprint(observe.Condition(of, "Ready")["message"]); strings.Contains(ready, "argeting error") {
			w.t.Fatalf("bundle %s is blocked: %s", bundle, ready)
		}
		if generation, _, _ := unstructured.NestedInt64(of.Object, "status", "observedGeneration"); generation == 0 {
			return errors.New("Fleet has not seen it")
		}
		list, err := w.Client.Resource(bundleDeployments).Namespace("cluster-"+workspace+"-"+cluster).List(w.t.Context(),
			metav1.ListOptions{LabelSelector: "fleet.cattle.io/bundle-name=" + bundle})
		if err != nil {
			return err
		}
		if len(list.Items) == 0 && want == "" {
			return nil
		}
		if len(list.Items) != 1 {
			return fmt.Errorf("there are %d deployments", len(list.Items))
		}
		values, _, _ := unstructured.NestedMap(list.Items[0].Object, "spec", "stagedOptions", "helm", "values")
		if got := address(values); got != want || want == "" {
			return fmt.Errorf("the values are %v", values)
		}
		return nil
	})
}

// annotate sets the ingress stamp of a Cluster.
func (w *fleetworld) annotate(name, value string) {
	w.t.Helper()
	w.merge(observe.Clusters, w.namespace, name, fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, observe.IngressVIP, value))
}

func (w *fleetworld) merge(resource schema.GroupVersionResource, namespace, name, patch string) {
	w.t.Helper()
	if _, err := w.Client.Resource(resource).Namespace(namespace).Patch(w.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// fleetBinary is built once; scripts/test-neighbours has done so before.
var fleetBinary = sync.OnceValues(func() (string, error) {
	binaries, err := management.Build(booted.context, nil, "", management.Fleet)
	return binaries.Providers[management.Fleet.Name()], err
})
