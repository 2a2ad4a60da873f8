package suite

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// findingFaults is how the page begins.
const findingFaults = `# Finding faults

The faults that new users make most, each found by one command. A test plants them on a management cluster, runs the command, runs the cure, and sees it help; this page is what it wrote. "…" stands for lines
that tell nothing here, and all ages are 5s. Every reason with its cure is in [troubleshooting](troubleshooting.md), every check of lint in [lint](lint.md).

| command | for |
|---|---|
| ` + "`kubectl describe cluster`" + ` | a Cluster that has no VIP: conditions, and events at the end |
| ` + "`kubectl vip explain`" + ` | the same, pool by pool, also if there is no condition or no controller: [cli](cli.md) |
| ` + "`kubectl vip doctor`" + ` | everything that is wrong on the management cluster, where you do not know which Cluster to ask about |
| ` + "`capi-vip-allocator lint`" + ` | pools and classes, before they are applied or out of the management cluster |
`

const (
	describeWeb = "kubectl describe cluster web -n team-a"
	explainWeb  = "kubectl vip explain web -n team-a"
	lintPools   = "kubectl get inclusterippools -n team-a -o yaml | capi-vip-allocator lint -"
)

func plantedFaults() []planted {
	return slices.Concat(faultsOfPools(), faultsOfKeys(), faultsOfClasses(), faultsOfOthers(), faultsOfFiles())
}

func faultsOfPools() []planted {
	return []planted{
		{
			heading: "A wrong label", wrong: "The pool's label `role` is misspelt.",
			plant: func(s *site) {
				s.vips(labelled(poolRole, "controlplane"))
				s.web(s.rke2(), "PoolInvalid")
			},
			command: describeWeb, trim: ofDescribe, says: []string{"InClusterIPPool team-a/vips", `"controlplane" is no role`},
			how:  "Correct the label; the Cluster is served at once.",
			cure: "kubectl label inclusterippool vips -n team-a vip.capi.gorizond.io/role=control-plane --overwrite", cured: allocated,
		},
		{
			heading: "Commas in a label", wrong: "The pool is to serve two classes. A label value cannot hold commas, so the API server refuses it; `lint` says what to write instead.",
			plant: func(s *site) {
				s.file("pools.yaml", commaPool)
				if output, err := s.shell("kubectl apply -f pools.yaml"); err == nil {
					s.t.Errorf("the API server takes the pool: %s", output)
				}
			},
			command: "capi-vip-allocator lint pools.yaml", trim: whole, says: []string{`"rke2,kubeadm" has commas`, `join the names by "_"`},
			how:   "Join the names by `_`.",
			cure:  "sed -i 's/rke2,kubeadm/rke2_kubeadm/' pools.yaml\nkubectl apply -f pools.yaml",
			cured: quiet("capi-vip-allocator lint pools.yaml", "has commas"),
		},
		{
			heading: "An exhausted pool", wrong: "The pool has one address, and somebody's printer has it.",
			plant: func(s *site) {
				s.vips(ranges(s.subnet + ".10")).take("printer")
				s.web(s.rke2(), "PoolExhausted")
			},
			command: explainWeb, trim: ofExplain, says: []string{"PoolExhausted", "0 of 1 free"},
			how:  "Extend the pool, or let another one serve the class. Whoever waits is woken, the oldest first.",
			cure: `kubectl patch inclusterippool vips -n team-a --type merge -p '{"spec":{"addresses":["10.10.0.10-10.10.0.19"]}}'`, cured: allocated,
		},
		{
			heading: "A paused pool", wrong: "Somebody paused the pool, perhaps `clusterctl move`. Its provider neither binds nor releases.",
			plant: func(s *site) {
				s.vips(annotated(pausedAnnotation, "true"))
				s.web(s.rke2(), "PoolPaused")
			},
			command: describeWeb, trim: ofDescribe, says: []string{"InClusterIPPool team-a/vips", "it carries the annotation cluster.x-k8s.io/paused"},
			how:  "Remove the pause.",
			cure: "kubectl annotate inclusterippool vips -n team-a cluster.x-k8s.io/paused-", cured: allocated,
		},
		{
			heading: "Pools that overlap", wrong: "Two pools share addresses. Each provider knows only its own pool and may give one address to two. No Cluster gets it twice, but one of them waits.",
			plant: func(s *site) {
				s.vips()
				s.vips(named("more-vips"), labelled(poolRole, "ingress"), ranges(s.subnet+".15-"+s.subnet+".29"))
			},
			command: lintPools, trim: whole, says: []string{"pool-overlap", "10.10.0.15-10.10.0.19"},
			how:   "Separate the ranges.",
			cure:  `kubectl patch inclusterippool more-vips -n team-a --type merge -p '{"spec":{"addresses":["10.10.0.20-10.10.0.29"]}}'`,
			cured: quiet(lintPools, "overlap"),
		},
		{
			heading: "No grace period", wrong: "A VIP that is given back can be somebody else's a moment later, while the machines of its Cluster still answer on it.",
			plant:   func(s *site) { s.vips(noGrace()) },
			command: lintPools, trim: whole, says: []string{"pool-grace", "addressReuseGracePeriodSeconds: 120"},
			how:   "Let released addresses rest.",
			cure:  `kubectl patch inclusterippool vips -n team-a --type merge -p '{"spec":{"addressReuseGracePeriodSeconds":120}}'`,
			cured: quiet(lintPools, "pool-grace"),
		},
	}
}

const commaPool = `apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: InClusterIPPool
metadata:
  name: vips
  namespace: team-a
  labels:
    vip.capi.gorizond.io/cluster-class: rke2,kubeadm
    vip.capi.gorizond.io/role: control-plane
spec:
  addresses: ["10.10.0.10-10.10.0.19"]
  prefix: 24
  addressReuseGracePeriodSeconds: 120
`

func faultsOfClasses() []planted {
	const lintClass = "kubectl get clusterclass rke2 -n team-a -o yaml | capi-vip-allocator lint -"
	return []planted{
		{
			heading: "A class without the variable", wrong: "The pool serves every class, `*`, but the class declares no variable for the VIP. A `*` pool is used only\nby Clusters whose class does, so this one is none of the allocator's business: it has no condition and no event.",
			plant: func(s *site) {
				s.vips(without(poolClass), annotated(poolClass, "*"))
				s.web(s.class(named(siteClass)), "")
				s.barrier()
			},
			command: explainWeb, trim: ofExplain, says: []string{"does not apply", "declares no variable clusterVip", "a * pool is used only by Clusters whose class declares the VIP variable"},
			how: "Declare the variable, and let a patch take it: [the ClusterClass](clusterclass.md).",
			cure: `kubectl patch clusterclass rke2 -n team-a --type json -p '[{"op":"add","path":"/spec/variables/-","value":
  {"name":"clusterVip","required":false,"schema":{"openAPIV3Schema":{"type":"string","minLength":1}}}}]'`, cured: allocated,
		},
		{
			heading: `A default ""`, wrong: "The class gives the variable a default. Cluster API then need not wait for the VIP and builds infrastructure without it.",
			plant: func(s *site) {
				empty := text
				empty.MinLength, empty.Default = nil, raw(`""`)
				s.class(named(siteClass), open(), declares("clusterVip", empty), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host"))
			},
			command: lintClass, trim: whole, says: []string{"class-gate", `has the default ""`},
			how: "Replace the default by `minLength: 1`. For a class that has Clusters already go by [the steps](gates.md#migrating-a-class-in-use).",
			cure: `kubectl patch clusterclass rke2 -n team-a --type json -p '[
  {"op":"remove","path":"/spec/variables/0/schema/openAPIV3Schema/default"},
  {"op":"add","path":"/spec/variables/0/schema/openAPIV3Schema/minLength","value":1}]'`,
			cured: quiet(lintClass, "class-gate"),
		},
	}
}

func faultsOfOthers() []planted {
	return []planted{
		{
			heading: "A foreign claim", wrong: "Somebody else's claim has the name that the Cluster's claim needs. It is never adopted.",
			plant: func(s *site) {
				s.vips(noGrace()).take("vip-cp-web")
				s.web(s.rke2(), "ClaimForeign")
			},
			command: describeWeb, trim: ofDescribe, says: []string{"claim vip-cp-web exists and is not owned by this Cluster"},
			how:  "Find out whose it is. If nobody's, delete it.",
			cure: "kubectl delete ipaddressclaim vip-cp-web -n team-a", cured: allocated,
		},
		{
			heading: "A lost claim", wrong: "The claim of a running Cluster was deleted, and its pool serves another class by now, so that the address cannot be taken back.",
			plant: func(s *site) {
				p := s.vips(noGrace())
				s.web(s.rke2(), "Allocated")
				p.change(labelled(poolClass, "kubeadm"))
				s.cluster.change(labelled(watchFilterLabel, "nobody")) // so that the way to it is not told
				s.cluster.loseClaim(controlPlane)
				s.cluster.change(labelled(watchFilterLabel, s.filter))
				s.toldOf("ClaimLost")
			},
			command: describeWeb, trim: ofDescribe, says: []string{"VIP 10.10.0.10 was published from claim vip-cp-web, which is gone"},
			how:  "Let the pool serve the class again. The same address is taken back, never another.",
			cure: "kubectl label inclusterippool vips -n team-a vip.capi.gorizond.io/cluster-class=rke2 --overwrite", cured: allocated,
		},
		{
			heading: "A missing CRD", wrong: "The controller's `--pool-kinds` names the pools of another provider, which is not installed. The controller does without them, so the Cluster says `NoPool`.",
			plant: func(s *site) {
				s.grantPoolKinds()
				s.startAllocator("--pool-kinds=" + acmePools.GroupResource().String())
				s.file("acme-ipam.yaml", acmePoolKind)
				s.web(s.rke2(), "NoPool")
			},
			command: "kubectl vip explain web -n team-a --watch-filter=team-a --pool-kinds=" + acmePools.GroupResource().String(),
			trim:    ofExplain, says: []string{"NoPool", "not visible: addresspools.acme.example (not installed)"},
			how:  "Install the provider. Its pools count as soon as their CRD is there; nothing is restarted. (Both flags are read from the controller's Deployment, unless it runs elsewhere, as in this test.)",
			cure: "kubectl apply -f acme-ipam.yaml",
			cured: func(s *site) {
				s.apply(fmt.Sprintf("{apiVersion: acme.example/v1, kind: AddressPool, metadata: {name: %s, namespace: %s, labels: {%q: control-plane, %q: %s}}}",
					sitePool, s.namespace, poolRole, poolClass, siteClass))
				s.cluster.claimed(controlPlane)
			},
		},
		{
			heading: "Missing RBAC", wrong: "The controller's ClusterRole lacks the right to patch Clusters.",
			plant: func(s *site) {
				s.vips()
				s.file("clusterrole.yaml", s.allocatorRights())
				s.startAllocatorAt(s.deprived())
				s.web(s.rke2(), "PatchRefused")
			},
			command: describeWeb, trim: ofDescribe, says: []string{"PatchRefused", `cannot patch resource "clusters"`},
			how:  "Install the ClusterRole of the chart again, by `helm upgrade` or by hand. The patch is tried again within 30 seconds.",
			cure: "kubectl apply -f clusterrole.yaml", cured: allocated,
		},
	}
}

// acmePools is a kind of pool that nobody installs but the cure of its fault.
var acmePools = schema.GroupVersionResource{Group: "acme.example", Version: "v1", Resource: "addresspools"}

const acmePoolKind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: addresspools.acme.example}
spec:
  group: acme.example
  scope: Namespaced
  names: {kind: AddressPool, listKind: AddressPoolList, plural: addresspools, singular: addresspool}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// deprivedRole is the ClusterRole of a site's own allocator.
func (s *site) deprivedRole() string { return s.namespace + "-allocator" }

// allocatorRights is the ClusterRole of the chart for the site's own allocator.
func (s *site) allocatorRights() string {
	s.t.Helper()
	role := fetch[unstructured.Unstructured](s.world, clusterRoles, "", chart.ManagerName)
	role.SetName(s.deprivedRole())
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "labels", "annotations"} {
		unstructured.RemoveNestedField(role.Object, "metadata", field)
	}
	text, err := role.MarshalJSON()
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

var clusterRoles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}

// deprived returns the kubeconfig of a ServiceAccount that has the rights of the chart but
// for the one to patch Clusters.
func (s *site) deprived() (kubeconfig string) {
	s.t.Helper()
	const all = `"resources":["clusters","clusters/status"],"verbs":["patch"]`
	rights := s.allocatorRights()
	less := strings.Replace(rights, all, strings.Replace(all, `"clusters",`, "", 1), 1)
	if less == rights {
		s.t.Fatalf("the right to patch Clusters is not in %s", rights)
	}
	s.apply(less)
	s.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}
subjects: [{kind: ServiceAccount, name: allocator, namespace: %[2]s}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s, namespace: %[3]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[4]s}
subjects: [{kind: ServiceAccount, name: allocator, namespace: %[2]s}]
`, s.deprivedRole(), s.namespace, allocator.Namespace, chart.ManagerName))
	path, err := s.management.User("system:serviceaccount:"+s.namespace+":allocator", "system:serviceaccounts", "system:authenticated")
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}
