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
	byClass      = "vip.capi.gorizond.io/class"
	byClassName  = "vip.capi.gorizond.io/class-name"
	byAddress    = "vip.capi.gorizond.io/address"
	byUID        = "vip.capi.gorizond.io/uid"
	byObjectName = "vip.capi.gorizond.io/name"
)

// inNamespace is the index of that name with the Cluster's own namespace before each key:
// what concerns one namespace costs as much as there is in it.
func inNamespace(index string) string { return index + "-in-namespace" }

func (o *observer) addIndexers() {
	for index, key := range map[string]func(vip.ClassKey) string{
		byClass:     vip.ClassKey.String,
		byClassName: func(class vip.ClassKey) string { return class.Name },
	} {
		o.clusters.AddIndexer(index, func(c *clusterv1.Cluster) ([]string, error) {
			if class := kube.ClassOf(c); class.Name != "" {
				return []string{key(class)}, nil
			}
			return nil, nil
		})
		o.clusters.AddIndexer(inNamespace(index), func(c *clusterv1.Cluster) ([]string, error) {
			if class := kube.ClassOf(c); class.Name != "" {
				return []string{c.Namespace + " " + key(class)}, nil
			}
			return nil, nil
		})
	}
	o.classes.AddIndexer(byObjectName, func(c *clusterv1.ClusterClass) ([]string, error) { return []string{c.Name}, nil })
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
