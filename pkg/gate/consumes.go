package gate

import (
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// sampleAddress stands for a VIP that is not known yet.
const sampleAddress = "192.0.2.1"

// Consumes tells whether a patch of the class, enabled once the VIP stands at the
// path, works with the variable there. Whoever holds a Cluster back for its VIP
// must wait for it then.
//
// In doubt the answer is yes: an external patch cannot be read from here, and an
// enabledIf that asks for what is only known while infrastructure is generated
// is taken to be true.
func Consumes(patches []clusterv1.ClusterClassPatch, cluster *vip.Cluster, path string) bool {
	p := NewPatches(patches, path)
	if consumes, sure := p.Consumes(); sure {
		return consumes
	}
	return Evaluator{}.Consumes(p.Question(cluster))
}

func consumesByText(patches []clusterv1.ClusterClassPatch, path string) (consumes, sure bool) {
	sure = true
	for i := range patches {
		patch := &patches[i]
		if patch.External != nil {
			return true, true
		}
		if !takes(patch, path) && !mentions(patch.EnabledIf, path) {
			continue
		}
		if patch.EnabledIf == "" || asksTheFuture(patch.EnabledIf) {
			return true, true
		}
		sure = false
	}
	return false, sure
}

// Consumes runs what the text leaves open.
func (e Evaluator) Consumes(q *Question) bool {
	path := q.Path
	with, without := newInputs(&q.Cluster, ""), newInputs(&q.Cluster, path)
	set(with, path, sampleAddress)
	for i := range q.Patches {
		patch := &q.Patches[i]
		taken := takes(patch, path)
		if !taken && !mentions(patch.EnabledIf, path) {
			continue
		}
		e.begin(patch)
		enabled, err := with.enables(patch.EnabledIf)
		if err != nil || (enabled && taken) {
			return true
		}
		before, err := without.enables(patch.EnabledIf)
		if err != nil || before != enabled {
			return true
		}
	}
	return false
}

// takes tells whether a value of the patch comes from the variable.
func takes(patch *clusterv1.ClusterClassPatch, path string) bool {
	for _, definition := range patch.Definitions {
		for _, jsonPatch := range definition.JSONPatches {
			if from := jsonPatch.ValueFrom; from != nil && (touches(from.Variable, path) || mentions(from.Template, path)) {
				return true
			}
		}
	}
	return false
}

// asksTheFuture tells whether a template may ask for builtins that vip.Cluster
// does not hold.
func asksTheFuture(template string) bool {
	for _, builtin := range []string{"controlPlane", "machineDeployment", "machinePool", "network", "version"} {
		if mentions(template, builtin) {
			return true
		}
	}
	return false
}
