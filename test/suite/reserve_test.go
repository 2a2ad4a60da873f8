package suite

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// reserver returns the kubeconfig of a user with the chart's roles for those who reserve:
// who writes in the world's namespace and sees everything.
func (w *world) reserver() (kubeconfig string) {
	w.t.Helper()
	name := w.namespace + reserverSuffix
	w.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s, namespace: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: capi-vip-allocator-reserver}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: %[1]s}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: capi-vip-allocator-viewer}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: %[1]s}]
`, name, w.namespace))
	w.may(name, "list", "clusters.cluster.x-k8s.io", "-A")
	w.may(name, "create", "ipaddressclaims.ipam.cluster.x-k8s.io", "-n", w.namespace)
	return w.kubeconfigOf(name)
}

// may waits until the API server has seen the right of a user.
func (w *world) may(user string, action ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s may %q", user, action), func() error {
		return w.tryKubectl("", append([]string{"auth", "can-i", "--quiet", "--as", user}, action...)...)
	})
}

// reserve runs the command as that user.
func (w *world) reserve(kubeconfig string, args ...string) (address string, err error) {
	w.t.Helper()
	binary, err := allocator.Build(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	command := exec.CommandContext(w.t.Context(), binary, append([]string{"reserve", "-n", w.namespace, "--timeout=" + patience.String()}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	return run(command)
}

// reserved returns the address.
func (w *world) reserved(kubeconfig string, args ...string) string {
	w.t.Helper()
	out, err := w.reserve(kubeconfig, args...)
	address, isLine := strings.CutSuffix(out, "\n")
	if err != nil || !isLine || strings.ContainsAny(address, " \n") {
		w.t.Fatalf("reserve %q prints %q, %v", args, out, err)
	}
	return address
}

func (w *world) claimNamed(name string) *ipamv1.IPAddressClaim {
	w.t.Helper()
	return fetch[ipamv1.IPAddressClaim](w, observe.Claims, w.namespace, name)
}

// A manifest without ClusterClass gets its VIP from a pool: the same one as often as it is
// asked for, and nobody else gets it.
func TestReserve(t *testing.T) {
	w := newWorld(t)
	user := w.reserver()
	k := w.gatedClass(controlPlane)
	p := w.pool(serving(controlPlane, k), size(3))
	address := w.reserved(user, "web", "--pool", p.name, "--for=1h")
	if address != p.address(0) {
		t.Errorf("it is %s, want %s", address, p.address(0))
	}
	claim := w.claimNamed("vip-cp-web")
	until, err := time.Parse(time.RFC3339, claim.Annotations[reservedUntil])
	if left := time.Until(until); err != nil || left > time.Hour || left < time.Hour-5*time.Minute {
		t.Errorf("it is kept for %s, %v", left, err)
	}
	if claim.Labels[poolRole] != string(controlPlane) || claim.Labels[clusterNameLabel] != "" || len(claim.OwnerReferences) > 0 {
		t.Errorf("the claim has %v, %v", claim.Labels, claim.OwnerReferences)
	}
	if again := w.reserved(user, "web", "--pool", p.name); again != address {
		t.Errorf("the second time it is %s", again)
	}
	if later := w.claimNamed("vip-cp-web"); later.UID != claim.UID || later.Annotations[reservedUntil] <= claim.Annotations[reservedUntil] {
		t.Errorf("it is kept until %s, and was until %s", later.Annotations[reservedUntil], claim.Annotations[reservedUntil])
	}
	// The others go on beside it.
	c := w.cluster(k)
	c.becomes(has(controlPlane, p.address(1)), built())
	if second := w.reserved(user, "db", "--class", k.name); second != p.address(2) {
		t.Errorf("by class it is %s, want %s", second, p.address(2))
	}
	w.apply(fmt.Sprintf(withoutClass, "web", w.namespace, address))
	if again := w.reserved(user, "web", "--pool", p.name); again != address {
		t.Errorf("with the Cluster it is %s", again)
	}
	if again := w.reserved(user, c.name, "--pool", p.name); again != p.address(1) {
		t.Errorf("of a Cluster that has its own it is %s", again)
	}
	if out, err := w.reserve(user, "mail", "--pool", p.name); out != "" || err == nil || !strings.Contains(err.Error(), "PoolExhausted: GlobalInClusterIPPool "+p.name) {
		t.Errorf("a full pool: %q, %v", out, err)
	}
	if w.claimNamed("vip-cp-mail") != nil {
		t.Error("it has left a claim")
	}
}

const withoutClass = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: %s, namespace: %s}
spec:
  controlPlaneEndpoint: {host: %s, port: 6443}
  infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: DemoCluster, name: none}
`

// Many calls at once, of the same name and of others.
func TestReserveAtOnce(t *testing.T) {
	w := newWorld(t)
	user := w.reserver()
	p := w.pool(labelled(poolRole, string(controlPlane)), annotated(poolClass, w.unique("none")))
	names := []string{"a", "a", "a", "b", "c"}
	got := make([]string, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { got[i], _ = w.reserve(user, name, "--pool", p.name) })
	}
	all.Wait()
	if got[0] == "" || got[0] != got[1] || got[0] != got[2] {
		t.Errorf("of one name they are %q", got[:3])
	}
	seen := map[string]bool{}
	for _, address := range got[2:] {
		if address == "" || seen[address] {
			t.Errorf("of three names they are %q", got[2:])
		}
		seen[address] = true
	}
}

// What cannot be had leaves nothing behind, and the reason is told.
func TestReserveFails(t *testing.T) {
	w := newWorld(t)
	user := w.reserver()
	k := w.gatedClass(controlPlane)
	p := w.pool(serving(controlPlane, k))
	paused := w.draftPool(serving(controlPlane, k), annotated(pausedAnnotation, ""))
	paused.createUncounted()
	elsewhere := w.pool(serving(controlPlane, k), namespacedOnly("elsewhere"))
	unmarked := w.pool()
	p.take("vip-cp-theirs")
	typed := w.cluster(k, labelled(watchFilterLabel, "nobody"), at(p.address(1), 6443)) // so that it is not booked
	for _, test := range []struct{ args, says string }{
		{"web --pool " + paused.name, "PoolPaused: "},
		{"web --pool " + elsewhere.name, "PoolNotAllowed: "},
		{"web --pool " + unmarked.name, "is no pool of VIPs"},
		{"web --pool nowhere", "there is no pool nowhere"},
		{"web --pool default/lan", "a pool in a namespace serves the Clusters of that namespace only"},
		{"web --pool " + p.name + " --role ingress", "NoPool: "},
		{"web --class nobody", "ClusterClass " + w.namespace + "/nobody does not exist"},
		{"theirs --pool " + p.name, "is somebody else's: it has neither an owner nor annotation"},
		{typed.name + " --pool " + p.name, "exists, and its control-plane VIP is " + p.address(1)},
		// A typed VIP in the range of the pool that is not booked: the provider knows nothing of it.
		{"web --pool " + p.name, "AddressInUse: " + p.address(1) + " from GlobalInClusterIPPool " + p.name + " is used by Cluster " + w.namespace + "/" + typed.name},
	} {
		out, err := w.reserve(user, strings.Fields(test.args)...)
		failure, failed := err.(complaint) //nolint:errorlint // it is not wrapped
		if !failed || failure.status != 1 || out != "" || !strings.Contains(failure.text, test.says) {
			t.Errorf("%s: %q, %v", test.args, out, err)
		}
	}
	w.gone(observe.Claims, w.namespace, "vip-cp-web")
}

// silent is a kind of pool whose provider does not run.
const silent = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: silentpools.reserve.test}
spec:
  group: reserve.test
  names: {kind: SilentPool, listKind: SilentPoolList, plural: silentpools, singular: silentpool}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: silentpools}
rules: [{apiGroups: [reserve.test], resources: [silentpools], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: silentpools}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: silentpools}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: system:authenticated}]
`

// Where no address is bound in time, the claim is gone, and why is told.
func TestReserveIsNotBound(t *testing.T) {
	w := newWorld(t)
	user := w.reserver()
	w.apply(silent)
	w.eventually("the kind is served", func() error {
		return w.management.Apply(t.Context(), fmt.Appendf(nil,
			"{apiVersion: reserve.test/v1, kind: SilentPool, metadata: {name: quiet, namespace: %s, annotations: {%s: control-plane, %s: '*'}}}", w.namespace, poolRole, poolClass))
	})
	args := []string{"web", "--pool=" + w.namespace + "/quiet", "--pool-kinds=silentpools.reserve.test"}
	// The other call shows that there was a claim.
	waiting := make(chan error, 1)
	go func() {
		_, err := w.reserve(user, append(args, "--timeout=8s")...)
		waiting <- err
	}()
	w.eventually("there is a claim", func() error {
		if w.claimNamed("vip-cp-web") == nil {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	const says = "is not bound after 8s: see whether the IPAM provider of SilentPool"
	if err := <-waiting; err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("it fails by %v", err)
	}
	w.gone(observe.Claims, w.namespace, "vip-cp-web")
}

// The chart's roles are what it takes; less is told.
func TestReserveNeedsRights(t *testing.T) {
	w := newWorld(t)
	p := w.pool(labelled(poolRole, string(controlPlane)), annotated(poolClass, w.unique("none")))
	viewer := w.user("viewer"+reserverSuffix, `{apiGroups: ["*"], resources: ["*"], verbs: [get, list]}`)
	w.may(w.namespace+"-viewer"+reserverSuffix, "list", "clusters.cluster.x-k8s.io", "-A")
	if out, err := w.reserve(viewer, "web", "--pool", p.name); out != "" || err == nil || !strings.Contains(err.Error(), "create claim "+w.namespace+"/vip-cp-web: ") || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("who may not write: %q, %v", out, err)
	}
	writer := w.tenant("writer"+reserverSuffix, `{apiGroups: [ipam.cluster.x-k8s.io], resources: ["*"], verbs: ["*"]}`)
	w.may(w.namespace+"-writer"+reserverSuffix, "create", "ipaddressclaims.ipam.cluster.x-k8s.io", "-n", w.namespace)
	if out, err := w.reserve(writer, "web", "--pool", p.name); out != "" || err == nil || !strings.Contains(err.Error(), "reserving needs to see everything that may have an address") {
		t.Errorf("who sees one namespace: %q, %v", out, err)
	}
	if w.claimNamed("vip-cp-web") != nil {
		t.Error("there is a claim")
	}
}
