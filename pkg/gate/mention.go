package gate

import "strings"

// mentions tells whether a template names the variable at the path, an object
// that holds it or a field below it: .vips.ingress, .vips or index . "vips".
//
// It only reads text and may be wrong about a word in a literal.
func mentions(template, path string) bool {
	name, rest, _ := strings.Cut(path, ".")
	if name == "" {
		return false
	}
	for {
		at := strings.Index(template, name)
		if at < 0 {
			return false
		}
		before, after := template[:at], template[at+len(name):]
		if before != "" && strings.ContainsAny(before[len(before)-1:], ".\"`") && !continues(after) && leads(after, rest) {
			return true
		}
		template = after
	}
}

// leads tells whether the fields that follow a variable stay on the path.
func leads(after, rest string) bool {
	for rest != "" && strings.HasPrefix(after, ".") {
		var segment string
		segment, rest, _ = strings.Cut(rest, ".")
		var on bool
		if after, on = strings.CutPrefix(after[1:], segment); !on || continues(after) {
			return false
		}
	}
	return true
}

// continues tells whether the text goes on with a character of an identifier.
func continues(text string) bool {
	if text == "" {
		return false
	}
	c := text[0]
	return c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// reads tells whether a valueFrom.variable needs the value at the path.
func reads(variable, path string) bool {
	return variable == path || strings.HasPrefix(path, variable+".") && variable != ""
}

// touches is reads, or the variable is a field below the path.
func touches(variable, path string) bool {
	return reads(variable, path) || strings.HasPrefix(variable, path+".")
}
