package suite

import "strings"

// What a new user gets wrong most: keys of pools that are nearly right. Each names the pool
// that was meant, since nothing else could.
func faultsOfKeys() []planted {
	annotate := func(keys string) string { return "kubectl annotate inclusterippool vips -n team-a --overwrite " + keys }
	return []planted{
		{
			heading: "A class in capitals", wrong: "The pool names class `RKE2`. Names in Kubernetes are in lower case.",
			plant: func(s *site) {
				s.vips(labelled(poolClass, "RKE2"))
				s.web(s.rke2(), "PoolInvalid")
			},
			command: explainWeb, trim: ofExplain, says: []string{`"RKE2": class names are lower case; did you mean rke2?`},
			how:  "Write it in lower case.",
			cure: "kubectl label inclusterippool vips -n team-a --overwrite vip.capi.gorizond.io/cluster-class=rke2", cured: allocated,
		},
		{
			heading: "A key that is misspelt", wrong: "The annotation is called `roles`.",
			plant: func(s *site) {
				s.vips(without(poolRole), annotated(poolPrefix+"roles", "control-plane"))
				s.web(s.rke2(), "PoolInvalid")
			},
			command: describeWeb, trim: ofDescribe, says: []string{"role: the key is missing; found vip.capi.gorizond.io/roles, did you mean vip.capi.gorizond.io/role?"},
			how:  "Call it `role`.",
			cure: annotate("vip.capi.gorizond.io/role=control-plane"), cured: allocated,
		},
		{
			heading: "A class that is misspelt", wrong: "The pool names class `rke22`, which does not exist.",
			plant: func(s *site) {
				s.vips(labelled(poolClass, "rke22"))
				s.web(s.rke2(), "NoPool")
			},
			command: explainWeb, trim: ofExplain, says: []string{"closest     InClusterIPPool team-a/vips, which names class rke22, not rke2"},
			how:  "Name the class as it is called.",
			cure: annotate("vip.capi.gorizond.io/cluster-class=rke2"), cured: allocated,
		},
		{
			heading: "A pool for the other role only", wrong: "The pool serves `ingress`, and the Cluster needs a VIP for its control plane.",
			plant: func(s *site) {
				s.vips(labelled(poolRole, "ingress"))
				s.web(s.rke2(), "NoPool")
			},
			command: explainWeb, trim: ofExplain, says: []string{"which serves role ingress only"},
			how:  "Let it serve both, or add a pool.",
			cure: annotate("vip.capi.gorizond.io/role=control-plane,ingress"), cured: allocated,
		},
		{
			heading: "A pool in another namespace", wrong: "The pool stands in the namespace of the people who own the addresses. A namespaced pool serves Clusters of its own namespace only.",
			plant: func(s *site) {
				s.apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + s.namespace + "-net}}")
				pool := strings.Replace(poolOfTeam, "rke2", "rke2-"+s.namespace, 1) // or others' pools are as near
				s.apply(s.real.Replace(strings.Replace(pool, "namespace: team-a", "namespace: team-a-net", 1)))
				k := s.class(named("rke2-"+s.namespace), open(), declares("clusterVip", text), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host"))
				s.web(k, "NoPool")
				s.file("pool.yaml", pool)
			},
			command: explainWeb, trim: ofExplain, says: []string{"closest     InClusterIPPool team-a-net/vips, which is in another namespace"},
			how:  "Make it where the Clusters are, or make it a `GlobalInClusterIPPool`.",
			cure: "kubectl delete inclusterippool vips -n team-a-net\nkubectl apply -f pool.yaml", cured: allocated,
		},
		{
			heading: "A filter that names no pool", wrong: "The Cluster asks for pool `vip`.",
			plant: func(s *site) {
				s.vips()
				s.web(s.rke2(), "PoolFiltered", annotated(controlPlane.poolFilter(), "vip"))
			},
			command: describeWeb, trim: ofDescribe, says: []string{`asks for "vip"`, "kubectl annotate cluster web -n team-a vip.capi.gorizond.io/control-plane-pool-"},
			how:  "Correct the annotation, or remove it.",
			cure: "kubectl annotate cluster web -n team-a vip.capi.gorizond.io/control-plane-pool-", cured: allocated,
		},
		{
			heading: "A variable that takes other addresses", wrong: "The class takes IPv6 addresses, and the pool has IPv4 ones.",
			plant: func(s *site) {
				six := text
				six.Format = "ipv6"
				s.vips()
				s.web(s.class(named(siteClass), open(), declares("clusterVip", six), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host")), "VariableRefused")
			},
			command: explainWeb, trim: ofExplain, says: []string{"its format is ipv6"},
			how:  "Correct the format, or add a pool of that family.",
			cure: `kubectl patch clusterclass rke2 -n team-a --type json -p '[{"op":"remove","path":"/spec/variables/0/schema/openAPIV3Schema/format"}]'`, cured: allocated,
		},
	}
}

// poolOfTeam is the pool where it belongs.
const poolOfTeam = `apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: InClusterIPPool
metadata:
  name: vips
  namespace: team-a
  labels:
    vip.capi.gorizond.io/cluster-class: rke2
    vip.capi.gorizond.io/role: control-plane
spec:
  addresses: ["10.10.0.10-10.10.0.19"]
  prefix: 24
  addressReuseGracePeriodSeconds: 120
`

// poolPrefix begins the keys of pools.
const poolPrefix = "vip.capi.gorizond.io/"

// linted is a fault in a file, which lint finds before the file is applied.
func linted(heading, wrong, manifest string, says []string, how, cure, gone string) planted {
	const command = "capi-vip-allocator lint vips.yaml"
	return planted{
		heading: heading, wrong: wrong, how: how, command: command, trim: whole, says: says, cure: cure, cured: quiet(command, gone),
		plant: func(s *site) { s.file("vips.yaml", manifest) },
	}
}

// vipsWith is the pool of the page with other lines in its spec.
func vipsWith(spec string) string {
	return `apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: InClusterIPPool
metadata:
  name: vips
  namespace: team-a
  labels:
    vip.capi.gorizond.io/cluster-class: rke2
    vip.capi.gorizond.io/role: control-plane
spec:
  addressReuseGracePeriodSeconds: 120
` + spec
}

func faultsOfFiles() []planted {
	return []planted{
		linted("Both roles in one word", "The pool's role is `both`.",
			`apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata:
  name: vips
  labels:
    vip.capi.gorizond.io/cluster-class: rke2
    vip.capi.gorizond.io/role: both
spec: {addresses: ["10.10.0.10-10.10.0.19"], prefix: 24, addressReuseGracePeriodSeconds: 120}
`, []string{"to serve both write control-plane_ingress in a label"}, "Name the two.", "sed -i 's/role: both/role: control-plane_ingress/' vips.yaml", "no role"),
		linted("No prefix", "The pool states no prefix, which the API server requires.", vipsWith("  addresses: [10.10.0.10-10.10.0.19]\n"),
			[]string{"spec.prefix is missing"}, "State it.", "echo '  prefix: 24' >> vips.yaml", "prefix"),
		linted("Two networks in one pool", "One prefix is for one network, and the addresses are in two.", vipsWith("  prefix: 24\n  addresses: [10.10.0.10-10.10.0.19, 192.0.2.10]\n"),
			[]string{"192.0.2.10 is outside of 10.10.0.0/24"}, "Make a pool for each network.", "sed -i 's/, 192.0.2.10//' vips.yaml", "outside"),
		linted("Two families in one pool", "The pool has addresses of IPv4 and of IPv6.", vipsWith("  prefix: 24\n  addresses: [10.10.0.10-10.10.0.19, \"fd00::10\"]\n"),
			[]string{"mixes IPv4 and IPv6"}, "Make a pool of each.", `sed -i 's/, "fd00::10"//' vips.yaml`, "mixes"),
		linted("Addresses that are none", "The pool was copied from an example with link-local addresses.", vipsWith("  prefix: 24\n  addresses: [169.254.10.10-169.254.10.19]\n"),
			[]string{"none of its addresses can be a VIP"}, "Use addresses of the machines' network.", "sed -i 's/169.254.10/10.10.0/g' vips.yaml", "none of its addresses"),
		linted("A field that does not exist", "The pool excludes addresses by `exclude`.", vipsWith("  prefix: 24\n  addresses: [10.10.0.0/24]\n  exclude: [10.10.0.1-10.10.0.99]\n"),
			[]string{"spec.exclude is no field", "did you mean excludedAddresses?"}, "Call it by its name.", "sed -i 's/exclude:/excludedAddresses:/' vips.yaml", "no field"),
		linted("A version that does not exist", "The pool's version is that of Cluster API.",
			`apiVersion: ipam.cluster.x-k8s.io/v1beta1
kind: GlobalInClusterIPPool
metadata: {name: vips, labels: {vip.capi.gorizond.io/cluster-class: rke2, vip.capi.gorizond.io/role: ingress}}
spec: {addresses: ["10.10.0.10-10.10.0.19"], prefix: 24, addressReuseGracePeriodSeconds: 120}
`, []string{`no version "v1beta1" of this kind`}, "Write the provider's own.", "sed -i 's/v1beta1/v1alpha2/' vips.yaml", "no version"),
		linted("The machines' own addresses", "The pool shares addresses with those that Cluster API's provider for Proxmox gives to machines.",
			vipsWith("  prefix: 24\n  addresses: [10.10.0.10-10.10.0.19]\n")+`---
apiVersion: infrastructure.cluster.x-k8s.io/v1alpha1
kind: ProxmoxClusterTemplate
metadata: {name: rke2}
spec: {template: {spec: {ipv4Config: {addresses: [10.10.0.19-10.10.0.99], prefix: 24, gateway: 10.10.0.1}}}}
`, []string{"10.10.0.19 is also in ProxmoxClusterTemplate rke2"}, "Separate the ranges.", "sed -i 's/10.10.0.19-/10.10.0.20-/' vips.yaml", "node-range"),
		linted("A class that does not say required", "In `v1beta2` each variable must say whether it is required.",
			`apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: rke2}
spec:
  variables:
  - name: clusterVip
    schema: {openAPIV3Schema: {type: string, minLength: 1}}
`, []string{"spec.variables[0].required of variable clusterVip is missing"}, "Say so.", "sed -i 's/- name: clusterVip/&\\n    required: false/' vips.yaml", ".required"),
		linted("A class that is named as before", "The Cluster is of `v1beta2` and names its class as `v1beta1` did.",
			`apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: web}
spec: {topology: {class: rke2, version: v1.36.3}}
`, []string{"there it is spec.topology.classRef.name"}, "Name it as `v1beta2` does.", "sed -i 's/class: rke2/classRef: {name: rke2}/' vips.yaml", "spec.topology.class is"),
		linted("One address for two", "Two Clusters state the same endpoint.",
			`apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: web}
spec: {controlPlaneEndpoint: {host: 10.10.0.200}, topology: {classRef: {name: rke2}, version: v1.36.3}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: shop}
spec: {controlPlaneEndpoint: {host: 10.10.0.200}, topology: {classRef: {name: rke2}, version: v1.36.3}}
`, []string{"address-twice"}, "Choose another for one of them, or leave it to the allocator.", "sed -i '0,/10.10.0.200/s//10.10.0.201/' vips.yaml", "address-twice"),
		linted("An address out of the pool", "The endpoint was typed, and a pool could hand it to somebody else.",
			vipsWith("  prefix: 24\n  addresses: [10.10.0.10-10.10.0.19]\n")+`---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: web}
spec: {controlPlaneEndpoint: {host: 10.10.0.15}, topology: {classRef: {name: rke2}, version: v1.36.3}}
`, []string{"manual-in-range", "10.10.0.15 was chosen by hand"}, "Type one that no pool has.", "sed -i 's/host: 10.10.0.15/host: 10.10.0.9/' vips.yaml", "manual-in-range"),
		linted("Fewer addresses than Clusters", "Two Clusters are to come out of a pool with one address. The planner says so before anything is applied.",
			vipsWith("  prefix: 24\n  addresses: [10.10.0.10]\n")+gatedClass+`---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: web, namespace: team-a}
spec: {topology: {classRef: {name: rke2}, version: v1.36.3}}
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: shop, namespace: team-a}
spec: {topology: {classRef: {name: rke2}, version: v1.36.3}}
`, []string{"warning [plan] Cluster team-a/shop", "has 1 free addresses", "plan: Cluster team-a/web: control-plane from InClusterIPPool team-a/vips"}, "Extend the pool.", "sed -i 's/\\[10.10.0.10\\]/[10.10.0.10-10.10.0.19]/' vips.yaml", "[plan]"),
	}
}

// gatedClass waits for its VIP.
const gatedClass = `---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: rke2, namespace: team-a}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: t}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: t}}
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  patches:
  - name: endpoint
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}]
`
