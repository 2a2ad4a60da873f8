package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// cleanStream cleans the Clusters of a stream; all else stays as it was written. The notes
// say what a person should look at.
func cleanStream(source string, data []byte) (out []byte, notes []string, err error) {
	var failed []error
	number := 0
	for _, document := range lint.Documents(data) {
		if document.Empty {
			out = append(out, document.Text...)
			continue
		}
		number++
		text, said, err := cleanDocument(document.Text)
		where := fmt.Sprintf("%s, document %d (line %d): ", source, number, document.Line)
		for _, note := range said {
			notes = append(notes, where+vip.Short(note))
		}
		if err != nil {
			failed = append(failed, errors.New(where+vip.Short(err.Error())))
		}
		out = append(out, text...)
	}
	return out, notes, errors.Join(failed...)
}

// cleanDocument returns the text itself if there is no Cluster in it.
func cleanDocument(text []byte) (out []byte, notes []string, err error) {
	values, isJSON, err := readValues(text)
	if err != nil {
		return nil, nil, err
	}
	found := false
	for _, value := range values {
		object, isObject := value.(map[string]any)
		if !isObject {
			continue
		}
		clusters := clustersIn(object)
		found = found || len(clusters) > 0
		for _, cluster := range clusters {
			said, err := cleanCluster(cluster)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", titleOf(cluster), err)
			}
			for _, note := range said {
				notes = append(notes, titleOf(cluster)+": "+note)
			}
		}
	}
	if !found {
		return text, nil, nil
	}
	written, err := writeValues(values, isJSON)
	if separator := []byte("---"); bytes.HasPrefix(text, separator) {
		written = append(append(separator, '\n'), written...)
	}
	return written, notes, err
}

// readValues reads one document: the YAML of one value, or the JSON of any number. Numbers
// stay as they are written.
func readValues(text []byte) (values []any, isJSON bool, err error) {
	if values, err = decodeJSON(bytes.TrimPrefix(text, []byte("---"))); err == nil {
		return values, true, nil
	}
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		message := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
		if bytes.Contains(text, []byte("{{")) {
			message += "; if this is a template, render it first"
		}
		return nil, false, fmt.Errorf("cannot be read: %s", message)
	}
	values, err = decodeJSON(data)
	return values, false, err
}

func decodeJSON(text []byte) (values []any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for {
		var value any
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return values, nil
		case err != nil:
			return nil, fmt.Errorf("cannot be read: %w", err)
		}
		values = append(values, value)
	}
}

func writeValues(values []any, asJSON bool) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if asJSON {
		encoder.SetIndent("", "    ")
	}
	for _, value := range values {
		if err := encoder.Encode(value); err != nil {
			return nil, err
		}
	}
	if asJSON {
		return out.Bytes(), nil
	}
	return yaml.JSONToYAML(out.Bytes())
}

// clustersIn returns the object if it is a Cluster of Cluster API, or those in it if it is a list.
func clustersIn(object map[string]any) (clusters []map[string]any) {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	if items, isList := object["items"].([]any); isList && strings.HasSuffix(kind, "List") {
		for _, item := range items {
			if object, isObject := item.(map[string]any); isObject {
				clusters = append(clusters, clustersIn(object)...)
			}
		}
		return clusters
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err == nil && kind == clusterv1.ClusterKind && gv.Group == clusterv1.GroupVersion.Group {
		return []map[string]any{object}
	}
	return nil
}

// titleOf names the Cluster as far as it says itself.
func titleOf(cluster map[string]any) string {
	metadata, _ := cluster["metadata"].(map[string]any)
	namespace, _ := metadata["namespace"].(string)
	name, _ := metadata["name"].(string)
	if name == "" {
		name = "without name"
	}
	return "Cluster " + strings.TrimPrefix(namespace+"/"+name, "/")
}
