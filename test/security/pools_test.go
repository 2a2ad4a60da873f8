package security

import (
	"fmt"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Who may edit pools in a namespace serves Clusters of that namespace, and no others,
// whatever the pool says.
func TestPoolOfATenantServesNobodyElse(t *testing.T) {
	w := newWorld(t)
	u, other := w.tenant("", "cluster-tenant-pools"), w.tenant("")
	class, net := "pooled", subnet()
	w.classes(class, u.namespace, other.namespace)
	other.make("waits", class)
	w.says(other.namespace, "waits", cpReady, "NoPool")
	annotations := fmt.Sprintf(`"vip.capi.gorizond.io/namespaces": "%s,%s", "vip.capi.gorizond.io/priority": "1000000"`, u.namespace, other.namespace)
	for name, classes := range map[string]string{"mine": class, "all": "*", "theirs": other.namespace + "/" + class} {
		pool := manifest(t, poolText(u.namespace, name, classes, annotations, net+".10-"+net+".19"))
		if err := u.create(namespacedPools, pool); err != nil {
			t.Fatal(err)
		}
	}
	u.make("own", class)
	w.served(u.namespace, "own")
	w.says(other.namespace, "waits", cpReady, "NoPool")
	for _, name := range []string{"mine", "all", "theirs"} {
		w.drawsNothing(other.namespace, name)
	}
}

// A tenant's pool may have the addresses of others in it. What a Cluster has is not given
// to a second one; of what nobody has yet, one gets it.
func TestPoolOfATenantOverAddressesOfOthers(t *testing.T) {
	w := newWorld(t)
	u, other := w.tenant("", "cluster-tenant-pools"), w.tenant("")
	class, net := "overlapped", subnet()
	w.classes(class, u.namespace, other.namespace)
	w.pool("", other.namespace, class, `"vip.capi.gorizond.io/namespaces": `+other.namespace, net+".10-"+net+".13")
	other.make("prod", class)
	has := w.served(other.namespace, "prod")
	grab := func(name string, addresses ...string) {
		t.Helper()
		if err := u.create(namespacedPools, manifest(t, poolText(u.namespace, name, class, "", addresses...))); err != nil {
			t.Fatal(err)
		}
		u.make(name, class, annotation(cpPool, name), annotation(prefix+"ingress-pool", name))
	}
	grab("taken", has.host, has.inStamp)
	w.says(u.namespace, "taken", cpReady, "AddressInUse", "Cluster "+other.namespace+"/prod")
	w.says(u.namespace, "taken", inReady, "AddressInUse", "Cluster "+other.namespace+"/prod")
	// Two addresses are left. Whoever comes first has them, and the other one is told.
	grab("first", net+".10-"+net+".13")
	w.says(u.namespace, "first", cpReady, "AddressInUse") // the provider gives the lowest, which is prod's
	grab("free", net+".12", net+".13")
	w.served(u.namespace, "free")
	other.make("late", class)
	w.says(other.namespace, "late", cpReady, "AddressInUse", "Cluster "+u.namespace+"/free")
	v, err := w.vips(other.namespace, "late")
	if err != nil || v.host != "" || v.cpStamp != "" {
		t.Errorf("it has %+v: %v", v, err)
	}
	if got := w.served(other.namespace, "prod"); got != has {
		t.Errorf("prod has %+v, and had %+v", got, has)
	}
	// The administrator takes the addresses out of the tenant's reach again.
	for _, name := range []string{"free", "first", "taken"} {
		if err := w.Client.Resource(observe.Clusters).Namespace(u.namespace).Delete(t.Context(), name, deletion); err != nil {
			t.Fatal(err)
		}
	}
	w.served(other.namespace, "late")
}
