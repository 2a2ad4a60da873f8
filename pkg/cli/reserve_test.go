package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// reserving is one call of reserve in a scene.
type reserving struct {
	*scene
	wish wish
	// gives is the address that the provider binds new claims to; none if empty.
	gives string
	said  []string
}

func newReserving(t *testing.T) *reserving {
	t.Helper()
	return &reserving{
		scene: newScene(t), gives: "10.10.0.20",
		wish: wish{namespace: "team", name: "db", role: vip.ControlPlane, pool: "vip-a", keep: 24 * time.Hour, timeout: time.Minute},
	}
}

func (r *reserving) run() (string, error) {
	r.t.Helper()
	if err := r.wish.check(); err != nil {
		return "", err
	}
	reading := r.reading()
	r.client.PrependReactor("create", "ipaddressclaims", r.bind)
	config, _, err := r.settings().find(r.t.Context(), reading)
	if err != nil {
		r.t.Fatal(err)
	}
	say := func(format string, values ...any) { r.said = append(r.said, fmt.Sprintf(format, values...)) }
	return r.wish.reserver(reading, config, say).run(r.t.Context())
}

// bind does what an IPAM provider does a moment later.
func (r *reserving) bind(action clienttesting.Action) (bool, runtime.Object, error) {
	claim := action.(clienttesting.CreateAction).GetObject().(*unstructured.Unstructured)
	claim.SetUID("new")
	if r.gives == "" {
		return false, nil, nil
	}
	pool, _, _ := unstructured.NestedMap(claim.Object, "spec", "poolRef")
	address := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"address": r.gives, "claimRef": map[string]any{"name": claim.GetName()}, "poolRef": pool,
	}}}
	address.SetAPIVersion(addresses.GroupVersion().String())
	address.SetKind("IPAddress")
	address.SetNamespace(claim.GetNamespace())
	address.SetName(claim.GetName())
	if err := r.client.Tracker().Create(addresses.GroupVersionResource, address, claim.GetNamespace()); err != nil {
		return true, nil, err
	}
	return false, nil, unstructured.SetNestedField(claim.Object, claim.GetName(), "status", "addressRef", "name")
}

// claimNow is the claim of that name at the end; nil if there is none.
func (r *reserving) claimNow(name string) *unstructured.Unstructured {
	r.t.Helper()
	claim, err := r.client.Resource(claims.GroupVersionResource).Namespace("team").Get(r.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return claim
}

// writes are all that was asked for beside get and list.
func (r *reserving) writes() (verbs []string) {
	if r.client == nil {
		return nil
	}
	for _, action := range r.client.Actions() {
		if verb := action.GetVerb(); verb != "get" && verb != "list" {
			verbs = append(verbs, verb+" "+action.GetResource().Resource)
		}
	}
	return verbs
}

const dbClaim = "IPAddressClaim team/vip-cp-db"

// reserved adds a reservation for Cluster team/db, bound to an address.
func (r *reserving) reserved(until time.Time) {
	r.t.Helper()
	r.add(fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata:
  {name: vip-cp-db, namespace: team, uid: reserved, labels: {vip.capi.gorizond.io/role: control-plane}, annotations: {vip.capi.gorizond.io/reserved-until: "%s"}}
spec: {poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}}
status: {addressRef: {name: vip-cp-db}}
---
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddress
metadata: {name: vip-cp-db, namespace: team}
spec: {address: 10.10.0.30, prefix: 24, claimRef: {name: vip-cp-db}, poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: vip-a}}`,
		kube.FormatReservedUntil(until)))
}

// addressOf adds a claim on a pool that overlaps, bound to what the provider gives next.
func (r *reserving) addressOf(claim, owners string) {
	r.t.Helper()
	r.add(fmt.Sprintf(`
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata: {name: %[1]s, namespace: team, uid: other, ownerReferences: %[2]s}
spec: {poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: InClusterIPPool, name: overlapping}}
status: {addressRef: {name: %[1]s}}
---
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddress
metadata: {name: %[1]s, namespace: team}
spec: {address: 10.10.0.20, prefix: 24, claimRef: {name: %[1]s}, poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: InClusterIPPool, name: overlapping}}`, claim, owners))
}

func TestReserveMakesAClaim(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*reserving){
		"by pool":  func(*reserving) {},
		"by class": func(r *reserving) { r.wish.pool, r.wish.class = "", "demo" },
		"by a class that only pools know": func(r *reserving) {
			r.wish.pool, r.wish.class = "", "legacy"
			r.set(poolA, "legacy", "metadata", "labels", vip.PoolClassKey)
		},
		"for a Cluster that exists without VIP": func(r *reserving) {
			r.add("{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: {name: db, namespace: team, uid: db}}")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReserving(t)
			edit(r)
			begin := time.Now().Add(r.wish.keep).Truncate(time.Second)
			if address, err := r.run(); address != "10.10.0.20" || err != nil {
				t.Fatalf("%q, %v", address, err)
			}
			claim := r.claimNow("vip-cp-db")
			labels, annotations := claim.GetLabels(), claim.GetAnnotations()
			if len(labels) != 2 || labels[vip.PoolRoleKey] != "control-plane" || labels[vip.WatchFilterLabel] != "a" || len(annotations) != 1 || len(claim.GetOwnerReferences()) > 0 {
				t.Errorf("the claim has %v, %v, %v", labels, annotations, claim.GetOwnerReferences())
			}
			until, err := time.Parse(time.RFC3339, annotations[vip.ReservedUntilAnnotation])
			if err != nil || until.Before(begin) || until.After(time.Now().Add(r.wish.keep)) {
				t.Errorf("it is kept until %s, %v", until, err)
			}
			if pool, _, _ := unstructured.NestedString(claim.Object, "spec", "poolRef", "name"); pool != "vip-a" {
				t.Errorf("it is on pool %s", pool)
			}
			if want := "claim team/vip-cp-db keeps an address of GlobalInClusterIPPool vip-a for Cluster team/db until "; len(r.said) != 1 || !strings.HasPrefix(r.said[0], want) {
				t.Errorf("it says %q", r.said)
			}
			if writes := r.writes(); !slices.Equal(writes, []string{"create ipaddressclaims"}) {
				t.Errorf("it asks for %q", writes)
			}
		})
	}
}

// A second call gives what there is, and makes nothing.
func TestReserveAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edit    func(*reserving)
		address string
		writes  []string
	}{
		"for longer":    {func(r *reserving) { r.reserved(time.Now().Add(time.Hour)) }, "10.10.0.30", []string{"patch ipaddressclaims"}},
		"for less":      {func(r *reserving) { r.reserved(time.Now().Add(48 * time.Hour)) }, "10.10.0.30", nil},
		"when it is up": {func(r *reserving) { r.reserved(time.Now().Add(-time.Hour)) }, "10.10.0.30", []string{"patch ipaddressclaims"}},
		"by class":      {func(r *reserving) { r.reserved(time.Now().Add(48 * time.Hour)); r.wish.pool, r.wish.class = "", "demo" }, "10.10.0.30", nil},
		"from a pool that is full by now": {func(r *reserving) {
			r.reserved(time.Now().Add(48 * time.Hour))
			r.set(poolA, int64(0), "status", "ipAddresses", "free")
		}, "10.10.0.30", nil},
		"for a Cluster that has it as its endpoint": {func(r *reserving) {
			r.reserved(time.Now().Add(48 * time.Hour))
			r.add("{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: {name: db, namespace: team, uid: db}, spec: {controlPlaneEndpoint: {host: 10.10.0.30, port: 6443}}}")
		}, "10.10.0.30", nil},
		"for a Cluster with a claim of its own": {func(r *reserving) { r.wish.name = "web" }, "10.10.0.10", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReserving(t)
			test.edit(r)
			if address, err := r.run(); address != test.address || err != nil {
				t.Fatalf("%q, %v", address, err)
			}
			if writes := r.writes(); !slices.Equal(writes, test.writes) {
				t.Errorf("it asks for %q, want %q", writes, test.writes)
			}
			if test.writes == nil {
				return
			}
			until, err := time.Parse(time.RFC3339, r.claimNow("vip-cp-db").GetAnnotations()[vip.ReservedUntilAnnotation])
			if left := time.Until(until); err != nil || left < 23*time.Hour || left > 24*time.Hour {
				t.Errorf("it is kept for %s, %v", left, err)
			}
		})
	}
}

// What cannot be had is refused before anything is written.
func TestReserveRefuses(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour)
	for says, edit := range map[string]func(*reserving){
		"PoolPaused: GlobalInClusterIPPool vip-b cannot serve: it carries the annotation cluster.x-k8s.io/paused": func(r *reserving) { r.wish.pool = "vip-b" },
		"PoolExhausted: GlobalInClusterIPPool vip-ingress cannot serve: it has no free address":                   func(r *reserving) { r.wish.role, r.wish.pool = vip.Ingress, "vip-ingress" },
		"PoolExhausted: no pool can serve: GlobalInClusterIPPool vip-ingress":                                     func(r *reserving) { r.wish.role, r.wish.pool, r.wish.class = vip.Ingress, "", "demo" },
		"NoPool: GlobalInClusterIPPool vip-a cannot serve: its vip.capi.gorizond.io/role does not name ingress":   func(r *reserving) { r.wish.role = vip.Ingress },
		"NoPool: there is no pool lan; pools for role control-plane are vip-a, vip-b":                             func(r *reserving) { r.wish.pool = "lan" },
		"NoPool: there is no pool team/vip-a; pools for role":                                                     func(r *reserving) { r.wish.pool = "team/vip-a" },
		"a pool in a namespace serves the Clusters of that namespace only, and this one is to be in team":         func(r *reserving) { r.wish.pool = "office/vip-a" },
		`--pool "/vip-a" is neither NAME nor NAMESPACE/NAME`:                                                      func(r *reserving) { r.wish.pool = "/vip-a" },
		`--class "a/b/c" is neither NAME nor NAMESPACE/NAME`:                                                      func(r *reserving) { r.wish.pool, r.wish.class = "", "a/b/c" },
		`"Db" cannot be the name of a Cluster`:                                                                    func(r *reserving) { r.wish.name = "Db" },
		"name either --pool or --class":                                                                           func(r *reserving) { r.wish.class = "demo" },
		"NoPool: there is no pool vip-a; not installed: globalinclusterippools.ipam.cluster.x-k8s.io":             func(r *reserving) { r.without = []string{"globalinclusterippools"} },
		"--for 0s and --timeout 1m0s must both be more than nothing":                                              func(r *reserving) { r.wish.keep = 0 },
		"ClusterClass team/dmo does not exist, and no pool for role control-plane names it":                       func(r *reserving) { r.wish.pool, r.wish.class = "", "dmo" },
		"NoPool: GlobalInClusterIPPool vip-a is no pool of VIPs: it carries neither":                              func(r *reserving) { r.set(poolA, nil, "metadata", "labels") },
		"PoolNotAllowed: GlobalInClusterIPPool vip-a cannot serve":                                                func(r *reserving) { r.set(poolA, "office", "metadata", "annotations", vip.PoolNamespacesKey) },
		"PoolInvalid: GlobalInClusterIPPool vip-a cannot serve: vip.capi.gorizond.io/priority":                    func(r *reserving) { r.set(poolA, "high", "metadata", "annotations", vip.PoolPriorityKey) },
		"Cluster team/web exists, and its control-plane VIP is 10.10.0.10": func(r *reserving) {
			r.wish.name = "web"
			delete(r.objects, cpClaim)
		},
		"Cluster team/web exists, and its control-plane VIP is api.example.com": func(r *reserving) {
			r.wish.name = "web"
			r.set(web, "api.example.com", "spec", "controlPlaneEndpoint", "host")
		},
		"Cluster team/db exists, and its control-plane VIP is 10.10.0.31": func(r *reserving) {
			r.reserved(soon)
			r.add("{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: {name: db, namespace: team, uid: db}, spec: {controlPlaneEndpoint: {host: 10.10.0.31, port: 6443}}}")
		},
		"Cluster team/web exists and is of class team/demo, not team/other": func(r *reserving) { r.wish.name, r.wish.pool, r.wish.class = "web", "", "other" },
		"claim team/vip-cp-db is somebody else's: it has neither an owner nor annotation vip.capi.gorizond.io/reserved-until; if it may go: kubectl delete ipaddressclaim vip-cp-db -n team": func(r *reserving) {
			r.reserved(soon)
			r.set(dbClaim, nil, "metadata", "annotations")
		},
		"claim team/vip-cp-db is somebody else's: its owner is Machine m": func(r *reserving) {
			r.reserved(soon)
			r.set(dbClaim, []any{map[string]any{"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine", "name": "m", "uid": "m"}}, "metadata", "ownerReferences")
		},
		"claim team/vip-cp-db is in the way: its label vip.capi.gorizond.io/role is ingress": func(r *reserving) {
			r.reserved(soon)
			r.set(dbClaim, "ingress", "metadata", "labels", vip.PoolRoleKey)
		},
		`claim team/vip-cp-db: "tomorrow" is no time in RFC 3339`: func(r *reserving) {
			r.reserved(soon)
			r.set(dbClaim, "tomorrow", "metadata", "annotations", vip.ReservedUntilAnnotation)
		},
		"claim team/vip-cp-db is on GlobalInClusterIPPool vip-a, not on the pool vip-b": func(r *reserving) {
			r.reserved(soon)
			r.wish.pool = "vip-b"
		},
		"reserving needs to see everything that may have an address, and not visible are: Cluster outside of namespace team (forbidden), IPAddress (forbidden)": func(r *reserving) {
			r.forbidden = []string{"ipaddresses", "clusters outside team"}
		},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			r := newReserving(t)
			edit(r)
			address, err := r.run()
			if address != "" || err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q, %v", address, err)
			}
			if writes := r.writes(); len(writes) > 0 {
				t.Errorf("it asks for %q", writes)
			}
		})
	}
}

// A claim without an address that can be used is taken back.
func TestReserveTakesItsClaimBack(t *testing.T) {
	t.Parallel()
	for says, edit := range map[string]func(*reserving){
		"claim team/vip-cp-db is not bound after 500ms: see whether the IPAM provider of GlobalInClusterIPPool vip-a runs": func(r *reserving) { r.gives = "" },
		"AddressInUse: 10.10.0.10 from GlobalInClusterIPPool vip-a is used by Cluster team/web":                            func(r *reserving) { r.gives = "10.10.0.10" },
		"AddressInUse: 10.10.0.11 from GlobalInClusterIPPool vip-a is used by IPAddress office/printer":                    func(r *reserving) { r.gives = "10.10.0.11" },
		"AddressInvalid: 10.10.0.200 is none of the addresses of GlobalInClusterIPPool vip-a":                              func(r *reserving) { r.gives = "10.10.0.200" },
		"AddressInUse: 10.10.0.20 from GlobalInClusterIPPool vip-a is that of IPAddress team/vip-cp-rival": func(r *reserving) {
			r.addressOf("vip-cp-rival", `[{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, name: rival, uid: rival}]`)
			r.add("{apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, metadata: {name: rival, namespace: team, uid: rival}, spec: {topology: {classRef: {name: demo}}}}")
		},
		"AddressInUse: 10.10.0.20 from GlobalInClusterIPPool vip-a is that of claim vip-ingress-db too": func(r *reserving) {
			r.addressOf("vip-ingress-db", "[]")
		},
		`AddressInvalid: IPAddress vip-cp-db: "10.10.0.0/24" is not one IP address`: func(r *reserving) { r.gives = "10.10.0.0/24" },
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			r := newReserving(t)
			r.wish.timeout = 500 * time.Millisecond
			if edit(r); r.gives != "" {
				r.wish.timeout = time.Minute
			}
			address, err := r.run()
			if address != "" || err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%q, %v", address, err)
			}
			if claim := r.claimNow("vip-cp-db"); claim != nil {
				t.Errorf("the claim is left: %v", claim.Object)
			}
			if writes := r.writes(); !slices.Equal(writes, []string{"create ipaddressclaims", "delete ipaddressclaims"}) {
				t.Errorf("it asks for %q", writes)
			}
		})
	}
}

// What was reserved before may be in use by now: it is not taken back over a clash.
func TestReserveKeepsWhatWasReservedBefore(t *testing.T) {
	t.Parallel()
	r := newReserving(t)
	r.reserved(time.Now().Add(48 * time.Hour))
	r.set("IPAddress office/printer", "10.10.0.30", "spec", "address")
	if address, err := r.run(); address != "" || err == nil || !strings.Contains(err.Error(), "AddressInUse: 10.10.0.30") {
		t.Errorf("%q, %v", address, err)
	}
	if writes := r.writes(); len(writes) > 0 || r.claimNow("vip-cp-db") == nil {
		t.Errorf("it asks for %q", writes)
	}
}

// Two calls at once get the same address.
func TestReserveLosesARace(t *testing.T) {
	t.Parallel()
	r := newReserving(t)
	if err := r.wish.check(); err != nil {
		t.Fatal(err)
	}
	reading := r.reading()
	r.client.PrependReactor("create", "ipaddressclaims", func(action clienttesting.Action) (bool, runtime.Object, error) {
		object := action.(clienttesting.CreateAction).GetObject().(*unstructured.Unstructured).DeepCopy()
		create := clienttesting.NewCreateAction(action.GetResource(), action.GetNamespace(), object)
		if _, _, err := r.bind(create); err != nil {
			return true, nil, err
		}
		err := r.client.Tracker().Create(claims.GroupVersionResource, object, "team")
		return true, nil, errors.Join(err, apierrors.NewAlreadyExists(claims.GroupResource(), object.GetName()))
	})
	config, _, err := r.settings().find(t.Context(), reading)
	if err != nil {
		t.Fatal(err)
	}
	if address, err := r.wish.reserver(reading, config, func(string, ...any) {}).run(t.Context()); address != "10.10.0.20" || err != nil {
		t.Errorf("%q, %v", address, err)
	}
}
