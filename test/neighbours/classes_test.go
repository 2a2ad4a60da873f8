package neighbours

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// Clusters of every example class live and die with both families, under the real webhooks
// and controllers of their control planes.
func TestClasses(t *testing.T) {
	examples, err := allocator.Examples(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(examples, "classes", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no classes: %v", err)
	}
	for _, file := range files {
		class := strings.TrimSuffix(filepath.Base(file), ".yaml")
		infrastructure, controlPlane, _ := strings.Cut(class, "-")
		if _, known := distributions[controlPlane]; !known {
			continue // docs/tried-with.md says which
		}
		for family, ipv6 := range map[string]bool{"IPv4": false, "IPv6": true} {
			if ipv6 && infrastructure == "harvester" {
				continue // its pools hold IPv4 alone
			}
			t.Run(class+"/"+family, func(t *testing.T) { live(t, class, ipv6) })
		}
	}
}

func live(t *testing.T, class string, ipv6 bool) {
	w := newWorld(t, class, ipv6)
	c, plain := w.cluster("prod", ""), w.cluster("plain", observe.IngressEnabled+`: "false"`)
	controlPlane, ingress := c.vip(observe.ControlPlane), c.vip(observe.Ingress)

	c.carries(controlPlane)
	c.announces(ingress)
	data := c.boots()
	for _, want := range []string{controlPlane, ingress, "kube-vip.yaml", "ingress-vip.yaml"} {
		if !strings.Contains(data, want) {
			t.Errorf("the first machine boots without %s:\n%s", want, data)
		}
	}
	if ipv6 && strings.Contains(data, controlPlane+":6443") && !strings.Contains(data, "["+controlPlane+"]:6443") {
		t.Errorf("an IPv6 address without brackets:\n%s", data)
	}

	plain.carries(plain.vip(observe.ControlPlane))
	plain.lacks()
	if data := plain.boots(); strings.Contains(data, "loadbalancerIPs") {
		t.Errorf("a Cluster without ingress boots with\n%s", data)
	}

	// Scaled, nothing but the numbers changes.
	c.topology("controlPlane/replicas", "3")
	c.topology("workers/machineDeployments/0/replicas", "2")
	c.replicas(3, 2)
	c.carries(controlPlane)
	c.announces(ingress)

	// Ingress is switched off and on.
	c.merge(fmt.Sprintf(`{"metadata":{"annotations":{%q:"false"}}}`, observe.IngressEnabled))
	scene.Until(t, patience, "the ingress VIP is given back", func() error { return c.unclaimed("ingress") })
	scene.Until(t, patience, "the control plane has no ingress VIP", func() error {
		if file := c.ingressFile(); strings.Contains(file, ingress) {
			return fmt.Errorf("it has\n%s", file)
		}
		return nil
	})
	c.lacks()
	c.carries(controlPlane)
	c.merge(fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, observe.IngressEnabled))
	c.announces(c.vip(observe.Ingress))
	c.carries(controlPlane)

	for _, cluster := range []*cluster{c, plain} {
		if err := w.in(observe.Clusters).Delete(t.Context(), cluster.name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.gone()
	plain.gone()
}

// announces waits until the control plane's machines bring the ingress VIP.
func (c *cluster) announces(address string) {
	c.t.Helper()
	scene.Until(c.t, patience, "the control plane has ingress VIP "+address, func() error {
		if file := c.ingressFile(); !strings.Contains(file, `kube-vip.io/loadbalancerIPs: "`+address+`"`) {
			return fmt.Errorf("it has %q", file)
		}
		return nil
	})
}

// lacks checks that the control plane's machines bring no ingress VIP, and take off one that is
// there: those of kubeadm by a command, the others by a file that says so.
func (c *cluster) lacks() {
	c.t.Helper()
	file := c.ingressFile()
	if c.suffix == "" {
		if file != "" {
			c.t.Errorf("there is an ingress file\n%s", file)
		}
		return
	}
	if !strings.Contains(file, `valuesContent: "{}"`) || strings.Contains(file, "loadbalancerIPs") {
		c.t.Errorf("the ingress file is %q", file)
	}
}

// replicas waits until the control plane and its workers are asked for so many machines.
func (c *cluster) replicas(controlPlane, workers int64) {
	c.t.Helper()
	for resource, want := range map[schema.GroupVersionResource]int64{c.resource: controlPlane, deployments: workers} {
		scene.Until(c.t, patience, fmt.Sprintf("%s has %d replicas", resource.Resource, want), func() error {
			if got, _, _ := unstructured.NestedInt64(c.the(resource).Object, "spec", "replicas"); got != want {
				return fmt.Errorf("it has %d", got)
			}
			return nil
		})
	}
}
