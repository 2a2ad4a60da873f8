package gate

import (
	"crypto/sha256"
	"encoding/json"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Patches are the patches of a class as far as they concern the value at a path. What
// their text tells is found out once for each version of the class.
type Patches struct {
	path string
	// relevant are those that can differ with the value.
	relevant []clusterv1.ClusterClassPatch
	// fields are the fields that their expressions name; everything says that they may see
	// what they do not name, builtin that they see the Cluster itself.
	fields              map[string]bool
	everything, builtin bool
	hash                string

	consumes, sureConsumes bool
	neededBy               string
	sureNeeded             bool
}

// maxFields is how many fields are remembered: more than any class has variables.
const maxFields = 1000

// NewPatches reads the patches of a class, whatever they would cost to run.
func NewPatches(patches []clusterv1.ClusterClassPatch, path string) *Patches {
	p := &Patches{path: path, fields: map[string]bool{}}
	p.consumes, p.sureConsumes = consumesByText(patches, path)
	for i := range patches {
		patch := &patches[i]
		if patch.External != nil || !patchDepends(patch, path) {
			continue
		}
		p.relevant = append(p.relevant, *patch)
		eachExpression(patch, func(text string) {
			p.everything = p.everything || handsOnWholeObject(text)
			eachField(text, func(name string) { p.fields[name] = true })
		})
	}
	if len(p.fields) > maxFields {
		p.everything, p.fields = true, nil
	}
	p.neededBy, p.sureNeeded = neededByText(p.relevant, path)
	p.builtin = p.everything || p.fields["builtin"]
	if text, err := json.Marshal(p.relevant); err == nil {
		hash := sha256.Sum256(text)
		p.hash = string(hash[:])
	}
	return p
}

// Consumes tells whether a patch works with the value, as far as the text tells. It is
// not sure where an enabledIf has to be run.
func (p *Patches) Consumes() (consumes, sure bool) { return p.consumes, p.sureConsumes }

// NeededBy names the first patch that needs the value, as far as the text tells. It is
// not sure where a template has to be run.
func (p *Patches) NeededBy() (patch string, sure bool) { return p.neededBy, p.sureNeeded }

// Question asks what the patches of a class do with the value of one Cluster. It holds
// what they can see of it and no more, so that equal questions have equal answers.
type Question struct {
	Patches []clusterv1.ClusterClassPatch
	Cluster vip.Cluster
	Path    string

	hash string
}

// Question asks about the Cluster.
func (p *Patches) Question(cluster *vip.Cluster) *Question {
	q := &Question{Patches: p.relevant, Path: p.path, hash: p.hash}
	for _, variable := range cluster.Variables {
		if p.everything || p.fields[variable.Name] {
			q.Cluster.Variables = append(q.Cluster.Variables, variable)
		}
	}
	if p.builtin {
		q.Cluster.Namespace, q.Cluster.Name, q.Cluster.UID = cluster.Namespace, cluster.Name, cluster.UID
		q.Cluster.Labels, q.Cluster.Annotations, q.Cluster.Class = cluster.Labels, cluster.Annotations, cluster.Class
	}
	return q
}

// Key is the same for equal questions.
func (q *Question) Key() string {
	text, err := json.Marshal(q.Cluster)
	if err != nil {
		text = []byte(err.Error())
	}
	hash := sha256.Sum256(text)
	return q.Path + " " + q.hash + string(hash[:])
}

// depends tells whether what a template renders can differ with the value at the path,
// or with what is published beside it on the Cluster. It says yes in doubt.
func depends(template, path string) bool {
	name, _, _ := strings.Cut(path, ".")
	return strings.Contains(template, name) || strings.Contains(template, "metadata") || handsOnWholeObject(template)
}

// variableDepends is depends for what valueFrom.variable names.
func variableDepends(variable, path string) bool {
	return variable != "" && depends(asField(variable), path)
}

// asField writes what valueFrom.variable names as a template would.
func asField(variable string) string { return "." + variable + " " }

// asTemplate writes what a patch takes its value from as a template would.
func asTemplate(from *clusterv1.JSONPatchValue) string {
	if from.Variable != "" {
		return asField(from.Variable)
	}
	return from.Template
}

// patchDepends tells whether what the patch does can differ with the value at the path.
func patchDepends(patch *clusterv1.ClusterClassPatch, path string) (does bool) {
	eachExpression(patch, func(text string) { does = does || depends(text, path) })
	return does
}

func valueDepends(patch *clusterv1.JSONPatch, path string) bool {
	from := patch.ValueFrom
	return from != nil && (depends(from.Template, path) || variableDepends(from.Variable, path))
}

// eachExpression visits everything in the patch that is evaluated.
func eachExpression(patch *clusterv1.ClusterClassPatch, visit func(text string)) {
	visit(patch.EnabledIf)
	for i := range patch.Definitions {
		for j := range patch.Definitions[i].JSONPatches {
			from := patch.Definitions[i].JSONPatches[j].ValueFrom
			if from == nil {
				continue
			}
			visit(from.Template)
			if from.Variable != "" {
				visit(asField(from.Variable))
			}
		}
	}
}

// handsOnWholeObject tells whether a template hands on an object that may hold the value
// without naming it: everything there is, the builtins, or the Cluster among them.
func handsOnWholeObject(template string) bool {
	const ends = " \t\r\n)|}"
	for i := 1; i < len(template); i++ {
		if !strings.ContainsRune(ends, rune(template[i])) {
			continue
		}
		switch before := template[:i]; {
		case before[i-1] == '.' || before[i-1] == '$':
			return true
		case strings.HasSuffix(before, ".builtin") || strings.HasSuffix(before, ".builtin.cluster"):
			return true
		}
	}
	return false
}

// eachField visits every word that can be the name of a field.
func eachField(template string, visit func(name string)) {
	for name := range strings.FieldsFuncSeq(template, func(r rune) bool { return r != '-' && !continues(string(r)) }) {
		visit(name)
	}
}
