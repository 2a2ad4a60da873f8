package race

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// What an external patch does cannot be seen in the class, and that is what lint says;
// what it cannot do, since Cluster API keeps its variables from the patches of the class
// and theirs from it, lint says too.
func TestExternalPatches(t *testing.T) {
	w := newWorld(t, "")
	w.extension()
	const (
		inline = "\n  variables: [{name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}]"
		guard  = `
  - name: guard
    enabledIf: '{{ if not .clusterVip }}{{ fail "no VIP" }}{{ end }}'
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/note, value: guarded}]`
		unknown = "only external patch remote can take variable clusterVip, and it cannot be read from here: make sure that it fails without a value, or "
	)
	for name, test := range map[string]struct {
		handler, variables, patches string
		without, with               bool // what Cluster API builds
		lint                        string
	}{
		"it fails without the VIP":      {"strict", "", "", false, true, unknown + "turn on the hold gate or the hook gate"},
		"it does not":                   {"lax", "", "", true, true, unknown + "turn on the hold gate or the hook gate"},
		"it does not, declared inline":  {"lax", inline, "", true, true, unknown + "add a patch with an enabledIf that calls fail"},
		"beside such a patch":           {"lax", inline, guard, false, true, ""},
		"beside one that sees no value": {"lax", "", guard, false, false, "declared by an external patch only, and Cluster API shows it to no patch in the class"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			const templates = `
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}`
			w.apply(management.BlankTemplates(w.namespace) + fmt.Sprintf(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: demo, namespace: %s}
spec:%s%s
  patches:
  - {name: remote, external: {generatePatchesExtension: %s.external, discoverVariablesExtension: discover.external}}%s
`, w.namespace, templates, test.variables, test.handler, test.patches))
			if err := observe.AwaitClass(t.Context(), w.Client, w.namespace, "demo"); err != nil {
				t.Fatal(err)
			}
			if said := w.lintClass(); test.lint == "" && strings.Contains(said, "ClusterClass") || !strings.Contains(said, test.lint) {
				t.Errorf("lint says %q, want %q", said, test.lint)
			}
			w.apply(fmt.Sprintf(clusterManifest, "without", w.namespace) + "---" + strings.Replace(fmt.Sprintf(clusterManifest, "with", w.namespace),
				"replicas: 1}}", "replicas: 1}, variables: [{name: clusterVip, value: 192.0.2.9}]}", 1))
			for cluster, want := range map[string]bool{"without": test.without, "with": test.with} {
				if got := w.builds(cluster); got != want {
					t.Errorf("Cluster API builds the one %s the VIP: %t, want %t", cluster, got, want)
				}
			}
		})
	}
}

// extension serves external patches: discover declares clusterVip, strict fails without a
// value, and lax never fails.
func (w *world) extension() {
	w.t.Helper()
	const hooks = "/hooks.runtime.cluster.x-k8s.io/v1alpha1/"
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		answer := map[string]any{"apiVersion": "hooks.runtime.cluster.x-k8s.io/v1alpha1", "status": "Success"}
		switch call := strings.TrimPrefix(r.URL.Path, hooks); {
		case err != nil:
			answer["status"], answer["message"] = "Failure", err.Error()
		case strings.HasPrefix(call, "discovery"):
			answer["kind"] = "DiscoveryResponse"
			var handlers []any
			for name, hook := range map[string]string{"discover": "DiscoverVariables", "strict": "GeneratePatches", "lax": "GeneratePatches"} {
				handlers = append(handlers, map[string]any{"name": name, "requestHook": map[string]any{"apiVersion": answer["apiVersion"], "hook": hook}})
			}
			answer["handlers"] = handlers
		case strings.HasPrefix(call, "discovervariables"):
			answer["kind"] = "DiscoverVariablesResponse"
			answer["variables"] = []any{map[string]any{"name": "clusterVip", "required": false, "schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "string", "minLength": 1}}}}
		default:
			answer["kind"] = "GeneratePatchesResponse"
			if strings.HasSuffix(call, "strict") && !strings.Contains(string(body), "192.0.2.9") {
				answer["status"], answer["message"] = "Failure", "waiting for the VIP"
			}
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(answer)
	}))
	w.t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w.apply(fmt.Sprintf("{apiVersion: %s, kind: ExtensionConfig, metadata: {name: external}, spec: {clientConfig: {url: %q, caBundle: %s}}}",
		w.Management.RuntimeVersion(), server.URL, base64.StdEncoding.EncodeToString(ca)))
	configs := w.Client.Resource(gates.ExtensionConfigs)
	w.t.Cleanup(func() {
		_ = configs.Delete(context.Background(), "external", metav1.DeleteOptions{}) // the test's own context has ended
	})
	w.eventually("Cluster API has discovered the extension", func() error {
		config, err := configs.Get(w.t.Context(), "external", metav1.GetOptions{})
		if err == nil && observe.Condition(config, "Discovered")["status"] != "True" {
			err = fmt.Errorf("%v", observe.Condition(config, "Discovered"))
		}
		return err
	})
}

// lintClass returns what lint says of the class as the API server has it.
func (w *world) lintClass() string {
	w.t.Helper()
	class, err := w.Client.Resource(observe.ClusterClasses).Namespace(w.namespace).Get(w.t.Context(), "demo", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := yaml.Marshal(class.Object)
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "class.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	binary, err := allocator.Build(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	output, err := exec.CommandContext(w.t.Context(), binary, "lint", file).CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) { // it fails where it finds an error
		w.t.Fatal(err)
	}
	findings, _, _ := strings.Cut(string(output), "ClusterClasses: ")
	return findings
}

// builds waits until Cluster API has judged the Cluster: it has infrastructure then, or its
// topology fails.
func (w *world) builds(cluster string) (built bool) {
	w.t.Helper()
	w.eventually("Cluster API judges Cluster "+cluster, func() error {
		object, err := w.Client.Resource(observe.Clusters).Namespace(w.namespace).Get(w.t.Context(), cluster, metav1.GetOptions{})
		if err != nil {
			return err
		}
		name, _, err := unstructured.NestedString(object.Object, "spec", "infrastructureRef", "name")
		if built = name != ""; err == nil && !built && observe.Condition(object, "TopologyReconciled")["reason"] != "ReconcileFailed" {
			err = errors.New("not yet")
		}
		return err
	})
	return built
}
