package lint

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Options say what the input does not.
type Options struct {
	// Live are Clusters that exist, as `kubectl get clusters -A -o yaml` prints them.
	Live []Source
	// OtherGate says that the hold gate or the hook gate keeps new Clusters waiting, so
	// that an open class gate does no harm.
	OtherGate bool
	// Exists says that the input is what an API server has: what would happen when it is
	// applied is past then.
	Exists bool
}

// linter holds the input. What one object means may depend on the others.
type linter struct {
	options   Options
	evaluator *sandbox.Evaluator
	classes   []*class
	pools     []*pool
	clusters  []*cluster
	// users lists by Key of the address whose VIP it is.
	users    map[netip.Addr][]user
	findings []Finding
	// planner decides for the Clusters of the input; nil if there is nothing to decide by.
	planner *planner
}

// Result is what was found, in the order of the sources, and in how many objects.
type Result struct {
	Findings                 []Finding
	Classes, Pools, Clusters int
	// Plans say what would happen to each Cluster whose class and pools are given.
	Plans []ClusterPlan
}

// Run checks the sources.
func Run(sources []Source, options Options) Result {
	l := &linter{options: options, evaluator: sandbox.NewForOne()}
	defer l.evaluator.Close()
	for _, source := range sources {
		l.load(source, false)
	}
	for _, source := range options.Live {
		l.load(source, true)
	}
	l.indexUsers()
	if !options.Exists {
		l.preparePlan()
	}
	for _, p := range l.pools {
		l.checkPool(p)
	}
	for _, c := range l.classes {
		l.checkClass(c)
	}
	for _, c := range l.clusters {
		l.checkCluster(c)
	}
	result := Result{
		Findings: sorted(l.findings, slices.Concat(sources, options.Live)),
		Classes:  len(l.classes), Pools: len(l.pools), Clusters: len(l.clusters),
	}
	if l.planner != nil {
		result.Plans = l.planner.plans
	}
	return result
}

func (l *linter) load(source Source, live bool) {
	objects, broken := read(source, live)
	l.findings = append(l.findings, broken...)
	for _, o := range objects {
		switch {
		case o.group == "cluster.x-k8s.io" && o.kind == "ClusterClass":
			l.loadClass(o)
		case o.group == "cluster.x-k8s.io" && o.kind == "Cluster":
			l.loadCluster(o)
		case o.kind == "IPAddressClaim":
			// Our claims carry the role label too.
		case o.group == "infrastructure.cluster.x-k8s.io" && strings.HasPrefix(o.kind, "Proxmox"):
			l.loadNodes(o)
		case isInCluster(o) || o.carries(vip.PoolClassKey, vip.PoolRoleKey):
			l.loadPool(o)
		}
	}
}

// legacy tells whether the object is of an API version before v1beta2.
func (o *object) legacy() bool {
	return o.version == "v1beta1" || strings.HasPrefix(o.version, "v1alpha")
}

// sameNamespace tells whether both can be the same: a manifest may leave it to whoever applies it.
func sameNamespace(a, b string) bool { return a == b || a == "" || b == "" }

// names tells whether an entry of the pool's list can name the class itself, not by "*".
func names(serves *vip.Serves, class vip.ClassKey) bool {
	for _, entry := range serves.Classes {
		if entry.Name == class.Name && sameNamespace(entry.Namespace, class.Namespace) {
			return true
		}
	}
	return false
}
