package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/snapshot"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// ClusterPlan is what would happen to a Cluster of the input.
type ClusterPlan struct {
	Namespace, Name string
	// Roles say it role by role, as in "control-plane from GlobalInClusterIPPool vips".
	Roles []string
}

// String returns "Cluster namespace/name: control-plane …, ingress …".
func (p *ClusterPlan) String() string {
	name := p.Name
	if p.Namespace != "" {
		name = p.Namespace + "/" + name
	}
	return "plan: Cluster " + name + ": " + strings.Join(p.Roles, ", ")
}

// planner decides for the Clusters of the input as the controller would, if they came into
// being in the order in which they are given.
type planner struct {
	reader *snapshot.Reader
	// clusters are those that are planned for, as they would be once they are applied.
	clusters map[*cluster]*clusterv1.Cluster
	taken    map[vip.PoolRef]int64
	plans    []ClusterPlan
}

// anyNamespace stands for the one that a manifest leaves to whoever applies it.
const anyNamespace = metav1.NamespaceDefault

// preparePlan gathers what the planner needs. It needs all of it: pools of another provider
// cannot be counted here, and a Cluster whose class is not given would only be told so.
func (l *linter) preparePlan() {
	given := slices.ContainsFunc(l.pools, func(p *pool) bool { return isInCluster(p.object) })
	foreign := slices.ContainsFunc(l.pools, func(p *pool) bool { return p.substituted || p.Ours && !isInCluster(p.object) })
	if !given || foreign {
		return
	}
	listed := snapshot.Listed{Settings: vip.Settings{DefaultPort: 6443}, Evaluator: l.evaluator}
	listed.Settings.HookGate = l.options.OtherGate
	p := &planner{clusters: map[*cluster]*clusterv1.Cluster{}, taken: map[vip.PoolRef]int64{}}
	namespaces := map[string]bool{}
	for _, c := range l.clusters {
		of := l.classOf(c)
		if of == nil || c.substituted || of.substituted || !c.view.HasTopology || c.name == "" {
			continue
		}
		applied := c.spec.DeepCopy()
		applied.Namespace = cmp.Or(applied.Namespace, anyNamespace)
		applied.UID = types.UID(cmp.Or(string(applied.UID), fmt.Sprintf("%s:%d", c.file, c.line())))
		namespaces[applied.Namespace] = true
		listed.Clusters = append(listed.Clusters, applied)
		listed.Classes = addClass(listed.Classes, of, kube.ClassOf(applied))
		if !c.runs() && !c.exported {
			p.clusters[c] = applied
		}
	}
	if len(p.clusters) == 0 {
		return
	}
	var err error
	if listed.Pools, err = l.appliedPools(namespaces); err != nil {
		return
	}
	if listed.Leases, err = kube.ListedLeases("", nil); err != nil {
		return
	}
	if p.reader, err = snapshot.NewReader(listed); err != nil {
		return // the same object twice, as base and overlay: which of them is applied nobody knows
	}
	l.planner = p
}

// addClass adds the class under the name by which a Cluster asks for it, reconciled.
func addClass(list []*clusterv1.ClusterClass, of *class, key vip.ClassKey) []*clusterv1.ClusterClass {
	if slices.ContainsFunc(list, func(known *clusterv1.ClusterClass) bool {
		return known.Namespace == key.Namespace && known.Name == key.Name
	}) {
		return list
	}
	class := of.spec.DeepCopy()
	class.Namespace, class.Name, class.Status.ObservedGeneration = key.Namespace, key.Name, class.Generation
	class.Status.Conditions = []metav1.Condition{{Type: clusterv1.ClusterClassVariablesReadyCondition, Status: metav1.ConditionTrue, Reason: clusterv1.ClusterClassVariablesReadyReason}}
	return append(list, class)
}

// appliedPools are the pools as they would be once they are applied: one without namespace is
// in that of every Cluster, since nobody knows in which.
func (l *linter) appliedPools(namespaces map[string]bool) (*kube.Pools, error) {
	found := map[kube.PoolKind][]unstructured.Unstructured{}
	for _, p := range l.pools {
		if !isInCluster(p.object) || handsOutPrefixes(p.object) {
			continue
		}
		namespaced := p.kind != "GlobalInClusterIPPool"
		resource := "globalinclusterippools"
		if namespaced {
			resource = "inclusterippools"
		}
		kind := kube.PoolKind{GroupVersionResource: schema.GroupVersionResource{Group: p.group, Version: "v1alpha2", Resource: resource}, Kind: p.kind, Namespaced: namespaced}
		raw := p.raw
		if p.version == "v1alpha1" {
			raw = currentPool(raw)
		}
		if !namespaced || p.namespace != "" {
			found[kind] = append(found[kind], unstructured.Unstructured{Object: raw})
			continue
		}
		for namespace := range namespaces {
			copied := (&unstructured.Unstructured{Object: raw}).DeepCopy()
			copied.SetNamespace(namespace)
			found[kind] = append(found[kind], *copied)
		}
	}
	return kube.ListedPools(found)
}

// checkWaiting has the planner decide for the Cluster, and reports what it would wait for.
func (l *linter) checkWaiting(c *cluster) {
	if l.planner == nil || l.planner.clusters[c] == nil {
		return
	}
	s, decision, err := l.planner.reader.Decide(l.planner.clusters[c])
	if err != nil || decision.Skipped != "" {
		return
	}
	plan := ClusterPlan{Namespace: c.namespace, Name: c.name}
	for _, role := range vip.Roles() {
		plan.Roles = append(plan.Roles, string(role)+" "+l.foresee(c, s, role, decision.Roles[role]))
	}
	l.planner.plans = append(l.planner.plans, plan)
}

// foresee says what becomes of one role, and reports it if that is to wait.
func (l *linter) foresee(c *cluster, s *vip.Snapshot, role vip.Role, outcome *vip.Outcome) string {
	line := c.line("metadata", "name")
	switch {
	case outcome == nil:
		miss, near := l.planner.reader.Closest(s, role)
		if near && role == vip.ControlPlane && !miss.OtherRole {
			l.add(c.object, line, Warning, Plan, "%s: the Cluster would get no VIP: its class declares no variable %s, and no pool of this role names the class; closest: %s; next: %s", role, s.Class.Roles[role].Path, miss, miss.Next)
		}
		return "none"
	case outcome.Reason.Ready():
		return strings.TrimSpace(outcome.Address + " " + string(outcome.Reason))
	case outcome.Reason == vip.ClaimPending:
		pool := outcome.Pool
		l.planner.taken[pool]++
		if free, known := l.planner.reader.Free(pool); known && l.planner.taken[pool] > free {
			l.add(c.object, line, Warning, Plan, "%s: %s has %d free addresses, and other Clusters of the input come first; next: extend spec.addresses of the pool", role, pool, free)
			return "waits for room in " + pool.String()
		}
		return "from " + pool.String()
	case outcome.Reason == vip.PoolFiltered:
		return "waits: " + string(outcome.Reason) // the check of the filter says it
	}
	message, next := outcome.Message, outcome.Next
	if miss, near := l.planner.reader.Closest(s, role); near && outcome.Reason == vip.NoPool {
		message, next = message+"; closest: "+miss.String(), miss.Next
	}
	l.add(c.object, line, Warning, Plan, "%s: the Cluster would wait: %s%s%s", role, message, vip.NextStep, next)
	return "waits: " + string(outcome.Reason)
}
