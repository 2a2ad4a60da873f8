// Package examples checks the ClusterClasses in examples/classes: that they hold together,
// that they wait for both VIPs, and that the VIPs arrive where they are needed.
package examples

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
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
			for _, file := range files(templates[b.class.Spec.ControlPlane.TemplateRef]) {
				if strings.Contains(file["path"], "ingress") {
					t.Errorf("with %v there is %s", annotations, file["path"])
				}
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
	if balanced {
		want["cp_enable"], want["address"], want["port"] = "", "", ""
	}
	for name, value := range want {
		if env[name] != value {
			t.Errorf("kube-vip has %s %q", name, env[name])
		}
	}
}

// ingressService checks a Service, or the values of a chart that make one.
func ingressService(t *testing.T, manifest string) {
	t.Helper()
	var kind struct {
		Kind string `json:"kind"`
		Spec struct {
			ValuesContent string `json:"valuesContent"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal([]byte(manifest), &kind); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	var into any = new(corev1.Service)
	if kind.Kind == "HelmChartConfig" {
		manifest, into = kind.Spec.ValuesContent, &map[string]any{}
	}
	if err := yaml.UnmarshalStrict([]byte(manifest), into); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	for _, want := range []string{"type: LoadBalancer", `kube-vip.io/loadbalancerIPs: "` + ingressVIP + `"`, "loadBalancerClass: kube-vip.io/kube-vip-class"} {
		if !strings.Contains(manifest, want) {
			t.Errorf("no %s in\n%s", want, manifest)
		}
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
