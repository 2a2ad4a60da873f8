// Package chart renders the allocator's Helm chart and installs it on a management
// cluster: the allocator then runs with the flags and rights that users give it.
package chart

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
)

// ManagerName is the name of the Deployment and of its ServiceAccount.
const ManagerName = "capi-vip-allocator-controller-manager"

// Kubernetes is the version that the chart is rendered for: that of the management cluster.
const Kubernetes = "v1.36.3"

// Chart is the allocator's chart as Helm would install it.
type Chart struct {
	Manifests []byte
	// Args are the manager's flags, without those for addresses.
	Args []string
}

// Render renders the chart with the given values, for an API server that also serves
// these versions.
func Render(ctx context.Context, values map[string]any, served ...string) (*Chart, error) {
	examples, err := allocator.Examples(ctx)
	if err != nil {
		return nil, err
	}
	loaded, err := loader.Load(filepath.Join(examples, "..", "charts", "capi-vip-allocator"))
	if err != nil {
		return nil, fmt.Errorf("load the chart: %w", err)
	}
	release := chartutil.ReleaseOptions{Name: "capi-vip-allocator", Namespace: allocator.Namespace, IsInstall: true}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: Kubernetes, Major: "1", Minor: "36"}
	capabilities.APIVersions = append(capabilities.APIVersions, served...)
	input, err := chartutil.ToRenderValues(loaded, values, release, capabilities)
	if err != nil {
		return nil, fmt.Errorf("values of the chart: %w", err)
	}
	files, err := engine.Render(loaded, input)
	if err != nil {
		return nil, fmt.Errorf("render the chart: %w", err)
	}
	c := &Chart{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		c.Manifests = append(c.Manifests, []byte("---\n"+files[name]+"\n")...)
		if filepath.Base(name) == "deployment.yaml" {
			if err := c.readArgs(files[name]); err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
	return c, nil
}

func (c *Chart) readArgs(deployment string) error {
	var object map[string]any
	if err := yaml.Unmarshal([]byte(deployment), &object); err != nil {
		return err
	}
	containers, _, err := unstructured.NestedSlice(object, "spec", "template", "spec", "containers")
	if err != nil || len(containers) == 0 {
		return fmt.Errorf("no containers: %w", err)
	}
	manager, _ := containers[0].(map[string]any)
	args, _, err := unstructured.NestedStringSlice(manager, "args")
	for _, arg := range args {
		// Where it listens is chosen when it starts.
		flag, _, _ := strings.Cut(arg, "=")
		if !slices.Contains([]string{"--metrics-bind-address", "--health-probe-bind-address", "--diagnostics-address"}, flag) {
			c.Args = append(c.Args, arg)
		}
	}
	return err
}

// Install applies the chart and returns the kubeconfig of its ServiceAccount.
func (c *Chart) Install(ctx context.Context, m *management.Cluster) (kubeconfig string, err error) {
	home := "{apiVersion: v1, kind: Namespace, metadata: {name: " + allocator.Namespace + "}}\n"
	if err := m.Apply(ctx, append([]byte(home), c.Manifests...)); err != nil {
		return "", fmt.Errorf("install the chart: %w", err)
	}
	return m.User("system:serviceaccount:"+allocator.Namespace+":"+ManagerName,
		"system:serviceaccounts", "system:serviceaccounts:"+allocator.Namespace, "system:authenticated")
}
