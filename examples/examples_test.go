// Package examples checks the ClusterClasses in examples/classes: that they hold together,
// that they wait for both VIPs, and that the VIPs arrive where they are needed.
package examples

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	controlPlaneVIP = "203.0.113.10"
	ingressVIP      = "203.0.113.20"
)

// both are the variables of a Cluster whose VIPs are known.
func both() map[string]any {
	return map[string]any{"clusterVip": controlPlaneVIP, "ingressVip": ingressVIP}
}

func TestAllProvidersAppear(t *testing.T) {
	var infrastructures, controlPlanes []string
	each(t, func(_ *testing.T, b *bundle) {
		infrastructure, controlPlane, _ := strings.Cut(b.name, "-")
		infrastructures, controlPlanes = append(infrastructures, infrastructure), append(controlPlanes, controlPlane)
	})
	for _, want := range []string{"docker", "harvester", "metal3", "proxmox", "vsphere"} {
		if !slices.Contains(infrastructures, want) {
			t.Errorf("no class for %s", want)
		}
	}
	for _, want := range []string{"k3s", "kubeadm", "rke2"} {
		if !slices.Contains(controlPlanes, want) {
			t.Errorf("no class for %s", want)
		}
	}
}

func TestTheClassAndItsTemplatesBelongTogether(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		if b.class.Name != b.name {
			t.Errorf("the class is named %s", b.class.Name)
		}
		used := map[clusterv1.ClusterClassTemplateReference]bool{}
		for _, target := range targets(b.class) {
			used[target.ref] = true
			if b.templates[target.ref] == nil {
				t.Errorf("%s is not in the file", describe(target.ref))
			}
		}
		for ref := range b.templates {
			if !used[ref] {
				t.Errorf("the class does not use %s", describe(ref))
			}
		}
		for _, patch := range b.class.Spec.Patches {
			if len(patch.EnabledIf) > 256 {
				t.Errorf("enabledIf of patch %s has %d characters, Cluster API admits 256", patch.Name, len(patch.EnabledIf))
			}
		}
		if strings.Count(b.header, "# Fields as of ") != 2 {
			t.Error("the header must say as of which version the fields of both providers are")
		}
	})
}

func TestBothRolesAreGated(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		view := kube.Class(b.class)
		for _, role := range vip.Roles() {
			if found := gate.Inspect(b.class, &view, role); found.State != gate.Gated || found.Why != "" {
				t.Errorf("%s: %+v", role, found)
			}
		}
	})
}

func TestNothingIsBuiltWithoutTheVIPs(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		for _, missing := range []string{"clusterVip", "ingressVip"} {
			variables := both()
			delete(variables, missing)
			if _, err := b.render(variables, nil); err == nil {
				t.Errorf("rendered without %s", missing)
			}
		}
	})
}

func TestAClusterWithoutIngressIsBuilt(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		for _, annotations := range []map[string]any{
			{vip.Ingress.EnabledAnnotation(): "false"},
			{vip.Ingress.WrittenAnnotation(): "none"},
		} {
			templates, err := b.render(map[string]any{"clusterVip": controlPlaneVIP}, annotations)
			if err != nil {
				t.Fatalf("with %v: %v", annotations, err)
			}
			var configured []string
			for _, file := range files(templates[b.class.Spec.ControlPlane.TemplateRef]) {
				if !strings.Contains(file["path"], "ingress") {
					continue
				}
				for manifest := range strings.SplitSeq(file["content"], "\n---\n") {
					configured = append(configured, unconfigured(t, manifest))
				}
			}
			if want := charts(t, b); !slices.Equal(configured, want) {
				t.Errorf("with %v there are no values left for %v, want %v", annotations, configured, want)
			}
		}
	})
}

// unconfigured returns the name of a chart whose configuration says nothing.
func unconfigured(t *testing.T, manifest string) string {
	t.Helper()
	var config helmChartConfig
	if err := yaml.UnmarshalStrict([]byte(manifest), &config); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(config.Spec.ValuesContent), &values); err != nil || len(values) > 0 {
		t.Errorf("the values of %s are %v: %v", config.Metadata.Name, values, err)
	}
	return config.Metadata.Name
}

// charts are the ingress controllers that the class configures for a Cluster with a VIP. A
// manifest that is only missing from new nodes stays in the cluster as it was, so each must
// be configured anew without one.
func charts(t *testing.T, b *bundle) []string {
	t.Helper()
	templates, err := b.render(both(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files(templates[b.class.Spec.ControlPlane.TemplateRef]) {
		for manifest := range strings.SplitSeq(file["content"], "\n---\n") {
			var config helmChartConfig
			if err := yaml.Unmarshal([]byte(manifest), &config); err != nil {
				t.Fatal(err)
			}
			if config.Kind == "HelmChartConfig" {
				names = append(names, config.Metadata.Name)
			}
		}
	}
	return names
}

// kubeadm has nobody who applies manifests: a command on each node of the control plane does,
// and removes the Service where there is none to apply. test/neighbours runs it.
func TestKubeadmNodesFollowTheIngressVIP(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ref := b.class.Spec.ControlPlane.TemplateRef
		if ref.Kind != "KubeadmControlPlaneTemplate" {
			t.Skip("its nodes have a deploy controller")
		}
		commands := fmt.Sprint(at(b.templates[ref], "kubeadmConfigSpec.postKubeadmCommands"))
		for _, want := range []string{"apply -f /etc/kubernetes/ingress-vip.yaml", "delete service ingress --ignore-not-found"} {
			if !strings.Contains(commands, want) {
				t.Errorf("no %q among the commands %s", want, commands)
			}
		}
		if strings.Contains(commands, "/run/kubeadm/kubeadm.yaml") {
			t.Errorf("only the first node of all would run it: %s", commands)
		}
	})
}

// What a provider makes of these fields serves one Cluster only, or breaks others.
func TestClustersOfAClassShareNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ref := b.class.Spec.Infrastructure.TemplateRef
		switch ref.Kind {
		case "ProxmoxClusterTemplate":
			// A pool of the nodes is made for each Cluster: of one range, each would give out
			// the same addresses.
			if fixed := at(b.templates[ref], "ipv4Config"); fixed != nil {
				t.Errorf("all Clusters have the nodes %v", fixed)
			}
			own := both()
			own["ipv4Config"] = map[string]any{"addresses": []any{"192.0.2.7"}, "prefix": 24, "gateway": "192.0.2.254"}
			templates, err := b.render(own, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(at(templates[ref], "ipv4Config.addresses")); got != "[192.0.2.7]" {
				t.Errorf("the nodes have %s", got)
			}
			for _, variable := range b.class.Spec.Variables {
				if variable.Name == "ipv4Config" && (variable.Required == nil || !*variable.Required || variable.Schema.OpenAPIV3Schema.Default != nil) {
					t.Error("a Cluster may leave ipv4Config out")
				}
			}
		case "VSphereClusterTemplate":
			// A Secret is owned by the first Cluster that uses it and deleted with it.
			if kind := at(b.templates[ref], "identityRef.kind"); kind != "VSphereClusterIdentity" {
				t.Errorf("identityRef is a %v", kind)
			}
		}
	})
}

// The placeholder must be what the provider's schema takes: Harvester's wants an address.
func TestThePlaceholderIsAnAddress(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		ref := b.class.Spec.Infrastructure.TemplateRef
		if ref.Kind != "HarvesterClusterTemplate" {
			t.Skip("an empty host or none will do")
		}
		if host := fmt.Sprint(at(b.templates[ref], "controlPlaneEndpoint.host")); !vip.PlausibleHost(host) {
			t.Errorf("host is %q", host)
		}
	})
}

// The contracts that providers announce, not the one that their newest API has the name of.
func TestHeadersNameTheContracts(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		for part, want := range map[string]string{
			"k3s":     "cluster-api-k3s v0.3: v1beta2, contract v1beta1.",
			"proxmox": "v0.7: infrastructure v1alpha1, contract v1beta1.\n# (v0.8 and newer have v1alpha2, contract v1beta2",
		} {
			if slices.Contains(strings.Split(b.name, "-"), part) && !strings.Contains(b.header, want) {
				t.Errorf("the header does not say %q", want)
			}
		}
	})
}

func TestTheVIPsArriveInTheTemplates(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		templates, err := b.render(both(), nil)
		if err != nil {
			t.Fatal(err)
		}
		infrastructure, controlPlane := b.class.Spec.Infrastructure.TemplateRef, b.class.Spec.ControlPlane.TemplateRef
		for path, want := range map[string]any{"controlPlaneEndpoint.host": controlPlaneVIP, "controlPlaneEndpoint.port": 6443.0} {
			if got := at(templates[infrastructure], path); got != want {
				t.Errorf("%s of the infrastructure is %v", path, got)
			}
		}
		for _, path := range vipsOf(infrastructure.Kind) {
			if got := at(templates[infrastructure], path); got != controlPlaneVIP {
				t.Errorf("%s of the infrastructure is %v", path, got)
			}
		}
		for _, path := range vipsOf(controlPlane.Kind) {
			got := at(templates[controlPlane], path)
			if list, ok := got.([]any); ok && slices.Contains(list, any(controlPlaneVIP)) {
				continue
			}
			if got != controlPlaneVIP {
				t.Errorf("%s of the control plane is %v", path, got)
			}
		}
		for ref, template := range templates {
			if text := fmt.Sprint(template); strings.Contains(text, "<no value>") {
				t.Errorf("%s: %s", describe(ref), text)
			}
		}
	})
}

// vipsOf are the further places of the control-plane VIP, a value or a list that holds it.
func vipsOf(kind string) []string {
	switch kind {
	case "HarvesterClusterTemplate":
		return []string{"loadBalancerConfig.ipPool.rangeStart", "loadBalancerConfig.ipPool.rangeEnd"}
	case "KubeadmControlPlaneTemplate":
		return []string{"kubeadmConfigSpec.clusterConfiguration.apiServer.certSANs"}
	case "RKE2ControlPlaneTemplate":
		return []string{"registrationAddress", "serverConfig.tlsSan"}
	case "KThreesControlPlaneTemplate":
		return []string{"kthreesConfigSpec.serverConfig.tlsSan"}
	}
	return nil
}

func TestTheVIPsArriveOnTheNodes(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		templates, err := b.render(both(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var announced, ingress bool
		for _, file := range files(templates[b.class.Spec.ControlPlane.TemplateRef]) {
			if strings.HasSuffix(file["path"], "/kube-vip.yaml") {
				announced = true
				kubeVIP(t, file["content"], b.class.Spec.Infrastructure.TemplateRef.Kind == "HarvesterClusterTemplate")
				continue
			}
			ingress = true
			for manifest := range strings.SplitSeq(file["content"], "\n---\n") {
				ingressService(t, manifest)
			}
		}
		if !announced || !ingress {
			t.Errorf("kube-vip: %t, ingress: %t", announced, ingress)
		}
	})
}

// kubeVIPImage is free of what others were seen to do: 1.0.1 to 1.0.3 lose addresses, 1.2.2 talks
// to the API server through the very VIP that it is to announce.
const kubeVIPImage = "plndr/kube-vip:v1.2.3"

// quickLease makes a fail-over take seconds; by kube-vip's own settings it takes 20.
var quickLease = map[string]string{"vip_leaseduration": "5", "vip_renewdeadline": "3", "vip_retryperiod": "1"}

// kubeVIP checks the static pod. Where the infrastructure has a load balancer for the
// API server, kube-vip must leave that VIP alone.
func kubeVIP(t *testing.T, manifest string, balanced bool) {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(manifest), &pod); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	env := map[string]string{}
	for _, variable := range pod.Spec.Containers[0].Env {
		env[variable.Name] = variable.Value
	}
	want := map[string]string{"cp_enable": "true", "address": controlPlaneVIP, "port": "6443", "svc_enable": "true", "lb_class_only": "true"}
	maps.Copy(want, quickLease)
	if image := pod.Spec.Containers[0].Image; image != kubeVIPImage {
		t.Errorf("the image is %s", image)
	}
	if balanced {
		want["cp_enable"], want["address"], want["port"] = "", "", ""
	}
	for name, value := range want {
		if env[name] != value {
			t.Errorf("kube-vip has %s %q", name, env[name])
		}
	}
}

// helmChartConfig overrides values of a chart that comes with the distribution.
type helmChartConfig struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		ValuesContent string `json:"valuesContent"`
	} `json:"spec"`
}

// ingressService checks a Service, or the values of a chart that make one.
func ingressService(t *testing.T, manifest string) {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(manifest), &kind); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	if kind.Kind != "HelmChartConfig" {
		var service corev1.Service
		if err := yaml.UnmarshalStrict([]byte(manifest), &service); err != nil {
			t.Fatalf("%v in\n%s", err, manifest)
		}
		balanced(t, service.Annotations, service.Spec.Type, ptr.Deref(service.Spec.LoadBalancerClass, ""))
		return
	}
	var config helmChartConfig
	if err := yaml.UnmarshalStrict([]byte(manifest), &config); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	if strings.HasSuffix(config.Metadata.Name, "traefik") {
		traefik(t, []byte(config.Spec.ValuesContent))
		return
	}
	var values struct {
		Controller struct {
			Service struct {
				Enabled           bool               `json:"enabled"`
				Type              corev1.ServiceType `json:"type"`
				Annotations       map[string]string  `json:"annotations"`
				LoadBalancerClass string             `json:"loadBalancerClass"`
			} `json:"service"`
		} `json:"controller"`
	}
	if err := yaml.UnmarshalStrict([]byte(config.Spec.ValuesContent), &values); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	balanced(t, values.Controller.Service.Annotations, values.Controller.Service.Type, values.Controller.Service.LoadBalancerClass)
}

// traefik checks values of the chart. It ignores service.type since its major 40, and gives the
// Service of a class that is no LoadBalancer to the API server, which refuses it; "spec" is
// right from 25 to 41.
func traefik(t *testing.T, text []byte) {
	t.Helper()
	var values struct {
		Service struct {
			Enabled     *bool             `json:"enabled"`
			Annotations map[string]string `json:"annotations"`
			Spec        struct {
				Type              corev1.ServiceType `json:"type"`
				LoadBalancerClass string             `json:"loadBalancerClass"`
			} `json:"spec"`
		} `json:"service"`
	}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	balanced(t, values.Service.Annotations, values.Service.Spec.Type, values.Service.Spec.LoadBalancerClass)
}

func balanced(t *testing.T, annotations map[string]string, kind corev1.ServiceType, class string) {
	t.Helper()
	if annotations["kube-vip.io/loadbalancerIPs"] != ingressVIP || kind != corev1.ServiceTypeLoadBalancer || class != "kube-vip.io/kube-vip-class" {
		t.Errorf("the Service of type %q and class %q has %v", kind, class, annotations)
	}
}

func TestTheFieldsExist(t *testing.T) {
	each(t, func(t *testing.T, b *bundle) {
		templates, err := b.render(both(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for ref, template := range templates {
			known := strings.Fields(fields[ref.APIVersion+" "+ref.Kind])
			for _, path := range leaves(at(template, ""), "") {
				if path != "" && !slices.Contains(known, path) {
					t.Errorf("%s: compare %s with the provider's types, then add it to the list", describe(ref), path)
				}
			}
		}
	})
}

// each runs the test for every class.
func each(t *testing.T, test func(t *testing.T, b *bundle)) {
	t.Helper()
	paths, err := filepath.Glob("classes/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no classes: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) { test(t, load(t, path)) })
	}
}
