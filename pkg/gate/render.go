package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// noValue is what text/template prints for a variable that does not exist.
const noValue = "<no value>"

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
	result["builtin"] = map[string]any{
		"cluster": map[string]any{
			"name": cluster.Name, "namespace": cluster.Namespace, "uid": cluster.UID,
			"metadata": map[string]any{"labels": generic(cluster.Labels), "annotations": generic(annotations)},
			"topology": map[string]any{"class": cluster.Class.Name, "classNamespace": cluster.Class.Namespace},
		},
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

// generic gives a map the type that decoding JSON would: sprig's dig takes no other.
func generic(values map[string]string) map[string]any {
	result := map[string]any{}
	for key, value := range values {
		result[key] = value
	}
	return result
}

// render runs a template with the functions that Cluster API gives it.
func (in inputs) render(text string) (string, error) {
	parsed, err := template.New("patch").Funcs(sprig.HermeticTxtFuncMap()).Parse(text)
	if err != nil {
		return "", fmt.Errorf("parse template: %w", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, map[string]any(in)); err != nil {
		return "", fmt.Errorf("render template: %w", err)
	}
	return out.String(), nil
}
