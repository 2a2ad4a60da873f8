package gate

import (
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// target is a template of the class that patches may change.
type target struct {
	ref clusterv1.ClusterClassTemplateReference
	// kind is one of the constants below, worker the class of workers it belongs to.
	kind, worker string
}

// Kinds of target; the last three are named like the builtin that they see.
const (
	ofInfrastructure    = "infrastructureCluster"
	ofControlPlane      = "controlPlane"
	ofMachineDeployment = "machineDeployment"
	ofMachinePool       = "machinePool"
)

// targets lists the templates of the class. Those of workers are only patched for
// Clusters that have workers of that class.
func targets(class *clusterv1.ClusterClass) []target {
	list := []target{
		{ref: class.Spec.Infrastructure.TemplateRef, kind: ofInfrastructure},
		{ref: class.Spec.ControlPlane.TemplateRef, kind: ofControlPlane},
		{ref: class.Spec.ControlPlane.MachineInfrastructure.TemplateRef, kind: ofControlPlane},
	}
	for _, workers := range class.Spec.Workers.MachineDeployments {
		list = append(list,
			target{ref: workers.Bootstrap.TemplateRef, kind: ofMachineDeployment, worker: workers.Class},
			target{ref: workers.Infrastructure.TemplateRef, kind: ofMachineDeployment, worker: workers.Class})
	}
	for _, workers := range class.Spec.Workers.MachinePools {
		list = append(list,
			target{ref: workers.Bootstrap.TemplateRef, kind: ofMachinePool, worker: workers.Class},
			target{ref: workers.Infrastructure.TemplateRef, kind: ofMachinePool, worker: workers.Class})
	}
	return list
}

// matches tells whether the selector of a patch selects the target.
func (t *target) matches(selector *clusterv1.PatchSelector) bool {
	if !t.ref.IsDefined() || t.ref.APIVersion != selector.APIVersion || t.ref.Kind != selector.Kind {
		return false
	}
	resources := &selector.MatchResources
	switch t.kind {
	case ofInfrastructure:
		return resources.InfrastructureCluster != nil && *resources.InfrastructureCluster
	case ofControlPlane:
		return resources.ControlPlane != nil && *resources.ControlPlane
	case ofMachineDeployment:
		return resources.MachineDeploymentClass != nil && anyMatches(resources.MachineDeploymentClass.Names, t.worker)
	default:
		return resources.MachinePoolClass != nil && anyMatches(resources.MachinePoolClass.Names, t.worker)
	}
}

// anyMatches compares with names that may begin or end with an asterisk.
func anyMatches(names []string, class string) bool {
	for _, name := range names {
		prefix, open := strings.CutSuffix(name, "*")
		suffix, begun := strings.CutPrefix(name, "*")
		if name == class || open && strings.HasPrefix(class, prefix) || begun && strings.HasSuffix(class, suffix) {
			return true
		}
	}
	return false
}

// builtin is what the target's templates see beside the Cluster.
func (t *target) builtin(s *subject) map[string]any {
	const name = "sample-name"
	if t.kind == ofInfrastructure {
		return nil
	}
	builtin := map[string]any{"name": name, "version": s.version}
	if s.replicas != nil {
		builtin["replicas"] = s.replicas
	}
	labels := map[string]string{clusterv1.ClusterNameLabel: name, clusterv1.ClusterTopologyOwnedLabel: ""}
	if t.kind == ofControlPlane {
		builtin["metadata"] = metadata(labels, map[string]string{clusterv1.TemplateClonedFromNameAnnotation: name})
		if s.class.Spec.ControlPlane.MachineInfrastructure.TemplateRef.IsDefined() {
			builtin["machineTemplate"] = map[string]any{"infrastructureRef": map[string]any{"name": name}}
		}
		return builtin
	}
	builtin["metadata"] = metadata(labels, nil)
	builtin["class"], builtin["topologyName"] = t.worker, name
	builtin["bootstrap"] = map[string]any{"configRef": map[string]any{"name": name}}
	builtin["infrastructureRef"] = map[string]any{"name": name}
	return builtin
}
