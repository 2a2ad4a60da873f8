package snapshot

import (
	"fmt"
	"net/netip"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Booking is what is to be done about a VIP that somebody typed on a Cluster.
type Booking struct {
	Role vip.Role
	// Release is a booking that is out of date. Otherwise Key is to be booked in Pool.
	Release *ipamv1.IPAddress
	Pool    *kube.Pool
	Key     netip.Addr
}

// Bookings returns what is to be done about the Cluster's typed VIPs, nil if nothing is.
func (o *Observer) Bookings(s *vip.Snapshot) ([]Booking, error) {
	c := &s.Cluster
	if vip.SkipsBooking(c, s.Settings) {
		return nil, nil
	}
	manual := vip.ManualVIPs(s)
	var todo []Booking
	for _, role := range vip.Roles() {
		key := manual[role]
		booked, err := o.booking(c.Namespace, c.Name, role)
		if err != nil {
			return nil, err
		}
		switch {
		case booked != nil && !o.keepsBooking(c, booked, key):
			todo = append(todo, Booking{Role: role, Release: booked})
		case booked == nil && key.IsValid():
			pool, err := o.books(c, key)
			if err != nil {
				return nil, err
			}
			if pool != nil {
				todo = append(todo, Booking{Role: role, Pool: pool, Key: key})
			}
		}
	}
	return todo, nil
}

// LeftBookings returns what is booked for a Cluster that does not exist. The garbage
// collector frees what one owned, but not what was orphaned on purpose.
func (o *Observer) LeftBookings(namespace, name string) ([]Booking, error) {
	var left []Booking
	for _, role := range vip.Roles() {
		booked, err := o.booking(namespace, name, role)
		if err != nil {
			return nil, err
		}
		if booked != nil && len(booked.OwnerReferences) == 0 {
			left = append(left, Booking{Role: role, Release: booked})
		}
	}
	return left, nil
}

// booking is the IPAddress that books a VIP of the role, nil if there is none.
func (o *Observer) booking(namespace, cluster string, role vip.Role) (*ipamv1.IPAddress, error) {
	address, err := o.Addresses.Get(namespace, role.BookingName(cluster))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get IPAddress: %w", err)
	}
	if !kube.IsBooking(address) || !address.DeletionTimestamp.IsZero() {
		return nil, nil
	}
	return address, nil
}

func (o *Observer) keepsBooking(c *vip.Cluster, booked *ipamv1.IPAddress, key netip.Addr) bool {
	pool := o.Pools.Get(o.Pools.Scope().Ref(booked.Spec.PoolRef, booked.Namespace))
	if now, ok := vip.Key(booked.Spec.Address); !ok || now != key || pool == nil || !pool.Ours {
		return false
	}
	view := pool.View()
	return kube.OwnedBy(booked.OwnerReferences, c.UID) && view.KeepsBooking(key)
}

// books is the pool in which the address is to be booked for the Cluster now.
func (o *Observer) books(c *vip.Cluster, key netip.Addr) (*kube.Pool, error) {
	var pools []vip.Pool
	for _, pool := range o.Pools.List() {
		if pool.CanPin() {
			pools = append(pools, pool.View())
		}
	}
	pool := vip.BookingPool(c, pools, key)
	if pool == nil {
		return nil, nil
	}
	addresses, err := o.Addresses.GetByIndex(ByAddress, key.String())
	if err != nil {
		return nil, fmt.Errorf("look up IPAddress %s: %w", key, err)
	}
	if len(addresses) > 0 {
		return nil, nil // the Cluster's own serve as well, and what is somebody else's is taken
	}
	clusters, err := o.Clusters.GetByIndex(ByAddress, key.String())
	if err != nil {
		return nil, fmt.Errorf("look up Clusters of %s: %w", key, err)
	}
	for _, cluster := range clusters {
		first, err := o.booksFirst(cluster, c, pool, key)
		if first || err != nil {
			return nil, err
		}
	}
	return o.Pools.Get(pool.Ref), nil
}

// booksFirst tells whether the other Cluster has the address booked rather than this one.
func (o *Observer) booksFirst(cluster *clusterv1.Cluster, c *vip.Cluster, pool *vip.Pool, key netip.Addr) (bool, error) {
	other := kube.Cluster(cluster)
	first := vip.BookedBefore(&other, c) || vip.Lost(&other, key)
	if other.UID == c.UID || !first || vip.SkipsBooking(&other, o.Settings) || !pool.Books(&other, key) {
		return false, nil
	}
	class, err := o.Class(other.Class)
	if err != nil {
		return false, err
	}
	return vip.Where(&other, o.ViewClass(other.Class, class), key) != "", nil
}

// belongs tells whether the IPAddress, which is of none of our claims, is the Cluster's.
func (o *Observer) belongs(c *vip.Cluster, address *ipamv1.IPAddress) bool {
	if address.Namespace != c.Namespace {
		return false
	}
	if kube.OwnedBy(address.OwnerReferences, c.UID) || address.Labels[vip.ClusterNameLabel] == c.Name {
		return true
	}
	claim, err := o.Claims.Get(address.Namespace, address.Spec.ClaimRef.Name)
	return err == nil && (kube.OwnedBy(claim.OwnerReferences, c.UID) || claim.Labels[vip.ClusterNameLabel] == c.Name)
}

// Reservation is a claim that waits for its Cluster until a time, or Err says why that is not known.
type Reservation struct {
	*vip.Claim
	Until time.Time
	Err   error
}

// Reserved returns the claims that were reserved for a Cluster of that name and have no owner.
// The Cluster need not exist.
func (o *Observer) Reserved(c *vip.Cluster) (reserved []Reservation, err error) {
	scope := o.Pools.Scope()
	for _, role := range vip.Roles() {
		claim, err := o.Claim(c, role, scope)
		if err != nil {
			return nil, err
		}
		if claim != nil && claim.ReservedUntil != "" && len(claim.OwnerUIDs) == 0 && !claim.Deleting && claim.Role == role {
			until, err := kube.ParseReservedUntil(claim.ReservedUntil)
			reserved = append(reserved, Reservation{Claim: claim, Until: until, Err: err})
		}
	}
	return reserved, nil
}
