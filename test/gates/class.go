package gates

import (
	"fmt"

	"github.com/gorizond/capi-vip-allocator/test/management"
)

// ClassName is the name of every ClusterClass here.
const ClassName = "demo"

// A Form is one way in which a ClusterClass reads its VIPs.
type Form struct {
	annotations string // in YAML
	// spec is the variables and patches.
	spec string
}

var (
	// ByVariable fails as long as the variable has no value.
	ByVariable = reading(`{type: string, minLength: 1}`, `{variable: %s}`, "", "")
	// ByGuard would render nonsense without a value, but for the guard.
	ByGuard = reading(`{type: string}`, `{template: "{{ .%s }}"}`,
		`{{ if .clusterVip }}true{{ else if eq (dig "cluster" "metadata" "annotations" "vip.capi.gorizond.io/control-plane-written" "" .builtin) "none" }}false{{ else }}{{ fail "waiting for the VIP" }}{{ end }}`,
		`{{$a := dig "cluster" "metadata" "annotations" dict .builtin}}{{if .ingressVip}}true{{else if and (ne (get $a "vip.capi.gorizond.io/ingress-enabled") "false") (ne (get $a "vip.capi.gorizond.io/ingress-written") "none")}}{{fail "no ingress VIP yet"}}{{end}}`)
	// Open lets infrastructure be built without: most classes are like this.
	Open = reading(`{type: string, default: ""}`, `{variable: %s}`, "", "")
	// Stranger asks for no VIP.
	Stranger = Form{}
	// ByObject keeps the endpoint in one variable, and waits while its host is missing.
	ByObject = Form{
		annotations: `vip.capi.gorizond.io/control-plane-variable: controlPlaneEndpoint.host`,
		spec: `
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
`,
	}
)

// reading brings both VIPs into the infrastructure and into the control plane: given
// the schema of both variables, where a patch takes the value of a variable from, and
// what guards the patches of either role, "" for nothing.
func reading(schema, source, controlPlaneGuard, ingressGuard string) Form {
	enabledIf := func(guard string) string {
		if guard == "" {
			return ""
		}
		return "\n    enabledIf: '" + guard + "'"
	}
	return Form{spec: fmt.Sprintf(`
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: %[1]s}}
  - {name: ingressVip, required: false, schema: {openAPIV3Schema: %[1]s}}
  patches:
  - name: control-plane%[2]s
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: %[4]s}
    - selector: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, matchResources: {controlPlane: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/tlsSANs/-, valueFrom: %[4]s}
      - {op: add, path: /spec/template/spec/registrationAddress, valueFrom: %[4]s}
  - name: ingress%[3]s
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/ingressVIP, valueFrom: %[5]s}
    - selector: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, matchResources: {controlPlane: true}}
      jsonPatches:
      - {op: add, path: /spec/template/spec/ingressAddress, valueFrom: %[5]s}
`, schema, enabledIf(controlPlaneGuard), enabledIf(ingressGuard), fmt.Sprintf(source, "clusterVip"), fmt.Sprintf(source, "ingressVip"))}
}

const classManifest = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: ` + ClassName + `, namespace: %s, annotations: {%s}}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}
`

// Class is the manifest of the ClusterClass of this form in the namespace, with its
// templates.
func Class(namespace string, f Form) []byte {
	return []byte(management.BlankTemplates(namespace) + fmt.Sprintf(classManifest, namespace, f.annotations) + f.spec)
}
