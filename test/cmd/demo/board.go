package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// row is what the demo tells about one Cluster.
type row struct {
	name            string
	created         time.Time // when the watch brought it, like all times here
	controlPlaneVIP string
	manual          bool // the user chose the control-plane VIP
	ingressVIP      string
	wantsIngress    bool
	served          time.Time // when it first had all of its VIPs; zero before
	waiting         string    // what the allocator says about a VIP that is missing
	infrastructure  *birth    // nil before it exists
}

// birth is the first version of an infrastructure object that ever existed. What
// it becomes later is none of its business.
type birth struct {
	name       string
	host       string
	ingressVIP string
}

// board follows the Clusters and their infrastructure.
type board struct {
	changed chan struct{} // has an element when rows would return something new

	mutex    sync.Mutex
	clusters map[types.NamespacedName]*row
	births   map[types.UID]birth
	owners   map[types.UID]types.NamespacedName // of the infrastructure objects
}

func newBoard() *board {
	return &board{
		changed:  make(chan struct{}, 1),
		clusters: map[types.NamespacedName]*row{},
		births:   map[types.UID]birth{},
		owners:   map[types.UID]types.NamespacedName{},
	}
}

// watch begins before the Clusters are created, so the first version that it sees
// of an object is the first there was.
func (b *board) watch(ctx context.Context, client dynamic.Interface) error {
	if err := observe.Watch(ctx, client, observe.DemoClusters, b.onInfrastructure); err != nil {
		return err
	}
	return observe.Watch(ctx, client, observe.Clusters, b.onCluster)
}

func (b *board) onInfrastructure(e observe.Event[observe.DemoCluster]) {
	defer b.tell()
	b.mutex.Lock()
	defer b.mutex.Unlock()
	object := e.Object
	if e.Deleted {
		delete(b.births, object.UID)
		delete(b.owners, object.UID)
		return
	}
	if _, known := b.births[object.UID]; known {
		return
	}
	b.births[object.UID] = birth{
		name:       object.Name,
		host:       object.Spec.ControlPlaneEndpoint.Host,
		ingressVIP: object.Spec.IngressVIP,
	}
	b.owners[object.UID] = types.NamespacedName{
		Namespace: object.Namespace, Name: object.Labels[clusterv1.ClusterNameLabel],
	}
}

func (b *board) onCluster(e observe.Event[clusterv1.Cluster]) {
	defer b.tell()
	b.mutex.Lock()
	defer b.mutex.Unlock()
	cluster := e.Object
	key := types.NamespacedName{Namespace: cluster.Namespace, Name: cluster.Name}
	if e.Deleted {
		delete(b.clusters, key)
		return
	}
	r := b.clusters[key]
	if r == nil {
		r = &row{name: cluster.Name, created: e.At}
		b.clusters[key] = r
	}
	r.update(cluster)
	if r.served.IsZero() && observe.CarriesControlPlaneVIP(cluster) &&
		(!r.wantsIngress || observe.CarriesIngressVIP(cluster)) {
		r.served = e.At
	}
}

// update reads the Cluster's present state.
func (r *row) update(cluster *clusterv1.Cluster) {
	r.controlPlaneVIP = cluster.Spec.ControlPlaneEndpoint.Host
	r.ingressVIP = cluster.Annotations[observe.IngressVIP]
	r.wantsIngress = observe.WantsIngress(cluster)
	r.manual, r.waiting = false, ""
	for _, name := range []string{observe.ControlPlaneReady, observe.IngressReady} {
		condition := meta.FindStatusCondition(cluster.Status.Conditions, name)
		switch {
		case condition == nil:
		case condition.Status != "True" && r.waiting == "":
			r.waiting = condition.Message
		case name == observe.ControlPlaneReady && condition.Reason == "Manual":
			r.manual = true
		}
	}
}

// tell wakes the reader, who may have been woken already.
func (b *board) tell() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// rows returns the present state, ordered by name.
func (b *board) rows() []row {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	births := map[types.NamespacedName]*birth{}
	for uid, owner := range b.owners {
		first := b.births[uid]
		births[owner] = &first
	}
	var rows []row
	for _, key := range slices.SortedFunc(maps.Keys(b.clusters), compareNames) {
		r := *b.clusters[key]
		r.infrastructure = births[key]
		rows = append(rows, r)
	}
	return rows
}

func compareNames(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) }
