package lint

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// object is one object of the input, and where it stands.
type object struct {
	file string
	// before is the number of lines before the document.
	before int
	node   *yamlv3.Node

	raw                                   map[string]any
	group, version, kind, namespace, name string
	// live says that the source holds Clusters that exist.
	live bool
	// substituted says that something in its document is filled in before it is applied.
	substituted bool
	// exported says that the object was read from an API server.
	exported bool
}

// find follows field names and list indices. It returns the line of the last step
// that exists, and its value: nil if that is not the end of the path.
func (o *object) find(path ...any) (line int, value *yamlv3.Node) {
	line, value = o.before+o.node.Line, o.node
	for _, step := range path {
		key, next := child(value, step)
		if next == nil {
			return line, nil
		}
		line, value = o.before+key.Line, next
	}
	return line, value
}

// child is the value of a field, and the key that names it, or the entry of a list.
func child(node *yamlv3.Node, step any) (key, value *yamlv3.Node) {
	if node.Kind == yamlv3.AliasNode {
		node = node.Alias
	}
	switch step := step.(type) {
	case string:
		for i := 0; node.Kind == yamlv3.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == step {
				return node.Content[i], node.Content[i+1]
			}
		}
	case int:
		if node.Kind == yamlv3.SequenceNode && 0 <= step && step < len(node.Content) {
			return node.Content[step], node.Content[step]
		}
	}
	return nil, nil
}

func (o *object) line(path ...any) int {
	line, _ := o.find(path...)
	return line
}

func (o *object) has(path ...any) bool {
	_, value := o.find(path...)
	return value != nil
}

// keys returns metadata.labels or metadata.annotations as they were written.
func (o *object) keys(field string) map[string]any {
	metadata, _ := o.raw["metadata"].(map[string]any)
	keys, _ := metadata[field].(map[string]any)
	return keys
}

// carries tells whether the object has a label or annotation of one of the keys.
func (o *object) carries(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		_, label := o.keys("labels")[key]
		_, annotation := o.keys("annotations")[key]
		return label || annotation
	})
}

// decode reads the object into a type of its API.
func (o *object) decode(into any) error {
	data, err := json.Marshal(o.raw)
	if err != nil {
		return err
	}
	return utiljson.Unmarshal(data, into)
}

// add notes a finding about the object.
func (l *linter) add(o *object, line int, severity Severity, check Check, format string, args ...any) {
	l.findings = append(l.findings, Finding{
		File: o.file, Line: line, Severity: severity, Check: check,
		Kind: vip.Short(o.kind), Namespace: vip.Short(o.namespace), Name: vip.Short(o.name),
		Message: vip.Short(fmt.Sprintf(format, args...)),
	})
}

// readable decodes the object, or says why that cannot be done.
func (l *linter) readable(o *object, into any) bool {
	if !l.texts(o) {
		return false
	}
	err := o.decode(into)
	if err == nil {
		return true
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		var path []any
		for _, field := range strings.Split(wrong.Field, ".") {
			path = append(path, field)
		}
		l.add(o, o.line(path...), Error, BadField, "%s; the API server refuses it", InWords(err))
		return false
	}
	l.add(o, o.line(), Error, BadField, "%s", InWords(err))
	return false
}

// inWords names a type of an API in the words of a manifest.
func inWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	default:
		return "a number"
	}
}

// texts checks that labels and annotations are strings. A number or false without
// quotes is the commonest mistake, and its object is refused as a whole.
func (l *linter) texts(o *object) bool {
	before := len(l.findings)
	for _, field := range []string{"labels", "annotations"} {
		for key, value := range o.keys(field) {
			if _, isText := value.(string); !isText && value != nil {
				text, err := json.Marshal(value)
				if err != nil {
					text = []byte(fmt.Sprint(value))
				}
				l.add(o, o.line("metadata", field, key), Error, BadField, "the value of %s %.100q must be a string; put %.80s in quotes", field[:len(field)-1], key, text)
			}
		}
	}
	return len(l.findings) == before
}
