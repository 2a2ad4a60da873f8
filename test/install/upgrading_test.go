package install

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// release071 is what version 0.7.1 leaves of itself on a management cluster, by the
// names and labels that it had.
const release071 = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: capi-vip-allocator-controller-manager, namespace: capi-system, labels: {cluster.x-k8s.io/provider: vip-allocator}}
spec:
  replicas: 1
  selector: {matchLabels: {control-plane: old}}
  template:
    metadata: {labels: {control-plane: old}}
    spec: {containers: [{name: manager, image: ghcr.io/gorizond/capi-vip-allocator:v0.7.1}]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: capi-vip-allocator-controller-manager, namespace: capi-system}
---
apiVersion: v1
kind: Service
metadata: {name: old, namespace: capi-system, labels: {cluster.x-k8s.io/provider: vip-allocator}}
spec: {ports: [{port: 443}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: old, namespace: capi-system, labels: {cluster.x-k8s.io/provider: vip-allocator}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: old, namespace: capi-system, labels: {cluster.x-k8s.io/provider: vip-allocator}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: old}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: old-manager-role, labels: {cluster.x-k8s.io/provider: vip-allocator}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: old-manager-rolebinding, labels: {cluster.x-k8s.io/provider: vip-allocator}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: old-manager-role}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: old, namespace: capi-system, labels: {cluster.x-k8s.io/provider: vip-allocator}}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: old, namespace: capi-system, labels: {cluster.x-k8s.io/provider: vip-allocator}}
---
apiVersion: runtime.cluster.x-k8s.io/v1beta2
kind: ExtensionConfig
metadata: {name: vip-allocator}
spec: {clientConfig: {service: {name: old, namespace: capi-system, port: 443}}}
`

var (
	commands    = regexp.MustCompile("(?s)\n *```sh\n(.*?\n) *```\n")
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
)

// What UPGRADING.md tells users to type brings them from 0.7.1 to this release, and
// leaves nothing of the old one.
func TestUpgrading(t *testing.T) {
	e := newEnvironment(t)
	e.useExamples(t)
	s := e.shell(t)
	typed := commands.FindAllStringSubmatch(document(t, "UPGRADING.md"), -1)
	if len(typed) != 4 {
		t.Fatalf("UPGRADING.md has %d blocks of commands", len(typed))
	}
	before := e.inventory(t)
	e.Apply(t, release071)

	s.types(t, typed[0][1])
	s.types(t, typed[1][1])
	old, err := e.Client.Resource(deployments).Namespace("capi-system").Get(t.Context(), chart.ManagerName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if spec, _ := old.Object["spec"].(map[string]any); spec["replicas"] != int64(0) {
		t.Errorf("the old controller runs: %v", spec)
	}

	s.types(t, block(t, "docs/install.md", "### YAML", "sh"))
	p := e.run(t)
	e.Apply(t, fmt.Sprintf(demoCluster, "upgraded"))
	vip := e.getsVIP(t, "upgraded")
	if out := s.types(t, typed[2][1]); !strings.Contains(out, vip) {
		t.Errorf("%s is not in\n%s", vip, out)
	}
	s.types(t, typed[3][1])
	if _, err := p.Stop(); err != nil {
		t.Error(err)
	}

	e.remove(t, clusters, "default", "upgraded")
	s.types(t, block(t, "docs/operations.md", "### By YAML", "sh"))
	e.leaves(t, before)
}

// shell is one with the tools and the release, on a management cluster that has what
// clusterctl wants to find.
func (e *environment) shell(t *testing.T) *shell {
	t.Helper()
	config := repository(t)
	e.prepareClusterctl(t, config)
	return &shell{environment: e, tools: e.tools(t), dir: t.TempDir(), repository: filepath.Dir(config)}
}
