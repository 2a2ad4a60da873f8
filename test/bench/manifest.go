package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// inNamespace puts all objects of a YAML stream into a namespace.
func inNamespace(content []byte, namespace string) ([]byte, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var result bytes.Buffer
	for {
		object := unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return result.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) == 0 {
			continue
		}
		object.SetNamespace(namespace)
		document, err := json.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		result.WriteString("---\n")
		result.Write(document)
		result.WriteByte('\n')
	}
}
