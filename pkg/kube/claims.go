package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/rancher/lasso/pkg/client"
	"github.com/rancher/wrangler/v3/pkg/apply"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Claims creates, updates and deletes IPAddressClaims.
type Claims struct {
	apply     apply.Apply
	kind      schema.GroupVersionKind // as it is served
	client    *client.Client
	addresses *client.Client
}

// NewClaims returns Claims that compare with the given cache of IPAddressClaims.
// That cache must hold every claim: a name taken by a stranger must be visible.
func NewClaims(config *rest.Config, clients client.SharedClientFactory, served Served, cache apply.InformerGetter) (*Claims, error) {
	gvk := ipamv1.GroupVersion.WithKind("IPAddressClaim")
	claims, err := clients.ForKind(gvk)
	if err != nil {
		return nil, fmt.Errorf("client for IPAddressClaims: %w", err)
	}
	discoveryClient, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("discovery client: %w", err)
	}
	addresses, err := clients.ForKind(ipamv1.GroupVersion.WithKind("IPAddress"))
	if err != nil {
		return nil, fmt.Errorf("client for IPAddresses: %w", err)
	}
	c := &Claims{client: claims, addresses: addresses, kind: served.Kind(gvk)}
	c.apply = apply.New(discoveryClient, apply.NewClientFactory(config)).
		WithCacheTypes(servedCache{cache, c.kind}).
		// An apply set deletes what is no longer desired. A planner that forgot a
		// claim must not cost a Cluster its VIP, so deletion is only ever explicit.
		WithNoDelete().
		// The default is one per second and set, taken even by an apply without change.
		WithRateLimiting(50).
		// A claim is born with finalizers; after that they are its provider's and others'.
		WithDiffPatch(c.kind, "", "", []byte(`[{"op": "remove", "path": "/metadata/finalizers"}]`)).
		WithReconciler(c.kind, c.veto)
	return c, nil
}

// servedCache is a cache under the kind that apply looks for.
type servedCache struct {
	apply.InformerGetter
	kind schema.GroupVersionKind
}

func (c servedCache) GroupVersionKind() schema.GroupVersionKind { return c.kind }

// Ensure brings the claim to the API server: created where it is missing, patched
// where it differs. A claim of that name that is somebody else's, or on its way
// out, is left alone without an error; the planner reports it once the cache
// shows it.
func (c *Claims) Ensure(ctx context.Context, cluster *vip.Cluster, role vip.Role, claim *ipamv1.IPAddressClaim) error {
	claim.APIVersion, claim.Kind = c.kind.ToAPIVersionAndKind()
	if err := c.set(ctx, cluster.Namespace, cluster.Name, role).ApplyObjects(claim); err != nil {
		return fmt.Errorf("apply claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}

// Forget frees what apply remembers of a Cluster that is gone.
func (c *Claims) Forget(ctx context.Context, namespace, name string) error {
	for _, role := range vip.Roles() {
		if err := c.set(ctx, namespace, name, role).ApplyObjects(); err != nil {
			return fmt.Errorf("forget claims of Cluster %s/%s: %w", namespace, name, err)
		}
	}
	return nil
}

// set is one apply set per role, so that the roles never touch each other's
// claim. Its hash contains the owner's API version, which is therefore pinned,
// whichever is served: the set must survive an upgrade of Cluster API.
func (c *Claims) set(ctx context.Context, namespace, name string, role vip.Role) apply.Apply {
	return c.apply.WithContext(ctx).
		WithOwnerKey(namespace+"/"+name, clusterv1.GroupVersion.WithKind(clusterKind)).
		WithSetID(string(role) + "-vip")
}

// Pin makes the IPAddress of the claim's name before the claim is made: the in-cluster
// provider takes an IPAddress of that name for its allocation. Until then the Cluster owns
// it, so that nothing stays behind.
func (c *Claims) Pin(ctx context.Context, cluster *vip.Cluster, claim string, pool *Pool, key netip.Addr) error {
	return c.createAddress(ctx, cluster, newAddress(cluster, claim, pool, key))
}

// Book makes an IPAddress without a claim: the in-cluster provider counts it as used and
// never hands it out, and it goes with the Cluster.
func (c *Claims) Book(ctx context.Context, cluster *vip.Cluster, role vip.Role, pool *Pool, key netip.Addr) error {
	desired := newAddress(cluster, role.BookingName(cluster.Name), pool, key)
	desired.Labels[vip.ManualLabel] = "true"
	return c.createAddress(ctx, cluster, desired)
}

// IsBooking tells whether the IPAddress is one that Book made.
func IsBooking(address *ipamv1.IPAddress) bool {
	_, _, named := vip.ParseBookingName(address.Name)
	return named && address.Labels[vip.ManualLabel] == "true"
}

// Unbook deletes what Book made.
func (c *Claims) Unbook(ctx context.Context, address *ipamv1.IPAddress) error {
	err := c.addresses.Delete(ctx, address.Namespace, address.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &address.UID}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete IPAddress %s/%s: %w", address.Namespace, address.Name, err)
	}
	return nil
}

// createAddress is content with one that exists if it is the same.
func (c *Claims) createAddress(ctx context.Context, cluster *vip.Cluster, desired *ipamv1.IPAddress) error {
	namespace, name := desired.Namespace, desired.Name
	err := c.addresses.Create(ctx, cluster.Namespace, desired, &ipamv1.IPAddress{}, metav1.CreateOptions{FieldManager: FieldManager})
	if err == nil {
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create IPAddress %s/%s: %w", namespace, name, err)
	}
	found := &ipamv1.IPAddress{}
	if err := c.addresses.Get(ctx, namespace, name, found, metav1.GetOptions{}); err != nil {
		return fmt.Errorf("get IPAddress %s/%s: %w", namespace, name, err)
	}
	if !found.DeletionTimestamp.IsZero() || found.Spec.Address != desired.Spec.Address || found.Spec.PoolRef != desired.Spec.PoolRef || !OwnedBy(found.OwnerReferences, cluster.UID) {
		return fmt.Errorf("IPAddress %s/%s is in the way of %s", namespace, name, desired.Spec.Address)
	}
	return nil
}

func newAddress(cluster *vip.Cluster, name string, pool *Pool, key netip.Addr) *ipamv1.IPAddress {
	return &ipamv1.IPAddress{
		TypeMeta: metav1.TypeMeta{APIVersion: ipamv1.GroupVersion.String(), Kind: "IPAddress"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: cluster.Namespace, Name: name, OwnerReferences: []metav1.OwnerReference{ownerReference(cluster)},
			Labels: map[string]string{vip.ClusterNameLabel: cluster.Name},
		},
		Spec: ipamv1.IPAddressSpec{
			ClaimRef: ipamv1.IPAddressClaimReference{Name: name},
			PoolRef:  ipamv1.IPPoolReference{APIGroup: pool.Ref.Group, Kind: pool.Ref.Kind, Name: pool.Ref.Name},
			// In any other form the provider would not know it as its own.
			Address: key.Unmap().String(), Prefix: &pool.Network.Prefix, Gateway: pool.Network.Gateway,
		},
	}
}

// AddressList holds IPAddresses by the Key of their address.
type AddressList map[netip.Addr][]*ipamv1.IPAddress

// ListAddresses asks the API server for all IPAddresses.
func (c *Claims) ListAddresses(ctx context.Context) (AddressList, error) {
	list := &ipamv1.IPAddressList{}
	if err := c.addresses.List(ctx, metav1.NamespaceAll, list, metav1.ListOptions{}); err != nil {
		return nil, fmt.Errorf("list IPAddresses: %w", err)
	}
	all := AddressList{}
	for i := range list.Items {
		if key, ok := vip.Key(list.Items[i].Spec.Address); ok {
			all[key] = append(all[key], &list.Items[i])
		}
	}
	return all, nil
}

// Adopt makes the claim, which has no owner, the Cluster's. One that changed meanwhile or is
// gone is left alone: its own event tells.
func (c *Claims) Adopt(ctx context.Context, cluster *vip.Cluster, claim *vip.Claim) (adopted bool, err error) {
	ops := []vip.PatchOp{
		{Op: "test", Path: "/metadata/uid", Value: claim.UID},
		{Op: "test", Path: "/metadata/resourceVersion", Value: claim.ResourceVersion},
		{Op: "test", Path: "/metadata/ownerReferences", Value: nil},
		{Op: "add", Path: "/metadata/ownerReferences", Value: []metav1.OwnerReference{ownerReference(cluster)}},
	}
	if !cluster.Held() { // it has labels: those that made it ours
		ops = append(ops, vip.PatchOp{Op: "add", Path: "/metadata/labels/" + vip.EscapePointer(vip.ClusterNameLabel), Value: cluster.Name})
	}
	if claim.ReservedUntil != "" {
		ops = append(ops, vip.PatchOp{Op: "remove", Path: "/metadata/annotations/" + vip.EscapePointer(vip.ReservedUntilAnnotation)})
	}
	data, err := json.Marshal(ops)
	if err == nil {
		err = c.client.Patch(ctx, cluster.Namespace, claim.Name, types.JSONPatchType, data, &ipamv1.IPAddressClaim{}, metav1.PatchOptions{FieldManager: FieldManager})
	}
	switch {
	case apierrors.IsInvalid(err), apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("adopt claim %s/%s: %w", cluster.Namespace, claim.Name, err)
	}
	return true, nil
}

// Holds asks the API server whether the claim of that name exists and has the address. A
// claim whose IPAddress cannot be seen may have it.
func (c *Claims) Holds(ctx context.Context, namespace, name string, key netip.Addr) (bool, error) {
	claim, address := &ipamv1.IPAddressClaim{}, &ipamv1.IPAddress{}
	err := c.client.Get(ctx, namespace, name, claim, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get claim %s/%s: %w", namespace, name, err)
	}
	bound := claim.Status.AddressRef.Name
	if bound == "" {
		return false, nil
	}
	err = c.addresses.Get(ctx, namespace, bound, address, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("get IPAddress %s/%s: %w", namespace, bound, err)
	}
	has, ok := vip.Key(address.Spec.Address)
	return ok && has == key, nil
}

// Delete deletes exactly the claim that the planner saw: one that was bound or
// replaced meanwhile survives, and the API server answers with a conflict.
func (c *Claims) Delete(ctx context.Context, namespace string, claim *vip.Claim) error {
	uid := types.UID(claim.UID)
	err := c.client.Delete(ctx, namespace, claim.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &claim.ResourceVersion},
	})
	if err != nil {
		return fmt.Errorf("delete claim %s/%s: %w", namespace, claim.Name, err)
	}
	return nil
}

// veto keeps apply from adopting a stranger. Before it patches, apply hands over
// the copy of the claim that was applied last, which knows neither a deletion nor
// an owner that changed; so the live claim is asked.
func (c *Claims) veto(_, desired runtime.Object) (handled bool, err error) {
	wanted, err := meta.Accessor(desired)
	if err != nil {
		return true, fmt.Errorf("desired claim: %w", err)
	}
	live := &ipamv1.IPAddressClaim{}
	if err := c.client.Get(context.Background(), wanted.GetNamespace(), wanted.GetName(), live, metav1.GetOptions{}); err != nil {
		return true, fmt.Errorf("get claim %s/%s: %w", wanted.GetNamespace(), wanted.GetName(), err)
	}
	owners := wanted.GetOwnerReferences()
	ours := owners[len(owners)-1].UID
	for _, owner := range live.OwnerReferences {
		if owner.UID == ours {
			return !live.DeletionTimestamp.IsZero(), nil
		}
	}
	return true, nil
}
