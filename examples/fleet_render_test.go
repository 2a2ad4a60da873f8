package examples

import (
	"bytes"
	"fmt"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	cleaner "github.com/rancher/wrangler/v3/pkg/yaml"
	"sigs.k8s.io/yaml"
)

// fleetCluster is Fleet's Cluster, as far as templates see it.
type fleetCluster struct {
	labels, annotations map[string]string
	values              map[string]any // spec.templateValues
}

// fleetHelm is the part of a fleet.yaml that Fleet templates.
type fleetHelm struct {
	Repo           string            `json:"repo"`
	Chart          string            `json:"chart"`
	Version        string            `json:"version"`
	ReleaseName    string            `json:"releaseName"`
	Values         map[string]any    `json:"values"`
	TemplateValues map[string]string `json:"templateValues"`
}

// render imitates what Fleet 0.16 makes of the values for one Cluster. Its own code for
// that is internal to its module. What it has in common with this: sprig without what
// reads the environment, the cleaning of wrangler, "${" and "}", missing keys as errors,
// and that the values are written out as YAML and templated as one text.
func (h *fleetHelm) render(c fleetCluster) (map[string]any, error) {
	labels, annotations := cleaner.CleanAnnotationsForExport(c.labels), cleaner.CleanAnnotationsForExport(c.annotations)
	for key, value := range c.labels {
		if strings.HasPrefix(key, "fleet.cattle.io/") || strings.HasPrefix(key, "management.cattle.io/") {
			labels[key] = value
		}
	}
	if len(labels) == 0 {
		return h.Values, nil // as it is, with the templates in it
	}
	values := c.values
	if values == nil {
		values = map[string]any{}
	}
	in := map[string]any{
		"ClusterName": "c-bcdfg", "ClusterNamespace": "fleet-default",
		"ClusterLabels": dictionary(labels), "ClusterAnnotations": dictionary(annotations), "ClusterValues": values,
	}
	data, err := yaml.Marshal(replaceLabels(h.Values, labels))
	if err != nil {
		return nil, err
	}
	rendered := map[string]any{}
	if err := fleetText(string(data), in, &rendered); err != nil {
		return nil, err
	}
	for key, text := range h.TemplateValues {
		var value any
		if err := fleetText(text, in, &value); err != nil {
			return nil, err
		}
		rendered[key] = value
	}
	return rendered, nil
}

// fleetText runs one template and reads the result as YAML.
func fleetText(text string, in map[string]any, into any) error {
	functions := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName", "include", "tpl"} {
		delete(functions, name)
	}
	parsed, err := template.New("values").Funcs(functions).Option("missingkey=error").Delims("${", "}").Parse(text)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, in); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	if err := yaml.Unmarshal(out.Bytes(), into); err != nil {
		return fmt.Errorf("read what was rendered: %w in\n%s", err, out.String())
	}
	return nil
}

// replaceLabels fills values of the form global.fleet.clusterLabels.KEY, those of lists
// excepted. It leaves the original alone.
func replaceLabels(value any, labels map[string]string) any {
	switch value := value.(type) {
	case map[string]any:
		result := map[string]any{}
		for name, field := range value {
			result[name] = replaceLabels(field, labels)
			if text, ok := field.(string); ok {
				if key, found := strings.CutPrefix(text, "global.fleet.clusterLabels."); found {
					result[name] = labels[key]
				}
			}
		}
		return result
	case []any:
		result := make([]any, 0, len(value))
		for _, entry := range value {
			result = append(result, replaceLabels(entry, labels))
		}
		return result
	}
	return value
}

// dictionary is what the functions of sprig take.
func dictionary(values map[string]string) map[string]any {
	result := map[string]any{}
	for key, value := range values {
		result[key] = value
	}
	return result
}
