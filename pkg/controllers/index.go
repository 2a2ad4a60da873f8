package controllers

import (
	"sort"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Names of indexes on the caches.
const (
	byClass     = "vip.capi.gorizond.io/class"
	byClassName = "vip.capi.gorizond.io/class-name"
	byAddress   = "vip.capi.gorizond.io/address"
	byUID       = "vip.capi.gorizond.io/uid"
)

func (o *observer) addIndexers() {
	o.clusters.AddIndexer(byClass, func(c *clusterv1.Cluster) ([]string, error) {
		if key := kube.ClassOf(c); key.Name != "" {
			return []string{key.String()}, nil
		}
		return nil, nil
	})
	o.clusters.AddIndexer(byClassName, func(c *clusterv1.Cluster) ([]string, error) {
		if key := kube.ClassOf(c); key.Name != "" {
			return []string{key.Name}, nil
		}
		return nil, nil
	})
	o.clusters.AddIndexer(byAddress, func(c *clusterv1.Cluster) ([]string, error) {
		return clusterAddresses(c), nil
	})
	o.addresses.AddIndexer(byAddress, func(a *ipamv1.IPAddress) ([]string, error) {
		if key, ok := vip.Key(a.Spec.Address); ok {
			return []string{key.String()}, nil
		}
		return nil, nil
	})
	o.clusters.AddIndexer(byUID, func(c *clusterv1.Cluster) ([]string, error) {
		return []string{string(c.UID)}, nil
	})
}

func clusterAddresses(c *clusterv1.Cluster) []string {
	view := kube.Cluster(c)
	var keys []string
	for key := range vip.Addresses(&view) {
		keys = append(keys, key.String())
	}
	sort.Strings(keys)
	return keys
}
