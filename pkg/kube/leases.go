package kube

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Leases decides who gets an address that several pools could hand out: creating
// an object of the address's name is the one thing that only one of two writers
// can do. They are made for contested addresses only.
type Leases struct {
	client    kubernetes.Interface
	namespace string
	store     cache.Store
	informer  cache.SharedIndexInformer
}

// LeaseHolder is the Cluster and role that an address is leased to.
type LeaseHolder struct {
	ClusterUID string
	Role       vip.Role
	// Cluster is the holder's namespace/name, for people.
	Cluster string
}

// LeaseLabel marks our Leases of addresses.
const LeaseLabel = vip.Prefix + "address-lease"

const (
	leaseClusterAnnotation = vip.Prefix + "cluster"
	leaseAddressAnnotation = vip.Prefix + "address"
)

// NewLeases returns Leases in the namespace. Start makes their cache through the
// watching client, which must have no timeout.
func NewLeases(client, watching kubernetes.Interface, namespace string) *Leases {
	factory := informers.NewSharedInformerFactoryWithOptions(watching, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = LeaseLabel }))
	informer := factory.Coordination().V1().Leases().Informer()
	return &Leases{client: client, namespace: namespace, store: informer.GetStore(), informer: informer}
}

// Start runs the cache and waits for it for a while.
func (l *Leases) Start(ctx context.Context) error {
	if err := l.informer.SetTransform(Trim); err != nil {
		return fmt.Errorf("cache of Leases: %w", err)
	}
	go l.informer.RunWithContext(ctx)
	return waitOptional(ctx, "Leases in "+l.namespace, l.informer)
}

// OnEvent calls the handler for every change of one of our Leases.
func (l *Leases) OnEvent(handler func(old, current *coordinationv1.Lease)) (cache.DoneChecker, error) {
	return OnEvent(l.informer, handler)
}

// LeaseName is the name of the Lease of an address, in which no two spellings differ.
func LeaseName(key netip.Addr) string {
	bytes := key.As16()
	return "vip-" + hex.EncodeToString(bytes[:])
}

// LeasedAddress leads from the Lease back to its address.
func LeasedAddress(lease *coordinationv1.Lease) (netip.Addr, bool) {
	raw, err := hex.DecodeString(strings.TrimPrefix(lease.Name, "vip-"))
	if err != nil {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(raw)
}

// Cached returns the Lease of that name; nil if the cache has none.
func (l *Leases) Cached(name string) *coordinationv1.Lease {
	object, exists, err := l.store.GetByKey(l.namespace + "/" + name)
	if !exists || err != nil {
		return nil
	}
	lease, _ := object.(*coordinationv1.Lease)
	return lease
}

// HolderOf returns to whom the address is leased; ok is false if to nobody.
func (l *Leases) HolderOf(key netip.Addr) (holder LeaseHolder, ok bool) {
	if lease := l.Cached(LeaseName(key)); lease != nil {
		return Holder(lease), true
	}
	return LeaseHolder{}, false
}

// List returns every Lease of the cache.
func (l *Leases) List() []*coordinationv1.Lease {
	var leases []*coordinationv1.Lease
	for _, object := range l.store.List() {
		if lease, ok := object.(*coordinationv1.Lease); ok {
			leases = append(leases, lease)
		}
	}
	return leases
}

// Acquire makes the Lease of the address. If somebody else has it already, that
// holder is returned; having it ourselves is as good as making it.
func (l *Leases) Acquire(ctx context.Context, key netip.Addr, holder LeaseHolder) (other *LeaseHolder, err error) {
	identity := holder.ClusterUID + "/" + string(holder.Role)
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: l.namespace, Name: LeaseName(key),
			Labels:      map[string]string{LeaseLabel: "true"},
			Annotations: map[string]string{leaseClusterAnnotation: holder.Cluster, leaseAddressAnnotation: key.Unmap().String()},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &identity},
	}
	leases := l.client.CoordinationV1().Leases(l.namespace)
	_, err = leases.Create(ctx, lease, metav1.CreateOptions{FieldManager: FieldManager})
	if err == nil {
		return nil, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create Lease %s of %s: %w", lease.Name, key.Unmap(), err)
	}
	existing, err := leases.Get(ctx, lease.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get Lease %s of %s: %w", lease.Name, key.Unmap(), err)
	}
	if found := Holder(existing); found.ClusterUID != holder.ClusterUID || found.Role != holder.Role {
		return &found, nil
	}
	return nil, nil
}

// Release deletes exactly this Lease. If it changed meanwhile, that is an error: its
// holder may be the same, and then no event asks for it again.
func (l *Leases) Release(ctx context.Context, lease *coordinationv1.Lease) error {
	err := l.client.CoordinationV1().Leases(l.namespace).Delete(ctx, lease.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete Lease %s: %w", lease.Name, err)
	}
	return nil
}

// Holder tells to whom the Lease gives its address.
func Holder(lease *coordinationv1.Lease) LeaseHolder {
	identity := ""
	if lease.Spec.HolderIdentity != nil {
		identity = *lease.Spec.HolderIdentity
	}
	uid, role, _ := strings.Cut(identity, "/")
	return LeaseHolder{ClusterUID: uid, Role: vip.Role(role), Cluster: lease.Annotations[leaseClusterAnnotation]}
}
