package security

import (
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// The rights of the example end where somebody could go round the allocator.
func TestTenantHasNoRightsBeyondTheirClusters(t *testing.T) {
	w := newWorld(t)
	other := w.Namespace(t, "")
	for _, test := range []struct {
		name  string
		roles []string
		may   map[schema.GroupVersionResource]bool
	}{
		{"a tenant", nil, nil},
		{"a tenant with pools", []string{"cluster-tenant-pools"}, map[schema.GroupVersionResource]bool{namespacedPools: true}},
	} {
		u := w.tenant("", test.roles...)
		for resource, kind := range map[schema.GroupVersionResource]string{
			observe.Claims: "IPAddressClaim", observe.Addresses: "IPAddress", observe.GlobalPools: "GlobalInClusterIPPool",
			namespacedPools: "InClusterIPPool", observe.ClusterClasses: "ClusterClass",
		} {
			for _, namespace := range []string{u.namespace, other} {
				o := &unstructured.Unstructured{Object: object{"apiVersion": resource.GroupVersion().String(), "kind": kind, "metadata": object{"name": "x"}}}
				if resource != observe.GlobalPools {
					o.SetNamespace(namespace)
				}
				allowed := test.may[resource] && namespace == u.namespace
				if err := u.create(resource, o); apierrors.IsForbidden(err) == allowed {
					t.Errorf("%s creates %s in %s: %v", test.name, resource.Resource, o.GetNamespace(), err)
				}
				if resource == observe.GlobalPools || test.may[resource] {
					continue
				}
				for _, sub := range [][]string{nil, {"status"}} {
					_, err := u.client.Resource(resource).Namespace(namespace).Patch(t.Context(), "x", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{}, sub...)
					if !apierrors.IsForbidden(err) {
						t.Errorf("%s patches %s %v: %v", test.name, resource.Resource, sub, err)
					}
				}
				if err := u.client.Resource(resource).Namespace(namespace).Delete(t.Context(), "x", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
					t.Errorf("%s deletes %s: %v", test.name, resource.Resource, err)
				}
			}
		}
		if err := u.create(observe.Clusters, cluster(other, "x", "x")); !apierrors.IsForbidden(err) {
			t.Errorf("%s creates Clusters of others: %v", test.name, err)
		}
		if _, err := u.client.Resource(observe.Clusters).Namespace(other).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s sees Clusters of others: %v", test.name, err)
		}
	}
}

// Whatever one tenant writes on a Cluster, the other's VIPs stay that one's alone in the
// pools, and on the Cluster that has them. What was typed is reported, never allocated.
func TestTenantCannotTakeAnothersVIP(t *testing.T) {
	w := newWorld(t)
	victim, thief := w.tenant(""), w.tenant("")
	class, net := "stolen", subnet()
	w.classes(class, victim.namespace, thief.namespace)
	w.pool("", victim.namespace, class, "", net+".10-"+net+".99")
	since := w.mark()
	victim.make("prod", class)
	has := w.served(victim.namespace, "prod")
	mapped := "::ffff:" + has.host
	// Of several who name an address the message names one, a thief among them.
	owner := "Cluster tenantcannottakeanothersvip-"
	for _, attempt := range []struct {
		name      string
		edits     []func(object)
		condition string
		reason    string
		says      []string
	}{
		// Only an endpoint or variable makes a VIP one's own choice; a stamp alone is brought up to date.
		{"cp-stamp", []func(object){annotation(cpStamp, has.host), label(cpStamp, has.host)}, cpReady, "Allocated", nil},
		{"cp-lost", []func(object){annotation(cpStamp, has.host), annotation(cpWrote, "none")}, cpReady, "Allocated", nil}, // nothing is built with it
		{"cp-lost-mapped", []func(object){annotation(cpStamp, mapped), annotation(cpWrote, "clusterVip")}, cpReady, "Allocated", nil},
		{"cp-lost-endpoint", []func(object){host(has.host), annotation(cpStamp, has.host), annotation(cpWrote, "clusterVip")}, cpReady, "ClaimLost", []string{"has it now"}},
		{"endpoint", []func(object){host(has.host)}, cpReady, "Manual", []string{has.host, owner}},
		{"endpoint-mapped", []func(object){host(mapped)}, cpReady, "Manual", []string{owner}},
		{"variable", []func(object){variable("clusterVip", has.host)}, cpReady, "CopiedVIP", []string{owner}},
		{"ingress-stamp", []func(object){annotation(inStamp, has.inStamp)}, inReady, "Allocated", nil},
		{"ingress-variable", []func(object){variable("ingressVip", has.inStamp)}, inReady, "CopiedVIP", []string{owner}},
		{"ingress-lost", []func(object){annotation(inStamp, has.inStamp), annotation(inWrote, "ingressVip")}, inReady, "Allocated", nil},
		{"held", []func(object){annotation(prefix+"held", ""), at(true, "spec", "paused"), annotation(cpStamp, has.host)}, cpReady, "Allocated", nil},
		{"names", []func(object){label("cluster.x-k8s.io/cluster-name", "prod"), annotation(cpPool, victim.namespace+"/"+cpClaim+"prod")}, cpReady, "PoolFiltered", nil},
		{"prod", nil, cpReady, "Allocated", nil}, // the same name in another namespace
	} {
		thief.make(attempt.name, class, attempt.edits...)
		w.says(thief.namespace, attempt.name, attempt.condition, attempt.reason, attempt.says...)
	}
	w.nobodyHas(thief.namespace, has.host, has.inStamp)
	if got := w.served(victim.namespace, "prod"); got != has {
		t.Errorf("the victim has %+v, and had %+v", got, has)
	}
	// The victim is told too.
	w.says(victim.namespace, "prod", cpReady, "DuplicateAddress", has.host, "Cluster "+thief.namespace+"/")
	// Many who name one address do not make each other's conditions change for ever.
	w.writesFew(since, victim.namespace, thief.namespace)
	// The thieves gone, all is as it was.
	if err := w.Client.Resource(observe.Clusters).Namespace(thief.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	w.says(victim.namespace, "prod", cpReady, "Allocated")
	if got := w.served(victim.namespace, "prod"); got != has {
		t.Errorf("the victim has %+v, and had %+v", got, has)
	}
}

// An annotation that says a VIP was lost brings no address but a free one, out of a pool
// that serves the Cluster, and in the form in which its provider knows it.
func TestTenantTakesBackNothingButWhatIsFree(t *testing.T) {
	w := newWorld(t)
	u := w.tenant("")
	class, net := "lost", subnet()
	w.classes(class, u.namespace)
	w.Apply(t, fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1alpha2
kind: GlobalInClusterIPPool
metadata: {name: %s, annotations: {"vip.capi.gorizond.io/cluster-class": %s, "vip.capi.gorizond.io/role": "control-plane,ingress"}}
spec: {addresses: [%[3]s.0-%[3]s.20], excludedAddresses: [%[3]s.5], gateway: %[3]s.1, prefix: 24}
`, u.namespace, class, net))
	for name, address := range map[string]string{"gateway": ".1", "network": ".0", "excluded": ".5", "beyond": ".21"} {
		u.make(name, class, annotation(cpStamp, net+address), annotation(cpWrote, "none"))
		w.says(u.namespace, name, cpReady, "Allocated") // of another address: nothing is built with that one
		w.nobodyHas(u.namespace, net+address)
	}
	u.make("mapped", class, annotation(cpStamp, "::ffff:"+net+".19"), annotation(cpWrote, "none"))
	w.until("the address is taken back as the pool knows it", func() error {
		if got, err := w.bound(u.namespace, cpClaim+"mapped"); got != net+".19" {
			return fmt.Errorf("it is %q: %w", got, err)
		}
		return nil
	})
}

// A pool gives nothing to namespaces that it is not meant for, whatever their tenants
// write.
func TestTenantDrawsFromNoPoolOfOthers(t *testing.T) {
	w := newWorld(t)
	owner, u := w.tenant(""), w.tenant("")
	class, net := "guarded", subnet()
	w.classes(class, owner.namespace, u.namespace)
	global, own := owner.namespace, owner.namespace+"-own"
	w.pool("", global, class, `"vip.capi.gorizond.io/namespaces": `+owner.namespace, net+".10-"+net+".19")
	w.pool(owner.namespace, own, class, "", net+".20-"+net+".29")
	theirClass := at(owner.namespace, "spec", "topology", "classRef", "namespace")
	for _, attempt := range []struct {
		name, reason string
		edits        []func(object)
	}{
		{"asks", "PoolNotAllowed", nil},
		{"names", "PoolNotAllowed", []func(object){annotation(cpPool, global)}},
		{"names-own", "PoolNotAllowed", []func(object){annotation(cpPool, owner.namespace+"/"+own)}},
		{"borrows-the-class", "PoolNotAllowed", []func(object){theirClass, annotation(cpPool, global)}},
		{"lost", "PoolNotAllowed", []func(object){annotation(cpStamp, net+".15"), annotation(cpWrote, "none")}},
		{"lost-own", "PoolNotAllowed", []func(object){theirClass, annotation(cpStamp, net+".25"), annotation(cpWrote, "clusterVip")}},
		{"labels", "PoolNotAllowed", []func(object){label("kubernetes.io/metadata.name", owner.namespace), annotation(prefix+"namespaces", owner.namespace), annotation(prefix+"role", "control-plane")}},
	} {
		u.make(attempt.name, class, attempt.edits...)
		w.says(u.namespace, attempt.name, cpReady, attempt.reason)
	}
	owner.make("theirs", class)
	w.served(owner.namespace, "theirs")
	w.drawsNothing(u.namespace, global)
	w.drawsNothing(u.namespace, own)
}

// An entry namespace/name says which class a pool is for. It keeps out a class of that
// name that a tenant makes at home, and not a tenant who uses the class from where it is.
func TestClassEntryIsNoFence(t *testing.T) {
	w := newWorld(t)
	owner, u := w.tenant(""), w.tenant("")
	class, net := "entry", subnet()
	w.classes(class, owner.namespace, u.namespace)
	w.pool("", owner.namespace, owner.namespace+"/"+class, "", net+".10-"+net+".19")
	u.make("own-class", class)
	w.says(u.namespace, "own-class", cpReady, "NoPool")
	u.make("their-class", class, at(owner.namespace, "spec", "topology", "classRef", "namespace"))
	w.served(u.namespace, "their-class")
}
