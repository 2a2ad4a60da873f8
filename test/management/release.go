package management

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// Release names a minor release of Cluster API, such as "v1.10", together with the
// IPAM provider that works with it. "" is the newest one. Each other has a component
// module of its own.
type Release string

var minorRelease = regexp.MustCompile(`^v1\.(\d+)$`)

// minor is the second number of the release, more than any for the newest one.
func (r Release) minor() (int, error) {
	if r == "" {
		return 1 << 30, nil
	}
	match := minorRelease.FindStringSubmatch(string(r))
	if match == nil {
		return 0, fmt.Errorf("release %q is not of the form v1.10", r)
	}
	return strconv.Atoi(match[1])
}

// capi is the program of the release's Cluster API.
func (r Release) capi() (program, error) {
	p := program{
		name:     "capi",
		pkg:      "sigs.k8s.io/cluster-api/core",
		module:   "sigs.k8s.io/cluster-api",
		stamps:   []string{"sigs.k8s.io/cluster-api/version"},
		crds:     "core/config/crd/bases",
		webhooks: "core/config/webhook/manifests.yaml",
	}
	minor, err := r.minor()
	if r != "" {
		p.name += "-" + string(r)
	}
	if minor < 14 { // the core provider moved then
		p.pkg, p.crds, p.webhooks = p.module, "config/crd/bases", "config/webhook/manifests.yaml"
	}
	return p, err
}

// ipam is the program of the IPAM provider that works with the release.
func (r Release) ipam() (program, error) {
	p := program{
		name:     "ipam",
		pkg:      "sigs.k8s.io/cluster-api-ipam-provider-in-cluster",
		module:   "sigs.k8s.io/cluster-api-ipam-provider-in-cluster",
		stamps:   []string{"k8s.io/client-go/pkg/version"},
		crds:     "config/crd/bases",
		webhooks: "config/webhook/manifests.yaml",
	}
	old, err := r.onlyV1Beta1()
	if old {
		p.name += "-v1.0"
	}
	return p, err
}

// onlyV1Beta1 tells whether the release serves no v1beta2.
func (r Release) onlyV1Beta1() (bool, error) {
	minor, err := r.minor()
	return minor < 11, err
}

// ClusterAPIVersion is the apiVersion by which Clusters are named here.
func (c *Cluster) ClusterAPIVersion() string {
	return clusterv1.GroupVersion.Group + "/" + version(clusterv1.GroupVersion.Group, !c.translate.Load())
}

// RuntimeVersion is the apiVersion of ExtensionConfigs here.
func (c *Cluster) RuntimeVersion() string {
	const group = "runtime.cluster.x-k8s.io"
	return group + "/" + version(group, !c.translate.Load())
}

// UpgradeCAPI replaces Cluster API by the newest release, as clusterctl would: kinds,
// webhooks and process. The IPAM provider stays.
func (c *Cluster) UpgradeCAPI(ctx context.Context) error {
	binaries, err := build(ctx, newProgress(nil), "")
	if err != nil {
		return err
	}
	c.binaries.CAPI = binaries.CAPI
	if err := c.components[CAPI].replace(ctx, c.capi("", c.runtimeSDK)); err != nil {
		return fmt.Errorf("upgrade Cluster API: %w", err)
	}
	c.translate.Store(false)
	return nil
}

// replace has the component be another one from now on, at the same ports.
func (c *component) replace(ctx context.Context, by *component) error {
	c.shutDown(gracePeriod)
	c.mutex.Lock()
	c.binary, c.flags, c.publish, c.ready = by.binary, by.flags, by.publish, by.ready
	err := c.publish(ctx, c.ports)
	c.mutex.Unlock()
	if err != nil {
		return err
	}
	return c.bringUp(ctx)
}
