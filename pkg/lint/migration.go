package lint

import (
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// runs tells whether the Cluster exists, as far as the input tells.
func (c *cluster) runs() bool { return c.live || c.view.HasInfrastructure }

// checkMigration lists the Clusters whose topology would stop once the class, which
// waits for a VIP, is applied: those that exist and have no value for it to take.
func (l *linter) checkMigration(c *class, role vip.Role) {
	if l.options.Exists {
		return
	}
	state := c.gates[role].State
	if state != gate.Gated && state != gate.GatedUnlessEmpty && state != gate.Unclear {
		return
	}
	path := c.view.Roles[role].Path
	for _, cluster := range l.clusters {
		if !cluster.runs() || !cluster.view.HasTopology || l.classOf(cluster) != c {
			continue
		}
		if _, value, _ := cluster.variable(path); value != nil && value != "" {
			continue
		}
		written := cluster.view.Annotations[role.WrittenAnnotation()]
		line := cluster.line("metadata", "name")
		switch {
		case c.unguarded(path) && written == vip.WrittenNone:
			l.add(cluster.object, line, Warning, Migration, "%s: variable %s is empty, and ClusterClass %s (%s:%d) takes it without a guard, so the topology of this Cluster stops once the class is applied: guard the patches by enabledIf as docs/gates.md says, or give the variable a value",
				role, path, c.name, c.file, c.line())
		case written != "" || role == vip.Ingress && cluster.view.Annotations[role.EnabledAnnotation()] == "false" && !c.unguarded(path):
		default:
			l.add(cluster.object, line, Warning, Migration, "%s: variable %s is empty and annotation %s is absent, so the topology of this Cluster stops once ClusterClass %s (%s:%d) is applied: let the allocator handle it first, set the variable, or annotate it %s: \"true\"",
				role, path, role.WrittenAnnotation(), c.name, c.file, c.line(), vip.BackfillAnnotation)
		}
	}
}

// unguarded tells whether a patch takes the variable, or an object that holds it,
// whatever the Cluster's annotations say.
func (c *class) unguarded(path string) bool {
	for i := range c.spec.Spec.Patches {
		patch := &c.spec.Spec.Patches[i]
		if patch.EnabledIf != "" {
			continue
		}
		for _, definition := range patch.Definitions {
			for _, jsonPatch := range definition.JSONPatches {
				if from := jsonPatch.ValueFrom; from != nil && from.Variable != "" && (from.Variable == path || strings.HasPrefix(path, from.Variable+".")) {
					return true
				}
			}
		}
	}
	return false
}
