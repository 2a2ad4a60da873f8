package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// noValue is what text/template prints for a variable that does not exist.
const noValue = "<no value>"

// functions holds what Cluster API gives to templates; collecting it costs more
// than most templates do.
var functions = template.New("patch").Funcs(sprig.HermeticTxtFuncMap())

var errNoVariable = errors.New("variable does not exist")

// inputs are the variables that a class's templates see.
type inputs map[string]any

// newInputs returns the Cluster's variables and the global builtins, with the
// value at the path left out; an empty path leaves out nothing.
func newInputs(cluster *vip.Cluster, path string) inputs {
	result := inputs{}
	for i := range cluster.Variables {
		var value any
		if json.Unmarshal(cluster.Variables[i].Value, &value) == nil {
			result[cluster.Variables[i].Name] = value
		}
	}
	annotations := maps.Clone(cluster.Annotations)
	if path != "" {
		remove(result, path)
		delete(annotations, vip.Ingress.WrittenAnnotation())
		delete(annotations, vip.Ingress.Stamp())
	}
	result["builtin"] = map[string]any{"cluster": clusterBuiltin(cluster, annotations)}
	return result
}

func clusterBuiltin(cluster *vip.Cluster, annotations map[string]string) map[string]any {
	class := cluster.Class
	return map[string]any{
		"name": cluster.Name, "namespace": cluster.Namespace, "uid": cluster.UID,
		"metadata": metadata(cluster.Labels, annotations),
		"topology": map[string]any{
			"class": class.Name, "classNamespace": class.Namespace,
			"classRef": map[string]any{"name": class.Name, "namespace": class.Namespace},
		},
	}
}

// metadata is what templates see of an object's labels and annotations: nothing where there
// are none.
func metadata(labels, annotations map[string]string) map[string]any {
	result := map[string]any{}
	if len(labels) > 0 {
		result["labels"] = generic(labels)
	}
	if len(annotations) > 0 {
		result["annotations"] = generic(annotations)
	}
	return result
}

func remove(object map[string]any, path string) {
	name, rest, nested := strings.Cut(path, ".")
	if !nested {
		delete(object, name)
		return
	}
	if inner, ok := object[name].(map[string]any); ok {
		remove(inner, rest)
	}
}

// set puts the value at the path and makes the objects on the way.
func set(object map[string]any, path string, value any) {
	name, rest, nested := strings.Cut(path, ".")
	if !nested {
		object[name] = value
		return
	}
	inner, ok := object[name].(map[string]any)
	if !ok {
		inner = map[string]any{}
		object[name] = inner
	}
	set(inner, rest, value)
}

// generic gives a map the type that decoding JSON would: sprig's dig takes no other.
func generic(values map[string]string) map[string]any {
	result := map[string]any{}
	for key, value := range values {
		result[key] = value
	}
	return result
}

// lookup returns what valueFrom.variable takes: fields by name, list entries as in "a.b[0].c".
func (in inputs) lookup(path string) (any, error) {
	var value any = map[string]any(in)
	for segment := range strings.SplitSeq(path, ".") {
		name, index, indexed := strings.Cut(segment, "[")
		object, _ := value.(map[string]any)
		next, exists := object[name]
		if !exists {
			return nil, fmt.Errorf("%w: %.80q", errNoVariable, path)
		}
		if value = next; !indexed {
			continue
		}
		list, _ := value.([]any)
		at, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || at < 0 || at >= len(list) {
			return nil, fmt.Errorf("%w: %.80q", errNoVariable, path)
		}
		value = list[at]
	}
	return value, nil
}

// enables tells whether an enabledIf switches its patch on. Like Cluster API it
// reads the text as YAML, which has several words for true.
func (in inputs) enables(enabledIf string) (bool, error) {
	if enabledIf == "" {
		return true, nil
	}
	text, err := in.render(enabledIf)
	if err != nil {
		return false, err
	}
	switch text {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	value, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return false, fmt.Errorf("read rendered template: %w", err)
	}
	return string(value) == "true", nil
}

// render runs a template with the functions that Cluster API gives it.
func (in inputs) render(text string) (string, error) {
	blank, err := blankFor(text)
	if err != nil {
		return "", fmt.Errorf("copy template: %w", err)
	}
	parsed, err := blank.Parse(text)
	if err != nil {
		return "", fmt.Errorf("parse template: %w", err)
	}
	var out bytes.Buffer
	// Some functions change the objects that they are given.
	if err := parsed.Execute(&out, runtime.DeepCopyJSON(in)); err != nil {
		return "", fmt.Errorf("render template: %w", err)
	}
	return out.String(), nil
}

// blankFor returns an empty template with all functions. Copying those is slow, so
// only a text that may define templates of its own, which others must not see,
// gets a copy.
func blankFor(text string) (*template.Template, error) {
	for _, word := range []string{"define", "block", "template"} {
		if strings.Contains(text, word) {
			return functions.Clone()
		}
	}
	return functions.New("patch"), nil
}
