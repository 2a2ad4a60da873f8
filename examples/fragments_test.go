package examples

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// fragments are those of a ClusterClass, each with a class whose templates it fits.
var fragments = map[string]string{"k3s": "docker-k3s", "kubeadm": "docker-kubeadm", "rke2": "proxmox-rke2"}

// A fragment alone is a gate for the control plane, and brings the VIP to kube-vip and
// into the certificate.
func TestFragments(t *testing.T) {
	found, err := filepath.Glob("*/patches.yaml")
	if err != nil || len(found) != len(fragments) {
		t.Errorf("the fragments are %q: %v", found, err)
	}
	for name, class := range fragments {
		t.Run(name, func(t *testing.T) {
			b := load(t, filepath.Join("classes", class+".yaml"))
			insert(t, b, filepath.Join(name, "patches.yaml"))
			view := kube.Class(b.class)
			if found := gate.Inspect(b.class, &view, vip.ControlPlane); found.State != gate.Gated || found.Why != "" {
				t.Errorf("the gate: %+v", found)
			}
			if _, err := b.render(nil, nil); err == nil {
				t.Error("rendered without the VIP")
			}
			for _, address := range []string{controlPlaneVIP, "2001:db8::10"} {
				templates, err := b.render(map[string]any{"clusterVip": address}, nil)
				if err != nil {
					t.Fatal(err)
				}
				controlPlane := templates[b.class.Spec.ControlPlane.TemplateRef]
				for _, path := range vipsOf(b.class.Spec.ControlPlane.TemplateRef.Kind) {
					if !holds(at(controlPlane, path), address) {
						t.Errorf("%s is %v, want %s", path, at(controlPlane, path), address)
					}
				}
				list := files(controlPlane)
				if len(list) != 1 || !strings.HasSuffix(list[0]["path"], "/kube-vip.yaml") {
					t.Fatalf("the files are %v", list)
				}
				announces(t, list[0]["content"], address)
			}
		})
	}
}

// insert gives the class the variables and patches of a fragment, in place of its own.
func insert(t *testing.T, b *bundle, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var fragment clusterv1.ClusterClassSpec
	if err := yaml.UnmarshalStrict(data, &fragment); err != nil {
		t.Fatal(err)
	}
	b.class.Spec.Variables, b.class.Spec.Patches = fragment.Variables, fragment.Patches
	b.class.Status = clusterv1.ClusterClassStatus{}
	reconcile(b.class)
}

// holds says whether the value is the address, or a list with it.
func holds(value any, address string) bool {
	if list, ok := value.([]any); ok {
		for _, entry := range list {
			if entry == address {
				return true
			}
		}
	}
	return value == address
}

// announces checks that the static pod announces the address for the API server.
func announces(t *testing.T, manifest, address string) {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(manifest), &pod); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	env := map[string]string{}
	for _, variable := range pod.Spec.Containers[0].Env {
		env[variable.Name] = variable.Value
	}
	expected := map[string]string{"cp_enable": "true", "address": address, "port": "6443", "vip_leaderelection": "true"}
	maps.Copy(expected, quickLease)
	if image := pod.Spec.Containers[0].Image; image != kubeVIPImage {
		t.Errorf("the image is %s", image)
	}
	for name, want := range expected {
		if env[name] != want {
			t.Errorf("kube-vip has %s %q, want %q", name, env[name], want)
		}
	}
	if mounts := pod.Spec.Containers[0].VolumeMounts; len(mounts) != 1 || len(pod.Spec.Volumes) != 1 || mounts[0].Name != pod.Spec.Volumes[0].Name {
		t.Errorf("the kubeconfig is not mounted: %v", mounts)
	}
}
