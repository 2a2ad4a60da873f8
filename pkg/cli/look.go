package cli

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// What is read, and what cannot be told without it.
var (
	clusters = resource{
		GroupVersionResource: clusterv1.GroupVersion.WithResource("clusters"), kind: "Cluster",
		unknown: "whether other Clusters use an address",
	}
	classes = resource{
		GroupVersionResource: clusterv1.GroupVersion.WithResource("clusterclasses"), kind: "ClusterClass",
		unknown: "variables and gates of classes",
	}
	claims = resource{
		GroupVersionResource: ipamv1.GroupVersion.WithResource("ipaddressclaims"), kind: "IPAddressClaim",
		unknown: "who claims addresses",
	}
	addresses = resource{
		GroupVersionResource: ipamv1.GroupVersion.WithResource("ipaddresses"), kind: "IPAddress",
		unknown: "which address a claim is bound to, and who else has it",
	}
	leases = resource{
		GroupVersionResource: coordinationv1.SchemeGroupVersion.WithResource("leases"), kind: "Lease",
		selector: kube.LeaseLabel, unknown: "who gets an address that several pools could hand out",
	}
	configMaps = resource{
		GroupVersionResource: corev1.SchemeGroupVersion.WithResource("configmaps"), kind: "ConfigMap",
		unknown: "whether the hold gate is on; it is taken to be",
	}
	deployments = resource{
		GroupVersionResource: appsv1.SchemeGroupVersion.WithResource("deployments"), kind: "Deployment",
		unknown: "the controller's settings; defaults are assumed",
	}
)

// anyPool stands for every kind of pool.
const anyPool = "pool"

// look is everything that an observer needs, listed once.
type look struct {
	snapshot.Listed
	*reading
	config *config.Config
	// gates tells what Cluster API does for a new Cluster of a class without a VIP.
	gates func(*clusterv1.ClusterClass) map[vip.Role]gate.Finding
}

// look lists. A user who may not list everywhere sees what is in the namespace.
func (r *reading) look(ctx context.Context, namespace string, c *config.Config) (*look, error) {
	l := &look{reading: r, config: c, Listed: snapshot.Listed{Settings: c.Settings(), Evaluator: sandbox.NewForOne()}}
	var err error
	if l.Clusters, err = listOf[clusterv1.Cluster](ctx, r, clusters, namespace); err != nil {
		return nil, err
	}
	if l.Classes, err = listOf[clusterv1.ClusterClass](ctx, r, classes, namespace); err != nil {
		return nil, err
	}
	if l.Claims, err = listOf[ipamv1.IPAddressClaim](ctx, r, claims, namespace); err != nil {
		return nil, err
	}
	if l.Addresses, err = listOf[ipamv1.IPAddress](ctx, r, addresses, namespace); err != nil {
		return nil, err
	}
	if l.Pools, err = r.pools(ctx, namespace, c.AllPoolKinds()); err != nil {
		return nil, err
	}
	if l.Leases, err = r.leases(ctx, c.LeaseNamespace); err != nil {
		return nil, err
	}
	l.Settings.HoldGate, err = r.holdGate(ctx, c)
	return l, err
}

// pools lists the pools of the kinds that are served. The controller, too, does
// without a kind that is not installed.
func (r *reading) pools(ctx context.Context, namespace string, wanted []schema.GroupResource) (*kube.Pools, error) {
	found := map[kube.PoolKind][]unstructured.Unstructured{}
	for _, want := range wanted {
		what := resource{kind: want.String(), pool: true, unknown: "whether one of them could serve"}
		kind, served, err := kube.DiscoverPoolKind(r.discovery, want)
		if err != nil {
			return nil, err
		}
		if !served {
			r.note(what, "", notInstalled)
			continue
		}
		what.kind, what.GroupVersionResource, what.clusterScoped = kind.Kind, kind.GroupVersionResource, !kind.Namespaced
		if found[kind], err = r.list(ctx, what, namespace); err != nil {
			return nil, err
		}
	}
	return kube.ListedPools(found)
}

// leases lists the Leases of addresses, all of which are in one namespace.
func (r *reading) leases(ctx context.Context, namespace string) (*kube.Leases, error) {
	found, err := r.listIn(ctx, leases, namespace)
	if err != nil {
		return nil, err
	}
	typed, err := decode[coordinationv1.Lease](found)
	if err != nil {
		return nil, err
	}
	return kube.ListedLeases(namespace, typed)
}

// holdGate tells whether the ConfigMap that switches the hold gate exists. Like the
// controller, it takes the gate to be on as long as it cannot be told.
func (r *reading) holdGate(ctx context.Context, c *config.Config) (bool, error) {
	if c.HoldGate == "" {
		return false, nil
	}
	// By list, since the controller's own rights allow that.
	what := configMaps
	what.field = fields.OneTermEqualSelector(metav1.ObjectNameField, c.HoldGate).String()
	found, err := r.listIn(ctx, what, c.LeaseNamespace)
	return len(found) > 0 || r.misses(configMaps.kind), err
}

// addClass completes the look by the class of a Cluster, which may be all that the
// user may see.
func (l *look) addClass(ctx context.Context, key vip.ClassKey) error {
	if key.Name == "" || !l.misses(classes.kind) {
		return nil
	}
	if l.class(key) != nil {
		return nil
	}
	object, err := l.get(ctx, classes, key.Namespace, key.Name)
	if err != nil || object == nil {
		return err
	}
	class, err := decodeOne[clusterv1.ClusterClass](object)
	if err != nil {
		return err
	}
	l.Classes = append(l.Classes, class)
	for i := range l.unseen {
		if u := &l.unseen[i]; u.Kind == classes.kind {
			u.Scope, u.Unknown = "other than "+key.String(), "variables of other Clusters"
		}
	}
	return nil
}

// class returns the class as it was listed; nil if it was not visible.
func (l *look) class(key vip.ClassKey) *clusterv1.ClusterClass {
	for _, class := range l.Classes {
		if class.Namespace == key.Namespace && class.Name == key.Name {
			return class
		}
	}
	return nil
}

// blind tells whether something was kept from us by which the planner's answer could
// be another. What is not installed the controller does not see either.
func (l *look) blind() bool {
	for _, kind := range []string{clusters.kind, classes.kind, claims.kind, addresses.kind, anyPool} {
		if l.misses(kind) {
			return true
		}
	}
	return false
}

// reader observes what was listed.
func (l *look) reader() (*snapshot.Reader, error) {
	reader, err := snapshot.NewReader(l.Listed)
	if err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	l.gates = reader.Inspect
	return reader, nil
}
