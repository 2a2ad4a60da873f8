package scale

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// Names that occur in the mould and nowhere else, and what is in their place in a cast.
const (
	mouldCluster = "mould-cluster"
	mouldTenant  = "mould-tenant"
	mouldClass   = "mould-class"
	mouldPool    = "mould-" // and a role
)

// Each set of objects that the allocator applies has a hash of its own, by which the cache
// is indexed.
const (
	hashLabel  = "objectset.rio.cattle.io/hash"
	hashLength = 40
)

// mould is a Cluster with its claims and addresses that the allocator itself has
// served until there was nothing left to do. All converged Clusters are copies of it, so
// that nobody has to know what the allocator writes.
type mould struct {
	cluster           string // each is JSON
	claims, addresses map[string]string
	original          []string // what a cast has something else for, see cast
}

// makeMould has one Cluster served and copies it, and takes everything away again.
func (w *world) makeMould(ctx context.Context) (*mould, error) {
	t := &tenant{namespace: mouldTenant, class: mouldClass, pools: map[string][]*pool{}}
	for i, role := range roles {
		p := &pool{name: mouldPool + role, network: fmt.Sprintf("10.63.%d.", i)}
		t.pools[role], w.pools[p.name] = []*pool{p}, p
	}
	if err := w.makeTenant(ctx, t); err != nil {
		return nil, err
	}
	process, err := w.launch(ctx)
	if err != nil {
		return nil, err
	}
	defer process.Kill()
	s := &sample{tenant: t, name: mouldCluster, number: 1}
	if err := w.serveUntilBuilt(ctx, s); err != nil {
		return nil, fmt.Errorf("%w; end of the allocator's log:\n%s", err, process.LogTail())
	}
	if _, err := process.Stop(); err != nil {
		return nil, err
	}
	m, err := w.copyOf(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := w.withdraw(ctx, s); err != nil {
		return nil, err
	}
	for _, pools := range t.pools {
		delete(w.pools, pools[0].name)
		if err := w.client.Resource(observe.GlobalPools).Delete(ctx, pools[0].name, metav1.DeleteOptions{}); err != nil {
			return nil, err
		}
	}
	return m, w.client.Resource(observe.ClusterClasses).Namespace(mouldTenant).Delete(ctx, mouldClass, metav1.DeleteOptions{})
}

// serveUntilBuilt makes a Cluster, plays Cluster API once it has its VIPs, and waits
// for the allocator's last word.
func (w *world) serveUntilBuilt(ctx context.Context, s *sample) error {
	if err := w.order(ctx, s); err != nil {
		return err
	}
	if err := w.provide(ctx, s); err != nil {
		return err
	}
	if err := w.build(ctx, s); err != nil {
		return err
	}
	return w.untilCluster(ctx, s, "reports its VIPs", func(cluster *clusterv1.Cluster) bool {
		return meta.IsStatusConditionTrue(cluster.Status.Conditions, observe.ControlPlaneReady) &&
			meta.IsStatusConditionTrue(cluster.Status.Conditions, observe.IngressReady)
	})
}

// build writes what Cluster API has written when a Cluster is built.
func (w *world) build(ctx context.Context, s *sample) error {
	built, err := manifest("built.yaml")
	if err != nil {
		return err
	}
	status := map[string]any{"status": built["status"]}
	delete(built, "status")
	for _, part := range []struct {
		patch       map[string]any
		subresource []string
	}{{built, nil}, {status, []string{"status"}}} {
		patch, err := json.Marshal(part.patch)
		if err != nil {
			return err
		}
		_, err = w.in(observe.Clusters, s).Patch(ctx, s.name, types.MergePatchType, patch, metav1.PatchOptions{}, part.subresource...)
		if err != nil {
			return fmt.Errorf("build cluster %s: %w", s.name, err)
		}
	}
	return nil
}

// copyOf reads what belongs to the Cluster.
func (w *world) copyOf(ctx context.Context, s *sample) (*mould, error) {
	m := &mould{claims: map[string]string{}, addresses: map[string]string{}}
	cluster, err := w.in(observe.Clusters, s).Get(ctx, s.name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	m.original = []string{mouldCluster, mouldTenant, mouldClass, string(cluster.GetUID())}
	if m.cluster, err = bare(cluster); err != nil {
		return nil, err
	}
	claims, err := w.claimsOf(ctx, s)
	if err != nil {
		return nil, err
	}
	for i := range claims {
		claim := &claims[i]
		role := claim.GetLabels()[observe.RoleLabel]
		address, err := w.in(observe.Addresses, s).Get(ctx, claim.GetName(), metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		p := s.tenant.pools[role][0]
		m.original = append(m.original, p.address(s.number), p.name, p.uid, string(claim.GetUID()), claim.GetLabels()[hashLabel])
		if m.claims[role], err = bare(claim); err != nil {
			return nil, err
		}
		if m.addresses[role], err = bare(address); err != nil {
			return nil, err
		}
	}
	if len(claims) != len(roles) || claims[0].GetLabels()[observe.RoleLabel] != roles[0] {
		return nil, fmt.Errorf("%d claims, or in another order than %v", len(claims), roles)
	}
	return m, nil
}

// bare is the JSON of an object without what the API server alone writes. A new
// object is of the first generation.
func bare(object *unstructured.Unstructured) (string, error) {
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return "", err
	}
	for _, condition := range conditions {
		if fields, ok := condition.(map[string]any); ok {
			fields["observedGeneration"] = int64(1)
		}
	}
	if len(conditions) > 0 {
		if err := unstructured.SetNestedSlice(object.Object, conditions, "status", "conditions"); err != nil {
			return "", err
		}
	}
	content, err := json.Marshal(object.Object)
	return string(content), err
}
