package lint

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Source is one file, or what came by a pipe: YAML or JSON with any number of documents.
type Source struct {
	Name string
	Data []byte
}

// document is a part of a source.
type document struct {
	text []byte
	// before is the number of lines of the source that precede it.
	before int
}

// documents cuts a source, so that a broken document does not hide those behind it.
// YAML lets no line of a document begin with the separator.
func documents(data []byte) []document {
	var list []document
	start, before, line := 0, 0, 0
	for at := 0; at < len(data); line++ {
		end := len(data)
		if newline := bytes.IndexByte(data[at:], '\n'); newline >= 0 {
			end = at + newline + 1
		}
		if separates(data[at:end]) && at > start {
			list = append(list, document{text: data[start:at], before: before})
			start, before = at, line
		}
		at = end
	}
	return append(list, document{text: data[start:], before: before})
}

func separates(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0])))
}

// read returns the objects of a source; what cannot be read is a finding.
func read(source Source, live bool) (objects []*object, broken []Finding) {
	hinted := false
	for _, doc := range documents(source.Data) {
		doc.text = masked(doc.text)
		if onlyDirectives(doc.text) {
			continue
		}
		fail := func(err error) {
			broken = append(broken, doc.broken(source.Name, err))
		}
		var root yamlv3.Node
		if err := yamlv3.Unmarshal(doc.text, &root); err != nil {
			fail(err)
			continue
		}
		if len(root.Content) == 0 {
			continue
		}
		// What the API server is sent comes from this parser, which knows other words
		// than the one above; that one knows lines.
		raw, err := yaml.YAMLToJSON(doc.text)
		if err != nil {
			fail(err)
			continue
		}
		var content any
		if err := utiljson.Unmarshal(raw, &content); err != nil {
			fail(err)
			continue
		}
		m := &mask{}
		content, _ = m.drop(content)
		substituted := m.unknown
		found := collect(&object{file: source.Name, before: doc.before, node: root.Content[0], live: live, substituted: substituted}, content)
		objects = append(objects, found...)
		if substituted && !hinted && len(found) > 0 {
			hinted = true
			broken = append(broken, Finding{
				File: source.Name, Line: doc.firstPlaceholder(), Severity: Info, Check: Substitution,
				Message: "the file has ${…} that is filled in before it is applied: what depends on that is passed over; give what is rendered to lint, as clusterctl generate yaml or envsubst print it",
			})
		}
	}
	return objects, broken
}

// onlyDirectives tells whether the text before a first separator is no document.
func onlyDirectives(text []byte) bool {
	directive := false
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 || line[0] == '#':
		case line[0] == '%':
			directive = true
		default:
			return false
		}
	}
	return directive
}

// collect returns the object, or those in it if it is a list.
func collect(at *object, content any) []*object {
	raw, _ := content.(map[string]any)
	apiVersion, _ := raw["apiVersion"].(string)
	at.kind, _ = raw["kind"].(string)
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil || at.kind == "" || apiVersion == "" {
		return nil
	}
	if items, isList := raw["items"].([]any); isList && strings.HasSuffix(at.kind, "List") {
		var objects []*object
		for i, item := range items {
			if _, node := at.find("items", i); node != nil {
				objects = append(objects, collect(&object{file: at.file, before: at.before, node: node, live: at.live, substituted: at.substituted}, item)...)
			}
		}
		return objects
	}
	at.raw, at.group, at.version = raw, gv.Group, gv.Version
	metadata, _ := raw["metadata"].(map[string]any)
	at.namespace, _ = metadata["namespace"].(string)
	at.name, _ = metadata["name"].(string)
	_, at.exported = metadata["uid"]
	return []*object{at}
}

var lineNumber = regexp.MustCompile(`line (\d+)(: )?`)

func (d document) broken(file string, err error) Finding {
	message := err.Error()
	line := d.firstLine()
	if found := lineNumber.FindStringSubmatch(message); found != nil {
		if number, err := strconv.Atoi(found[1]); err == nil {
			line = d.before + max(number, 1)
			if strings.Contains(message, "did not find expected") {
				// The library counts from 0 in errors of its parser, from 1 in those of its scanner.
				line++
			}
			line = min(line, d.before+1+bytes.Count(bytes.TrimRight(d.text, "\n"), []byte("\n")))
		}
		message = strings.Replace(message, found[0], "", 1)
	}
	for _, prefix := range []string{"error converting YAML to JSON: ", "yaml: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	if bytes.Contains(d.text, []byte("{{")) {
		message += "; if this is a template, check what it renders (helm template … | capi-vip-allocator lint -)"
	}
	return Finding{File: file, Line: line, Severity: Error, Check: BadYAML, Message: vip.Short(unmask.Replace(message))}
}

// firstLine is the first one with content.
func (d document) firstLine() int {
	line := d.before + 1
	for text := range bytes.Lines(d.text) {
		text = bytes.TrimSpace(text)
		if len(text) > 0 && text[0] != '#' && string(text) != "---" {
			return line
		}
		line++
	}
	return d.before + 1
}

// firstPlaceholder is the line of the first value that is to be filled in.
func (d document) firstPlaceholder() int {
	line := d.before + 1
	for text := range bytes.Lines(d.text) {
		if bytes.Contains(text, []byte(opened)) {
			return line
		}
		line++
	}
	return d.firstLine()
}
