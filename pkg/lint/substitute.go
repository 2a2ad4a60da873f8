package lint

import (
	"bytes"
	"regexp"
	"strings"
)

// placeholder is what somebody fills in before the API server sees the manifest: clusterctl,
// Flux, envsubst. A default stands behind ":=", ":-", "=" or "-". A dollar before it says that it
// is to stay as it is.
var placeholder = regexp.MustCompile(`\$?\$\{ *([A-Za-z_][A-Za-z0-9_]*)(?: *:?[=-]([^{}\n]*))? *\}`)

// Letters that no name has mark what was a placeholder while the document is parsed: the braces
// themselves mean something in YAML.
const opened, closed = "‹", "›"

// masked replaces placeholders: by their default or, where they have none, by a mark.
func masked(text []byte) []byte {
	return placeholder.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := placeholder.FindSubmatch(match)
		if bytes.HasPrefix(match, []byte("$$")) {
			return match
		}
		if len(parts[2]) > 0 {
			return parts[2]
		}
		return []byte(opened + string(parts[1]) + closed)
	})
}

var unmask = strings.NewReplacer(opened, "${", closed, "}")

// isMasked tells whether a value is unknown until something is filled in. Text with spaces,
// such as a script, is no such value: what looks like a placeholder there means the script.
func isMasked(text string) bool {
	return strings.Contains(text, opened) && !strings.ContainsAny(text, " \t\n")
}

// mask removes placeholders from one document.
type mask struct {
	// unknown says that there were any.
	unknown bool
}

// drop removes what is unknown, so that nobody judges it, and restores the rest. The name
// of the object and of what it refers to stay: they only have to agree.
func (m *mask) drop(value any, path ...string) (_ any, keep bool) {
	switch value := value.(type) {
	case string:
		if isMasked(value) {
			if m.unknown = true; !isName(path) {
				return nil, false
			}
		}
		return unmask.Replace(value), true
	case []any:
		kept := make([]any, 0, len(value))
		for _, entry := range value {
			if entry, keep := m.drop(entry, path...); keep {
				kept = append(kept, entry)
			}
		}
		return kept, true
	case map[string]any:
		for key, field := range value {
			if field, keep := m.drop(field, append(path[:len(path):len(path)], key)...); keep {
				value[key] = field
			} else {
				delete(value, key)
			}
		}
		return value, true
	}
	return value, true
}

// isName tells whether the path leads to a name, of the object or of another one.
func isName(path []string) bool {
	if len(path) == 0 {
		return false
	}
	last := path[len(path)-1]
	return last == "name" || last == "namespace" || last == "class" || last == "classNamespace"
}

// hasPlaceholder tells whether a name is to be filled in.
func hasPlaceholder(name string) bool { return strings.Contains(name, "${") }
