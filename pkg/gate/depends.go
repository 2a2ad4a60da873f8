package gate

import (
	"regexp"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// wholeObject finds where a template hands on an object that may hold the VIP without
// naming it: everything there is, the builtins, or the Cluster among them.
var wholeObject = regexp.MustCompile(`(?:\.builtin(?:\.cluster)?|[.$])[\s)|}]`)

// depends tells whether what a template renders can differ with the value at the path,
// or with what is published beside it on the Cluster. It reads text only, whatever the
// template costs, and says yes in doubt.
func depends(template, path string) bool {
	name, _, _ := strings.Cut(path, ".")
	return strings.Contains(template, name) || strings.Contains(template, "metadata") || wholeObject.MatchString(template)
}

// variableDepends is depends for what valueFrom.variable names.
func variableDepends(variable, path string) bool {
	return variable != "" && depends("."+variable+" ", path)
}

// patchDepends tells whether what the patch does can differ with the value at the path.
func patchDepends(patch *clusterv1.ClusterClassPatch, path string) bool {
	if depends(patch.EnabledIf, path) {
		return true
	}
	for i := range patch.Definitions {
		for j := range patch.Definitions[i].JSONPatches {
			if valueDepends(&patch.Definitions[i].JSONPatches[j], path) {
				return true
			}
		}
	}
	return false
}

func valueDepends(patch *clusterv1.JSONPatch, path string) bool {
	from := patch.ValueFrom
	return from != nil && (depends(from.Template, path) || variableDepends(from.Variable, path))
}

// Question asks what the patches of a class do with the value of one Cluster. It holds
// what they can see of it and no more, so that equal questions have equal answers.
type Question struct {
	Patches []clusterv1.ClusterClassPatch
	Cluster vip.Cluster
	Path    string
}

// NewQuestion takes of the patches those that can differ with the value at the path, and
// of the Cluster what these mention.
func NewQuestion(patches []clusterv1.ClusterClassPatch, cluster *vip.Cluster, path string) *Question {
	q := &Question{Path: path}
	var text strings.Builder
	for i := range patches {
		if patch := &patches[i]; patch.External == nil && patchDepends(patch, path) {
			q.Patches = append(q.Patches, *patch)
			mention(&text, patch)
		}
	}
	seen := text.String()
	everything := wholeObject.MatchString(seen)
	for _, variable := range cluster.Variables {
		if everything || strings.Contains(seen, variable.Name) {
			q.Cluster.Variables = append(q.Cluster.Variables, variable)
		}
	}
	if everything || strings.Contains(seen, "builtin") {
		q.Cluster.Namespace, q.Cluster.Name, q.Cluster.UID = cluster.Namespace, cluster.Name, cluster.UID
		q.Cluster.Labels, q.Cluster.Annotations, q.Cluster.Class = cluster.Labels, cluster.Annotations, cluster.Class
	}
	return q
}

// mention writes the expressions of a patch, each closed so that none runs into the next.
func mention(text *strings.Builder, patch *clusterv1.ClusterClassPatch) {
	text.WriteString(patch.EnabledIf)
	for _, definition := range patch.Definitions {
		for _, jsonPatch := range definition.JSONPatches {
			from := jsonPatch.ValueFrom
			if from == nil {
				continue
			}
			text.WriteString("\n" + from.Template + "\n")
			if from.Variable != "" {
				text.WriteString("." + from.Variable + "\n")
			}
		}
	}
}
