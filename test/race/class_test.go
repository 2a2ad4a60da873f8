package race

import (
	"fmt"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// A form is one way in which a ClusterClass reads its VIPs. Every one of them
// brings both VIPs into the infrastructure and into the control plane.
type form struct {
	// variable is the schema of clusterVip and of ingressVip.
	variable string
	// enabledIf guards each patch, with the variable's name in it; empty for none.
	guards map[string]string
	// source is where a patch takes a value from, with the variable's name in it.
	source string
}

var (
	// byVariable fails as long as the variable has no value.
	byVariable = form{
		variable: `{type: string, minLength: 1}`,
		source:   `{variable: %s}`,
	}
	// byGuard would render nonsense without a value, but for the guard.
	byGuard = form{
		variable: `{type: string}`,
		source:   `{template: "{{ .%s }}"}`,
		guards: map[string]string{
			"clusterVip": `{{ if .clusterVip }}true{{ else if eq (dig "cluster" "metadata" "annotations" "vip.capi.gorizond.io/control-plane-written" "" .builtin) "none" }}false{{ else }}{{ fail "waiting for the VIP" }}{{ end }}`,
			"ingressVip": `{{$a := dig "cluster" "metadata" "annotations" dict .builtin}}{{if .ingressVip}}true{{else if and (ne (get $a "vip.capi.gorizond.io/ingress-enabled") "false") (ne (get $a "vip.capi.gorizond.io/ingress-written") "none")}}{{fail "no ingress VIP yet"}}{{end}}`,
		},
	}
	// open lets infrastructure be built without: most classes are like this.
	open = form{
		variable: `{type: string, default: ""}`,
		source:   `{variable: %s}`,
	}
)

const classManifest = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DemoClusterTemplate
metadata: {name: race, namespace: %[1]s}
spec: {template: {spec: {controlPlaneEndpoint: {port: 6443}}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: DemoControlPlaneTemplate
metadata: {name: race, namespace: %[1]s}
spec: {template: {spec: {tlsSANs: [localhost]}}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: race, namespace: %[1]s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: race}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: race}}
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: %[2]s}}
  - {name: ingressVip, required: false, schema: {openAPIV3Schema: %[2]s}}
  patches:
  - name: control-plane%[3]s
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: %[5]s}
    - selector: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, matchResources: {controlPlane: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/tlsSANs/-, valueFrom: %[5]s}
      - {op: add, path: /spec/template/spec/registrationAddress, valueFrom: %[5]s}
  - name: ingress%[4]s
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/ingressVIP, valueFrom: %[6]s}
    - selector: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, matchResources: {controlPlane: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/ingressAddress, valueFrom: %[6]s}
`

// class makes the ClusterClass "race" of this form in the world's namespace.
func (w *world) class(f form) {
	w.t.Helper()
	guard := func(variable string) string {
		if f.guards[variable] == "" {
			return ""
		}
		return "\n    enabledIf: '" + f.guards[variable] + "'"
	}
	w.apply(fmt.Sprintf(classManifest, w.namespace, f.variable, guard("clusterVip"), guard("ingressVip"),
		fmt.Sprintf(f.source, "clusterVip"), fmt.Sprintf(f.source, "ingressVip")))
	if err := observe.AwaitClass(w.t.Context(), w.client, w.namespace, "race"); err != nil {
		w.t.Fatal(err)
	}
}
