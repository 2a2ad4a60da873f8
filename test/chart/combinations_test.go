package chart_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
)

// feature is something that values switch, with the objects that come with it.
type feature struct {
	values  values
	objects []string // kind/name
}

const manager = chart.ManagerName

var always = []string{
	"Deployment/" + manager, "ServiceAccount/" + manager, "Service/" + manager + "-metrics",
	"ClusterRole/" + manager, "ClusterRoleBinding/" + manager, "Role/" + manager, "RoleBinding/" + manager,
}

const (
	hold   = "capi-vip-allocator-hold"
	hook   = "capi-vip-allocator-runtime-extension"
	carry  = "capi-vip-allocator-propagation"
	writer = "capi-vip-allocator-writer"
)

var features = map[string]feature{
	"hold gate": {
		values{"holdGate": values{"enabled": true}},
		[]string{"MutatingAdmissionPolicy/" + hold, "MutatingAdmissionPolicyBinding/" + hold, "ConfigMap/" + hold},
	},
	"hook gate": {
		values{"runtimeExtension": values{"enabled": true}},
		[]string{"Service/" + hook, "Role/" + hook, "RoleBinding/" + hook, "ExtensionConfig/vip-allocator"},
	},
	"propagation": {
		values{"propagation": values{"enabled": true}},
		[]string{"ClusterRole/" + carry, "ClusterRoleBinding/" + carry},
	},
	"reservers": {
		values{"rbac": values{"reservers": true}},
		[]string{"ClusterRole/capi-vip-allocator-reserver", "ClusterRole/capi-vip-allocator-viewer"},
	},
	"secure metrics": {
		values{"metrics": values{"secure": values{"enabled": true}}},
		[]string{"ClusterRole/capi-vip-allocator-metrics-reader"},
	},
	"monitoring": {
		values{"metrics": values{"serviceMonitor": values{"enabled": true}, "prometheusRule": values{"enabled": true}, "dashboard": values{"enabled": true}}},
		[]string{"ServiceMonitor/" + manager, "PrometheusRule/" + manager, "ConfigMap/capi-vip-allocator-dashboard"},
	},
	"rights for people": {
		values{"rbac": values{"aggregate": true}},
		[]string{"ClusterRole/capi-vip-allocator-view", "ClusterRole/capi-vip-allocator-edit"},
	},
	"disruption budget": {nil, []string{"PodDisruptionBudget/" + manager}},
	"network policy": {
		values{"networkPolicy": values{"enabled": true, "metricsFrom": []any{values{"podSelector": values{"matchLabels": values{"app": "prometheus"}}}},
			"hookFrom": []any{values{"namespaceSelector": values{"matchLabels": values{"kubernetes.io/metadata.name": "capi-system"}}}}}},
		[]string{"NetworkPolicy/" + manager},
	},
	"one namespace": {
		values{"watchNamespace": "team", "rbac": values{"scope": "namespace"}},
		[]string{"Role/" + writer, "RoleBinding/" + writer},
	},
}

// Each feature brings its own objects and no others, whatever else is on.
func TestEveryCombination(t *testing.T) {
	names := slices.Sorted(maps.Keys(features))
	for chosen := range 1 << len(names) {
		given := values{"podDisruptionBudget": values{"enabled": false}}
		want := slices.Clone(always)
		var on []string
		for i, name := range names {
			if chosen&(1<<i) == 0 {
				continue
			}
			on = append(on, name)
			if name == "disruption budget" {
				delete(given, "podDisruptionBudget")
			}
			given = united(given, features[name].values)
			want = append(want, features[name].objects...)
		}
		c, err := chart.Render(t.Context(), given)
		if err != nil {
			t.Fatalf("with %q: %v", on, err)
		}
		objects := objectsOf(t, c.Manifests)
		var got []string
		for _, o := range objects {
			got = append(got, o.GetKind()+"/"+o.GetName())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("with %q there are\n%q, want\n%q", on, got, want)
		}
		checkObjects(t, objects)
	}
}

// united are all values of both.
func united(a, b values) values {
	all := maps.Clone(a)
	for key, value := range b {
		below, isMap := value.(values)
		if old, both := all[key].(values); both && isMap {
			value = united(old, below)
		}
		all[key] = value
	}
	return all
}

// clusterWide are the kinds without a namespace.
var clusterWide = []string{"ClusterRole", "ClusterRoleBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "ExtensionConfig"}

// checkObjects checks what holds for every object of the chart.
func checkObjects(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, o := range objects {
		name := o.GetKind() + " " + o.GetName()
		if o.GetLabels()["cluster.x-k8s.io/provider"] != "addon-capi-vip-allocator" {
			t.Errorf("%s has labels %v", name, o.GetLabels())
		}
		namespace := allocator.Namespace
		switch {
		case slices.Contains(clusterWide, o.GetKind()):
			namespace = ""
		case o.GetName() == writer:
			namespace = "team"
		}
		if o.GetNamespace() != namespace {
			t.Errorf("%s is in namespace %q", name, o.GetNamespace())
		}
		if strings.HasSuffix(o.GetKind(), "RoleBinding") {
			checkBinding(t, objects, o)
		}
	}
}

// checkBinding checks that the binding gives a role of the chart to its ServiceAccount.
func checkBinding(t *testing.T, objects []*unstructured.Unstructured, o *unstructured.Unstructured) {
	t.Helper()
	var binding rbacv1.RoleBinding
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &binding); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(objects, func(role *unstructured.Unstructured) bool {
		return role.GetKind() == binding.RoleRef.Kind && role.GetName() == binding.RoleRef.Name && role.GetNamespace() == o.GetNamespace()
	}) {
		t.Errorf("%s binds %v, which is not there", o.GetName(), binding.RoleRef)
	}
	want := rbacv1.Subject{Kind: "ServiceAccount", Name: manager, Namespace: allocator.Namespace}
	if len(binding.Subjects) != 1 || binding.Subjects[0] != want {
		t.Errorf("%s is for %v", o.GetName(), binding.Subjects)
	}
}

func objectsOf(t *testing.T, manifests []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for part := range strings.SplitSeq("\n"+string(manifests), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(part), &o.Object); err != nil {
			t.Fatalf("%v in %s", err, part)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
	return objects
}

// With rbac.scope namespace nothing can be written elsewhere, events apart.
func TestScope(t *testing.T) {
	writes := []string{"create", "update", "patch", "delete", "deletecollection", "*"}
	for scope, want := range map[string][]string{
		"cluster":   {"clusters", "clusters/status", "events", "ipaddressclaims", "ipaddresses"},
		"namespace": {"events"},
	} {
		c, err := chart.Render(t.Context(), values{"watchNamespace": "team", "rbac": values{"scope": scope}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range objectsOf(t, c.Manifests) {
			if o.GetKind() != "ClusterRole" {
				continue
			}
			var role rbacv1.ClusterRole
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				if slices.ContainsFunc(rule.Verbs, func(verb string) bool { return slices.Contains(writes, verb) }) {
					got = append(got, rule.Resources...)
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("with scope %s these can be written everywhere: %q, want %q", scope, got, want)
		}
	}
}

// What users say about the pod reaches it, and no node can refuse it for its rights.
func TestPod(t *testing.T) {
	c, err := chart.Render(t.Context(), values{
		"global":            values{"cattle": values{"systemDefaultRegistry": "registry.example.com", "clusterId": "local"}},
		"image":             values{"tag": "v9"},
		"imagePullSecrets":  []any{values{"name": "pull"}},
		"replicas":          3,
		"priorityClassName": "system-cluster-critical",
		"nodeSelector":      values{"pool": "infra"},
		"tolerations":       []any{values{"operator": "Exists"}},
		"affinity":          values{"podAntiAffinity": values{"preferredDuringSchedulingIgnoredDuringExecution": []any{}}},
		"extraArgs":         []any{"--leader-elect-lease-duration=60s"},
		"extraEnv":          []any{values{"name": "GODEBUG", "value": "http2client=0"}},
		"resources":         values{"limits": values{"memory": "1Gi"}},
		"podAnnotations":    values{"a": "b"},
		"podLabels":         values{"c": "d"},
		"poolKinds":         []any{"ippools.ipam.metal3.io"},
		"logFormat":         "json",
		"topologySpreadConstraints": []any{
			values{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	deployment := deploymentOf(t, c)
	pod := deployment.Spec.Template
	container := pod.Spec.Containers[0]
	for what, got := range map[string]any{
		"replicas 3": *deployment.Spec.Replicas,
		"image registry.example.com/gorizond/capi-vip-allocator:v9": container.Image,
		"pull [{pull}]":                    pod.Spec.ImagePullSecrets,
		"priority system-cluster-critical": pod.Spec.PriorityClassName,
		// Maps are united with the defaults, lists are not.
		"nodes map[kubernetes.io/os:linux pool:infra]": pod.Spec.NodeSelector,
		"tolerations 1":          len(pod.Spec.Tolerations),
		"affinity true":          pod.Spec.Affinity.PodAntiAffinity != nil,
		"environment GODEBUG":    container.Env[len(container.Env)-1].Name,
		"memory 1Gi":             container.Resources.Limits.Memory().String(),
		"annotation b":           pod.Annotations["a"],
		"label d":                pod.Labels["c"],
		"spread zone":            pod.Spec.TopologySpreadConstraints[0].TopologyKey,
		"name manager":           container.Name,
		"account " + manager:     pod.Spec.ServiceAccountName,
		"read-only true":         *container.SecurityContext.ReadOnlyRootFilesystem,
		"nonroot true":           *pod.Spec.SecurityContext.RunAsNonRoot,
		"user 65532":             *pod.Spec.SecurityContext.RunAsUser,
		"seccomp RuntimeDefault": pod.Spec.SecurityContext.SeccompProfile.Type,
	} {
		_, want, _ := strings.Cut(what, " ")
		if fmt.Sprint(got) != want {
			t.Errorf("%s: it is %v", what, got)
		}
	}
	for _, arg := range []string{"--leader-elect", "--leader-elect-lease-duration=60s", "--pool-kinds=ippools.ipam.metal3.io", "--log-format=json"} {
		if !slices.Contains(container.Args, arg) {
			t.Errorf("%s is not among %q", arg, container.Args)
		}
	}
}

// Without a word from users there are two replicas on Linux, on control planes too.
func TestPodByDefault(t *testing.T) {
	c, err := chart.Render(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	deployment := deploymentOf(t, c)
	pod := deployment.Spec.Template.Spec
	if *deployment.Spec.Replicas != 2 || len(pod.TopologySpreadConstraints) != 1 || !slices.Contains(pod.Containers[0].Args, "--leader-elect") {
		t.Errorf("it is not made for failing nodes: %+v", deployment.Spec)
	}
	var taints []string
	for _, toleration := range pod.Tolerations {
		taints = append(taints, toleration.Key)
	}
	if want := []string{"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/etcd"}; !slices.Equal(taints, want) {
		t.Errorf("it tolerates %q, want %q", taints, want)
	}
	if !strings.HasPrefix(pod.Containers[0].Image, "ghcr.io/gorizond/capi-vip-allocator:v") {
		t.Errorf("the image is %s", pod.Containers[0].Image)
	}
}

func deploymentOf(t *testing.T, c *chart.Chart) *appsv1.Deployment {
	t.Helper()
	for _, o := range objectsOf(t, c.Manifests) {
		if o.GetKind() != "Deployment" {
			continue
		}
		deployment := &appsv1.Deployment{}
		// Strict: a field in the wrong place would be dropped without a word.
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, deployment, true); err != nil {
			t.Fatal(err)
		}
		return deployment
	}
	t.Fatal("there is no Deployment")
	return nil
}
