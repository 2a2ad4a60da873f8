package management

import "fmt"

// BlankTemplates is the manifest of what the ClusterClasses of tests start from: a
// DemoClusterTemplate and a DemoControlPlaneTemplate of a namespace, both named
// "blank" and without any address.
func BlankTemplates(namespace string) string { return fmt.Sprintf(blankTemplates, namespace) }

const blankTemplates = `
apiVersion: infrastructure.cluster.x-k8s.io/v1beta2
kind: DemoClusterTemplate
metadata: {name: blank, namespace: %[1]s}
spec: {template: {spec: {controlPlaneEndpoint: {port: 6443}}}}
---
apiVersion: controlplane.cluster.x-k8s.io/v1beta2
kind: DemoControlPlaneTemplate
metadata: {name: blank, namespace: %[1]s}
spec: {template: {spec: {tlsSANs: [localhost]}}}
---
`
