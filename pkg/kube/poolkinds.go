package kube

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// InClusterPools are the kinds that the in-cluster IPAM provider serves. Its
// prefix pools hand out prefixes and never serve VIPs.
func InClusterPools() []schema.GroupResource {
	return []schema.GroupResource{
		{Group: inClusterGroup, Resource: "globalinclusterippools"},
		{Group: inClusterGroup, Resource: "inclusterippools"},
	}
}

const inClusterGroup = "ipam.cluster.x-k8s.io"

// releaseFinalizer keeps a claim until the in-cluster provider has released its address:
// ReleaseAddressFinalizer of its package ipamutil, the same since its first release.
const releaseFinalizer = "ipam.cluster.x-k8s.io/ReleaseAddress"

// IsInCluster tells whether the in-cluster provider serves the pool. Other
// providers put kinds of their own into the same API group.
func IsInCluster(pool vip.PoolRef) bool {
	return pool.Group == inClusterGroup && (pool.Kind == "GlobalInClusterIPPool" || pool.Kind == "InClusterIPPool")
}

// MetricName names the pool in metrics, where no two pools may have one name. It is
// the bare name for a pool of the cluster-scoped kind out of the box. Names hold no
// slash and namespaces no dot, so neither prefix can be taken for the other.
func (p *Pool) MetricName() string {
	name := p.Ref.Name
	if p.Ref.Namespace != "" {
		name = p.Ref.Namespace + "/" + name
	}
	if !IsInCluster(p.Ref) {
		name = p.Ref.Kind + "." + p.Ref.Group + "/" + name
	}
	return name
}

// ParsePoolKinds reads entries of the form "resource.group", such as
// "ippools.ipam.metal3.io".
func ParsePoolKinds(entries []string) ([]schema.GroupResource, error) {
	var kinds []schema.GroupResource
	var errs []error
	for _, entry := range entries {
		kind := schema.ParseGroupResource(strings.TrimSpace(entry))
		if kind.Resource == "" || kind.Group == "" {
			errs = append(errs, fmt.Errorf("pool kind %.80q is not of the form resource.group", entry))
			continue
		}
		if strings.Contains(kind.Resource, "prefixpool") {
			errs = append(errs, fmt.Errorf("pool kind %s hands out prefixes, not addresses", kind))
			continue
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds, errors.Join(errs...)
}

// PoolKind is a kind of pool that the API server serves.
type PoolKind struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
}

// DiscoverPoolKind finds the newest served version of the kind; found is false
// while its CRD is not installed.
func DiscoverPoolKind(client discovery.DiscoveryInterface, kind schema.GroupResource) (result PoolKind, found bool, err error) {
	groups, err := client.ServerGroups()
	if err != nil {
		return PoolKind{}, false, fmt.Errorf("discover API groups: %w", err)
	}
	var versions []string
	for _, group := range groups.Groups {
		if group.Name != kind.Group {
			continue
		}
		for _, v := range group.Versions {
			versions = append(versions, v.Version)
		}
	}
	slices.SortFunc(versions, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	for _, v := range versions {
		gv := schema.GroupVersion{Group: kind.Group, Version: v}
		list, err := client.ServerResourcesForGroupVersion(gv.String())
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return PoolKind{}, false, fmt.Errorf("discover %s: %w", gv, err)
		}
		for _, resource := range list.APIResources {
			if resource.Name == kind.Resource {
				return PoolKind{GroupVersionResource: gv.WithResource(resource.Name), Kind: resource.Kind, Namespaced: resource.Namespaced}, true, nil
			}
		}
	}
	return PoolKind{}, false, nil
}
