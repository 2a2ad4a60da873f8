package snapshot

import (
	"maps"
	"net/netip"
	"slices"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Names of indexes on the caches: Clusters by their class, by their UID and, like IPAddresses,
// by the addresses that they hold.
const (
	ByClass      = "vip.capi.gorizond.io/class"
	ByClassName  = "vip.capi.gorizond.io/class-name"
	ByAddress    = "vip.capi.gorizond.io/address"
	ByUID        = "vip.capi.gorizond.io/uid"
	byObjectName = "vip.capi.gorizond.io/name"
)

// InNamespace is the index of that name with the Cluster's own namespace before each key:
// what concerns one namespace costs as much as there is in it.
func InNamespace(index string) string { return index + "-in-namespace" }

func (o *Observer) addIndexers() {
	for index, key := range map[string]func(vip.ClassKey) string{
		ByClass:     vip.ClassKey.String,
		ByClassName: func(class vip.ClassKey) string { return class.Name },
	} {
		o.Clusters.AddIndexer(index, func(c *clusterv1.Cluster) ([]string, error) {
			if class := kube.ClassOf(c); class.Name != "" {
				return []string{key(class)}, nil
			}
			return nil, nil
		})
		o.Clusters.AddIndexer(InNamespace(index), func(c *clusterv1.Cluster) ([]string, error) {
			if class := kube.ClassOf(c); class.Name != "" {
				return []string{c.Namespace + " " + key(class)}, nil
			}
			return nil, nil
		})
	}
	o.Classes.AddIndexer(byObjectName, func(c *clusterv1.ClusterClass) ([]string, error) { return []string{c.Name}, nil })
	o.Clusters.AddIndexer(ByAddress, func(c *clusterv1.Cluster) ([]string, error) {
		var keys []string
		for _, key := range AddressesOf(c) {
			keys = append(keys, key.String())
		}
		return keys, nil
	})
	o.Addresses.AddIndexer(ByAddress, func(a *ipamv1.IPAddress) ([]string, error) {
		if key, ok := vip.Key(a.Spec.Address); ok {
			return []string{key.String()}, nil
		}
		return nil, nil
	})
	o.Clusters.AddIndexer(ByUID, func(c *clusterv1.Cluster) ([]string, error) {
		return []string{string(c.UID)}, nil
	})
}

// AddressesOf lists the addresses that the Cluster names anywhere, sorted, as vip.Key
// returns them.
func AddressesOf(c *clusterv1.Cluster) []netip.Addr {
	view := kube.Cluster(c)
	return slices.SortedFunc(maps.Keys(vip.Addresses(&view)), netip.Addr.Compare)
}
