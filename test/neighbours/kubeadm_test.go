package neighbours

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

var services = schema.GroupVersionResource{Version: "v1", Resource: "services"}

// The command that the nodes of a kubeadm control plane run brings the ingress Service up to
// date, and takes it away where there is no file. Here the management cluster is the one that
// they run it against.
func TestTheCommandOfKubeadmNodes(t *testing.T) {
	w := newWorld(t, "docker-kubeadm", false)
	c := w.cluster("prod", "")
	ingress := c.vip(observe.Ingress)
	c.announces(ingress)
	commands, _, err := unstructured.NestedStringSlice(c.the(c.resource).Object, "spec", "kubeadmConfigSpec", "postKubeadmCommands")
	if err != nil || len(commands) != 1 {
		t.Fatalf("the commands are %q: %v", commands, err)
	}
	tools, err := w.Management.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	etc := t.TempDir()
	if err := os.Symlink(w.Management.Kubeconfig(), filepath.Join(etc, "admin.conf")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(etc, "ingress-vip.yaml")
	runs := func() {
		t.Helper()
		bash := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.ReplaceAll(commands[0], "/etc/kubernetes", etc))
		bash.Env = append(os.Environ(), "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECACHEDIR="+t.TempDir())
		if out, err := bash.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	service := func() (*unstructured.Unstructured, error) {
		return w.Client.Resource(services).Namespace("kube-system").Get(t.Context(), "ingress", metav1.GetOptions{})
	}
	content := c.ingressFile()
	for _, address := range []string{ingress, "192.0.2.9"} {
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(content, ingress, address)), 0o600); err != nil {
			t.Fatal(err)
		}
		runs()
		found, err := service()
		if err != nil {
			t.Fatal(err)
		}
		if got := found.GetAnnotations()["kube-vip.io/loadbalancerIPs"]; got != address {
			t.Errorf("the Service has %q, want %s", got, address)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		runs()
		if _, err := service(); !apierrors.IsNotFound(err) {
			t.Errorf("without the file the Service is there: %v", err)
		}
	}
}
