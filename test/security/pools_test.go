package security

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

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
	w.served(u.namespace, "first")
	grab("free", net+".12", net+".13")
	w.says(u.namespace, "free", cpReady, "AddressInUse", "Cluster "+u.namespace+"/first")
	other.make("late", class)
	w.says(other.namespace, "late", cpReady, "AddressInUse", "Cluster "+u.namespace+"/first")
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

// Many pools with the same addresses cost one warning each, and nobody else anything.
func TestManyOverlappingPools(t *testing.T) {
	w := newWorld(t)
	u, other := w.tenant("", "cluster-tenant-pools"), w.tenant("")
	class, net, theirs := "beside-many", subnet(), subnet()
	w.classes(class, u.namespace, other.namespace)
	w.pool("", other.namespace, class, `"vip.capi.gorizond.io/namespaces": `+other.namespace, net+".10-"+net+".99")
	const count = 200
	group := new(errgroup.Group)
	group.SetLimit(8)
	for i := range count {
		group.Go(func() error {
			return u.create(namespacedPools, manifest(t, poolText(u.namespace, fmt.Sprintf("p%d", i), class, "", theirs+".10-"+theirs+".99")))
		})
	}
	// Beside the flood.
	other.make("prod", class)
	w.served(other.namespace, "prod")
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	told := func() int {
		text, err := os.ReadFile(w.log)
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "reason=PoolsOverlap") && strings.Contains(line, u.namespace+"/p") {
				lines++
			}
		}
		return lines
	}
	w.until("each pool is told", func() error {
		if got := told(); got < count {
			return fmt.Errorf("%d of %d are", got, count)
		}
		return nil
	})
	// One more for each costs a warning for itself.
	if err := u.create(namespacedPools, manifest(t, poolText(u.namespace, "last", class, "", theirs+".50"))); err != nil {
		t.Fatal(err)
	}
	other.make("late", class)
	w.served(other.namespace, "late")
	if got := told(); got > count+1 {
		t.Errorf("%d warnings for %d pools", got, count)
	}
}
