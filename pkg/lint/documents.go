package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Document is one document of a YAML stream, with the separator before it.
type Document struct {
	Text []byte
	// Line is the first one with content, counted from 1.
	Line int
	// Empty says that there are comments and directives only.
	Empty bool
}

// Documents cuts a stream. The documents in their order are the whole of it.
func Documents(data []byte) []Document {
	var list []Document
	for _, d := range documents(data) {
		list = append(list, Document{Text: d.text, Line: d.firstLine(), Empty: isEmpty(d.text)})
	}
	return list
}

func isEmpty(text []byte) bool {
	for line := range bytes.Lines(text) {
		if separates(line) {
			line = line[len("---"):]
		}
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && line[0] != '%' {
			return false
		}
	}
	return true
}

// InWords says in the words of a manifest why an object cannot be read into a type of its API.
func InWords(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("%s must be %s, and is of type %s", wrong.Field, inWords(wrong.Type), wrong.Value)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
