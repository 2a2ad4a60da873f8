package snapshot

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/metrics"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Show has what the caches hold read at each scrape, by this replica alone: every other
// would count the same objects again.
func (o *Observer) Show(m *metrics.Metrics) {
	m.Classes(func(class string) bool {
		found, err := o.Classes.GetByIndex(byObjectName, class)
		return err != nil || len(found) > 0
	})
	m.Show(o.showPools, metrics.PoolsAvailable, metrics.PoolAddressesTotal, metrics.PoolAddressesFree, metrics.PoolAddressesUsed)
	m.Show(o.showClaims, metrics.ClaimsTotal, metrics.ClaimsReady, metrics.ClaimsPending)
	m.Show(o.showClasses, metrics.ClassGate)
}

// showPools shows what the pools hold, and how many of them could serve.
func (o *Observer) showPools(r metrics.Readings) error {
	pools := o.Pools.List()
	showAddresses(r, pools)
	return o.showAvailable(r, pools)
}

// showAddresses leaves out pools whose provider tells no numbers, or impossible ones.
// Free is what can be handed out: providers count addresses that are in use outside
// of the pool's ranges against it, and may so come to a negative number.
func showAddresses(r metrics.Readings, pools []*kube.Pool) {
	for _, pool := range pools {
		if !pool.Known {
			continue
		}
		name := pool.MetricName()
		r.Add(metrics.PoolAddressesTotal, float64(pool.Total), name)
		r.Add(metrics.PoolAddressesFree, float64(max(pool.Usable, 0)), name)
		r.Add(metrics.PoolAddressesUsed, float64(pool.Used), name)
	}
}

// classRole is a role of all classes of one name.
type classRole struct {
	class string
	role  vip.Role
}

// showAvailable counts the pools for each class and role that some pool names or
// that a class declares. So 0 says that new Clusters of the class would wait. Names that
// no class has are left out: a pool may name any number of those.
func (o *Observer) showAvailable(r metrics.Readings, pools []*kube.Pool) error {
	wanted, exists, err := o.declared()
	if err != nil {
		return err
	}
	for _, pool := range pools {
		names, _ := pool.Serves.ClassNames()
		for _, name := range names {
			for _, role := range pool.Serves.Roles {
				if key := (classRole{name, role}); exists[name] && wanted[key] == nil {
					wanted[key] = []string{}
				}
			}
		}
	}
	for key := range wanted {
		r.Add(metrics.PoolsAvailable, 0, key.class, string(key.role))
	}
	for _, pool := range pools {
		if !o.available(pool) {
			continue
		}
		names, every := pool.Serves.ClassNames()
		for key, namespaces := range wanted {
			// A namespaced pool for every class is none for those of other namespaces.
			reaches := every && (pool.Ref.Namespace == "" || slices.Contains(namespaces, pool.Ref.Namespace))
			if pool.Serves.HasRole(key.role) && (reaches || slices.Contains(names, key.class)) {
				r.Add(metrics.PoolsAvailable, 1, key.class, string(key.role))
			}
		}
	}
	return nil
}

// declared returns the roles whose variables classes declare, with the namespaces of
// these classes, and the names of all classes that exist.
func (o *Observer) declared() (result map[classRole][]string, exists map[string]bool, err error) {
	classes, err := o.Classes.List(metav1.NamespaceAll, labels.Everything())
	if err != nil {
		return nil, nil, fmt.Errorf("list ClusterClasses: %w", err)
	}
	result, exists = map[classRole][]string{}, map[string]bool{}
	for _, class := range classes {
		exists[class.Name] = true
		view := o.ViewClass(vip.ClassKey{Namespace: class.Namespace, Name: class.Name}, class)
		for role, variable := range view.Roles {
			if variable.Declared {
				key := classRole{class.Name, role}
				result[key] = append(result[key], class.Namespace)
			}
		}
	}
	return result, exists, nil
}

// available tells whether a new claim could be made on the pool now.
func (o *Observer) available(pool *kube.Pool) bool {
	view := pool.View()
	free, known := o.Allocator.Free(pool.Ref)
	return view.Available() && (!known || free > 0)
}

// showClaims counts the claims for VIPs; other claims are none of our business.
func (o *Observer) showClaims(r metrics.Readings) error {
	claims, err := o.Claims.List(metav1.NamespaceAll, labels.Everything())
	if err != nil {
		return fmt.Errorf("list IPAddressClaims: %w", err)
	}
	for _, claim := range claims {
		role, ours := kube.VIPClaim(claim)
		if !ours {
			continue
		}
		ready, pending := 1.0, 0.0
		if claim.Status.AddressRef.Name == "" {
			ready, pending = pending, ready
		}
		r.Add(metrics.ClaimsTotal, 1, string(role), claim.Namespace)
		r.Add(metrics.ClaimsReady, ready, string(role), claim.Namespace)
		r.Add(metrics.ClaimsPending, pending, string(role), claim.Namespace)
	}
	return nil
}

// showClasses shows the gate of every class as far as it is known: a scrape runs no
// templates. Classes of one name are summed up.
func (o *Observer) showClasses(r metrics.Readings) error {
	classes, err := o.Classes.List(metav1.NamespaceAll, labels.Everything())
	if err != nil {
		return fmt.Errorf("list ClusterClasses: %w", err)
	}
	for _, class := range classes {
		for role, finding := range o.Views.GatesOf(vip.ClassKey{Namespace: class.Namespace, Name: class.Name}) {
			if finding.State != gate.Unconcerned {
				r.Add(metrics.ClassGate, 1, class.Name, string(role), string(finding.State))
			}
		}
	}
	return nil
}
