package install

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// Where Cluster API is, and in which version the operator believes that it is.
const (
	coreNamespace = "capi-system"
	coreVersion   = "v1.14.2"
)

// core stands for Cluster API's components, which run already: the operator installs
// other providers only beside a core provider that it has brought up.
const core = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: capi-controller-manager, namespace: capi-system, labels: {cluster.x-k8s.io/provider: cluster-api}}
spec:
  selector: {matchLabels: {control-plane: core}}
  template:
    metadata: {labels: {control-plane: core}}
    spec: {containers: [{name: manager, image: example.com/core}]}
`

const coreProviderOfOperator = `
apiVersion: operator.cluster.x-k8s.io/v1alpha2
kind: CoreProvider
metadata: {name: cluster-api, namespace: capi-system}
spec:
  version: v1.14.2
  fetchConfig: {selector: {matchLabels: {fetched-by: operator}}}
`

func (e *environment) installCore(t *testing.T, o operator) {
	t.Helper()
	e.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+coreNamespace+"}}")
	e.Apply(t, configMap(t, coreNamespace, coreVersion, map[string]string{
		"components": core, "metadata": strings.ReplaceAll(coreMetadata, "v1beta2", o.contract),
	}))
	e.Apply(t, coreProviderOfOperator)
	e.isReady(t, coreProviders, coreNamespace, "cluster-api")
}

// configMap is one with the label that the core provider selects, and with files.
func configMap(t *testing.T, namespace, name string, files map[string]string) string {
	t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": files,
		"metadata": map[string]any{"name": name, "namespace": namespace, "labels": map[string]any{"fetched-by": "operator"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// providerSpec is a provider with all that users can set. Two addresses are free ones,
// so that the allocator can run beside others.
type providerSpec struct {
	operator
	metrics, health string
}

func (s providerSpec) manifest(version string) string {
	diagnostics := ""
	if s.diagnostics {
		diagnostics = `, diagnosticsAddress: ":8443", insecureDiagnostics: true`
	}
	return fmt.Sprintf(`
apiVersion: operator.cluster.x-k8s.io/v1alpha2
kind: AddonProvider
metadata: {name: capi-vip-allocator, namespace: %[1]s}
spec:
  version: %[2]s
  additionalManifests: {name: additional, namespace: %[1]s}
  fetchConfig: {selector: {matchLabels: {provider: capi-vip-allocator}}}
  manager:
    additionalArgs: {--log-level: debug}
    cacheNamespace: default
    controller: {groupKindConcurrency: {Cluster: 3, IPAddressClaim.ipam.cluster.x-k8s.io: 2}}
    featureGates: {MachinePool: true, Other: false}
    health: {healthProbeBindAddress: %[3]q, livenessEndpointName: healthz, readinessEndpointName: readyz}
    leaderElection:
      leaderElect: true
      leaseDuration: 30s
      renewDeadline: 20s
      resourceLock: leases
      resourceName: mine
      resourceNamespace: %[1]s
      retryPeriod: 2s
    maxConcurrentReconciles: 5
    metrics: {bindAddress: %[4]q%[5]s}
    profilerAddress: localhost:6060
    syncPeriod: 10m
    verbosity: 4
    webhook: {host: localhost, port: 9443, certDir: /tmp/certs}
  deployment:
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: Exists}]}]
    containers:
    - name: manager
      args: {--default-port: "9345", --log-format: json}
      command: [/capi-vip-allocator]
      env: [{name: GOGC, value: "80"}]
      imageUrl: registry.example.com/mine:v1
      resources: {limits: {memory: 300Mi}}
    imagePullSecrets: [{name: registry}]
    nodeSelector: {disk: ssd}
    replicas: 3
    serviceAccountName: %[6]s
    tolerations: [{key: special, operator: Exists}]
`, allocator.Namespace, version, s.health, s.metrics, diagnostics, chart.ManagerName)
}

// args are what the operator makes of it, beside what the release has.
func (s providerSpec) args() []string {
	args := []string{
		"--leader-elect", "--metrics-bind-address=:8080", "--health-probe-bind-address=:8081", "--default-port=9345",
		"--log-level=debug", "--log-format=json", "--namespace=default",
		"--cluster-concurrency=3", "--ipaddressclaim.ipam.cluster.x-k8s.io-concurrency=2", "--max-concurrent-reconciles=5",
		"--feature-gates=MachinePool=true,Other=false", "--health-addr=" + s.health, "--metrics-bind-addr=" + s.metrics,
		"--leader-elect=true", "--leader-elect-lease-duration=30s", "--leader-elect-renew-deadline=20s", "--leader-elect-retry-period=2s",
		"--leader-election-id=" + allocator.Namespace + "/mine",
		"--profiler-address=localhost:6060", "--sync-period=600s", "--v=4",
		"--webhook-host=localhost", "--webhook-port=9443", "--webhook-cert-dir=/tmp/certs",
	}
	if s.diagnostics {
		args = append(args, "--diagnostics-address=:8443", "--insecure-diagnostics=true")
	}
	return args
}

// check compares the Deployment with the specification.
func (s providerSpec) check(t *testing.T, e *environment) {
	t.Helper()
	deployment := e.deployed(t)
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	got, want := slices.Sorted(slices.Values(container.Args)), slices.Sorted(slices.Values(s.args()))
	if !slices.Equal(got, want) {
		t.Errorf("the arguments are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	env := func(name string) bool {
		return slices.ContainsFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == name })
	}
	for what, holds := range map[string]bool{
		"replicas":         *deployment.Spec.Replicas == 3,
		"affinity":         pod.Affinity != nil && pod.Affinity.NodeAffinity != nil,
		"command":          slices.Equal(container.Command, []string{"/capi-vip-allocator"}),
		"env":              env("GOGC") && env("POD_NAMESPACE"),
		"image":            container.Image == "registry.example.com/mine:v1",
		"resources":        container.Resources.Limits.Memory().String() == "300Mi" && container.Resources.Limits.Cpu().IsZero(),
		"imagePullSecrets": len(pod.ImagePullSecrets) == 1 && pod.ImagePullSecrets[0].Name == "registry",
		"nodeSelector":     pod.NodeSelector["disk"] == "ssd",
		"serviceAccount":   pod.ServiceAccountName == chart.ManagerName,
		"tolerations":      len(pod.Tolerations) == 1 && pod.Tolerations[0].Key == "special",
		"probes":           container.LivenessProbe.HTTPGet.Path == "/healthz" && container.ReadinessProbe.HTTPGet.Path == "/readyz",
	} {
		if !holds {
			text, _ := json.Marshal(pod) // it has just been decoded
			t.Errorf("the operator's %s did not arrive: %s", what, text)
		}
	}
}
