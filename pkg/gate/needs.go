package gate

import (
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// NeededBy names the first patch that works with the variable at the path and
// would fail, or render nonsense, once that value is gone; empty if none does.
// Removing such a value would freeze the topology of the Cluster.
//
// External patches cannot be read from here and are taken not to need it.
func NeededBy(patches []clusterv1.ClusterClassPatch, cluster *vip.Cluster, path string) string {
	p := NewPatches(patches, path)
	if patch, sure := p.NeededBy(); sure {
		return patch
	}
	return Evaluator{}.NeededBy(p.Question(cluster))
}

// neededByText looks at the first of the relevant patches, since the first one counts.
func neededByText(relevant []clusterv1.ClusterClassPatch, path string) (name string, sure bool) {
	if len(relevant) == 0 {
		return "", true
	}
	if first := &relevant[0]; first.EnabledIf == "" && readsVariable(first, path) {
		return first.Name, true
	}
	return "", false
}

// NeededBy runs what the text leaves open.
func (e Evaluator) NeededBy(q *Question) string {
	with, without := newInputs(&q.Cluster, ""), newInputs(&q.Cluster, q.Path)
	for i := range q.Patches {
		e.begin(&q.Patches[i])
		if needs(&q.Patches[i], q.Path, with, without) {
			return q.Patches[i].Name
		}
	}
	return ""
}

func readsVariable(patch *clusterv1.ClusterClassPatch, path string) bool {
	for _, definition := range patch.Definitions {
		for _, jsonPatch := range definition.JSONPatches {
			if jsonPatch.ValueFrom != nil && reads(jsonPatch.ValueFrom.Variable, path) {
				return true
			}
		}
	}
	return false
}

func needs(patch *clusterv1.ClusterClassPatch, path string, with, without inputs) bool {
	if patch.EnabledIf != "" {
		if depends(patch.EnabledIf, path) && breaks(patch.EnabledIf, path, with, without) {
			return true
		}
		if enabled, err := without.enables(patch.EnabledIf); err != nil || !enabled {
			return false
		}
	}
	for _, definition := range patch.Definitions {
		for _, jsonPatch := range definition.JSONPatches {
			from := jsonPatch.ValueFrom
			if from == nil {
				continue
			}
			if reads(from.Variable, path) || (from.Template != "" && depends(from.Template, path) && breaks(from.Template, path, with, without)) {
				return true
			}
		}
	}
	return false
}

// breaks tells whether the template works with the value and not without it.
func breaks(template, path string, with, without inputs) bool {
	before, errBefore := with.render(template)
	after, errAfter := without.render(template)
	if errBefore != nil {
		// It reads something that is only known while infrastructure is generated.
		// Then the mere mention of the variable counts.
		return mentions(template, path)
	}
	return errAfter != nil || strings.Count(after, noValue) > strings.Count(before, noValue)
}
