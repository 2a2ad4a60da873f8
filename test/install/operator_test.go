package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

var (
	addonProviders = schema.GroupVersionResource{Group: "operator.cluster.x-k8s.io", Version: "v1alpha2", Resource: "addonproviders"}
	coreProviders  = addonProviders.GroupVersion().WithResource("coreproviders")
	leases         = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// operator is a release of the Cluster API operator.
type operator struct {
	module   string // its folder below test/components
	contract string // of Cluster API that it installs
	// It has fields for the address of diagnostics.
	diagnostics bool
}

// operators are that of Rancher 2.13 and a current one.
var operators = []operator{
	{module: "operator-v0.23", contract: "v1beta1"},
	{module: "operator-v0.29", contract: "v1beta2", diagnostics: true},
}

// The real Cluster API operator installs the provider from a ConfigMap, with everything
// set that users can set, and deletes it. The allocator runs with exactly the arguments
// that the operator gave it.
func TestOperator(t *testing.T) {
	e := newEnvironment(t)
	e.useExamples(t)
	s := e.shell(t)
	for _, name := range []string{components, "metadata.yaml"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), released(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range operators {
		t.Run(o.module, func(t *testing.T) {
			before := e.inventory(t)
			kinds := e.operatorKinds(t, o)
			stop := e.startOperator(t, o)
			e.installCore(t, o)
			ports, err := loopback.FreePorts(2)
			if err != nil {
				t.Fatal(err)
			}
			spec := providerSpec{operator: o, metrics: loopback.Address(ports[0]), health: loopback.Address(ports[1])}

			s.types(t, section(t, "**Without Internet**"))
			e.Apply(t, configMap(t, allocator.Namespace, "additional", map[string]string{"manifests": string(released(t, "propagation-rbac.yaml"))}))
			e.Apply(t, spec.manifest(appVersion(t)))
			e.isReady(t, addonProviders, allocator.Namespace, "capi-vip-allocator")
			e.hasComponents(t, components)
			e.hasComponents(t, "propagation-rbac.yaml")
			spec.check(t, e)
			e.runExactly(t, spec)

			e.remove(t, addonProviders, allocator.Namespace, "capi-vip-allocator")
			e.remove(t, coreProviders, coreNamespace, "cluster-api")
			stop()
			// Of the core provider; that of ours goes with its namespace.
			e.remove(t, schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, coreNamespace, "core-cluster-api-"+coreVersion+"-cache")
			e.removeClusterWide(t)
			for _, kind := range kinds {
				e.remove(t, customResources, "", kind)
			}
			e.remove(t, namespaces, "", allocator.Namespace)
			e.remove(t, schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, coreNamespace, coreVersion)
			e.leaves(t, before)
		})
	}
}

// removeClusterWide removes what neither clusterctl nor the operator removes of any provider.
func (e *environment) removeClusterWide(t *testing.T) {
	t.Helper()
	for _, resource := range []string{"clusterroles", "clusterrolebindings"} {
		resource := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: resource}
		ours := metav1.ListOptions{LabelSelector: "cluster.x-k8s.io/provider=addon-capi-vip-allocator"}
		if err := e.Client.Resource(resource).DeleteCollection(t.Context(), metav1.DeleteOptions{}, ours); err != nil {
			t.Fatal(err)
		}
	}
}

// isReady waits until the operator says that what it installed is available.
func (e *environment) isReady(t *testing.T, resource schema.GroupVersionResource, namespace, name string) {
	t.Helper()
	scene.Until(t, patience, name+" is ready", func() error {
		provider, err := e.Client.Resource(resource).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var status struct{ Conditions []metav1.Condition }
		if err := into(provider, "status", &status); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(status.Conditions, "Ready") {
			return fmt.Errorf("its conditions are %v", status.Conditions)
		}
		return nil
	})
}

// hasComponents checks that every object of a file of the release is there and belongs
// to the provider.
func (e *environment) hasComponents(t *testing.T, file string) {
	t.Helper()
	all := e.inventory(t)
	for _, want := range objectsOf(t, released(t, file)) {
		name := fmt.Sprintf("%s %s/%s", want.GetKind(), want.GetNamespace(), want.GetName())
		got := all[name]
		if got == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if want.GetKind() == "Namespace" {
			continue // the user's
		}
		if label := got.GetLabels()["cluster.x-k8s.io/provider"]; label != "addon-capi-vip-allocator" {
			t.Errorf("%s belongs to %q", name, label)
		}
		owned := slices.ContainsFunc(got.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.Kind == "AddonProvider" })
		if owned != (got.GetNamespace() != "") {
			t.Errorf("%s has the owners %v", name, got.GetOwnerReferences())
		}
	}
}

// runExactly runs the allocator with the container's arguments and environment, and
// nothing else but a kubeconfig.
func (e *environment) runExactly(t *testing.T, spec providerSpec) {
	t.Helper()
	user, err := e.Management.User("system:serviceaccount:"+allocator.Namespace+":"+chart.ManagerName,
		"system:serviceaccounts", "system:serviceaccounts:"+allocator.Namespace, "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := filepath.Abs(filepath.Join(releaseDir(t), "capi-vip-allocator-"+strings.ReplaceAll(platform(), "/", "-")))
	if err != nil {
		t.Fatal(err)
	}
	container := e.deployed(t).Spec.Template.Spec.Containers[0]
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"run"}, container.Args...)...)
	cmd.Env = append(environ(container.Env), "KUBECONFIG="+user)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt) // fails only if it is gone
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("it ended: %v\n%s", err, log.String())
		}
	}()
	scene.Until(t, patience, "the allocator is ready", func() error { return isOK("http://" + spec.health + "/readyz") })
	if err := isOK("http://" + spec.metrics + "/metrics"); err != nil {
		t.Error(err)
	}
	name := "by-" + strings.ReplaceAll(spec.module, ".", "-")
	e.Apply(t, fmt.Sprintf(demoCluster, name))
	e.getsVIP(t, name)
	lease, err := e.Client.Resource(leases).Namespace(allocator.Namespace).Get(t.Context(), "mine", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity"); holder == "" {
		t.Error("nobody holds the Lease mine")
	}
	e.remove(t, clusters, "default", name)
}

// environ is what a kubelet would make of a container's environment.
func environ(variables []corev1.EnvVar) []string {
	var env []string
	for _, v := range variables {
		if v.ValueFrom != nil && v.ValueFrom.FieldRef != nil && v.ValueFrom.FieldRef.FieldPath == "metadata.namespace" {
			v.Value = allocator.Namespace
		}
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}
