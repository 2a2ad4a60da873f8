package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// recipe is what a Dockerfile says about an image that starts empty.
type recipe struct {
	copies     []copied
	labels     map[string]string
	user       string
	entrypoint []string
}

// parse reads a Dockerfile. Builtin arguments count where the file declares them, as
// with Docker; given ones take the place of its defaults.
func parse(text string, builtin, given map[string]string) (*recipe, error) {
	r := &recipe{labels: map[string]string{}}
	args := map[string]string{}
	for _, line := range instructions(text) {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if word == "ARG" {
			declare(args, rest, builtin, given)
			continue
		}
		if err := r.read(word, os.Expand(rest, func(name string) string { return args[name] })); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
	}
	return r, nil
}

// instructions are the lines without comments, those joined that end in a backslash.
func instructions(text string) []string {
	var lines []string
	joined := ""
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		if before, more := strings.CutSuffix(line, `\`); more {
			joined += before
			continue
		}
		lines = append(lines, joined+line)
		joined = ""
	}
	return lines
}

func declare(args map[string]string, declaration string, builtin, given map[string]string) {
	name, value, _ := strings.Cut(declaration, "=")
	for _, known := range []map[string]string{builtin, given} {
		if known[name] != "" {
			value = known[name]
		}
	}
	args[name] = value
}

func (r *recipe) read(word, rest string) error {
	switch word {
	case "FROM":
		if rest != "scratch" {
			return fmt.Errorf("it does not start empty")
		}
	case "LABEL":
		return r.label(rest)
	case "COPY":
		from, to, found := strings.Cut(rest, " ")
		if !found || strings.HasPrefix(from, "-") || strings.Contains(to, " ") || !strings.HasPrefix(to, "/") {
			return fmt.Errorf("not of the form COPY FILE /FILE")
		}
		r.copies = append(r.copies, copied{from, to})
	case "USER":
		r.user = rest
	case "ENTRYPOINT":
		return json.Unmarshal([]byte(rest), &r.entrypoint)
	default:
		return fmt.Errorf("unknown instruction")
	}
	return nil
}

// label reads key="value" pairs.
func (r *recipe) label(rest string) error {
	for rest != "" {
		key, quoted, found := strings.Cut(rest, `="`)
		value, more, closed := strings.Cut(quoted, `"`)
		if !found || !closed {
			return fmt.Errorf(`not of the form KEY="VALUE"`)
		}
		r.labels[key] = value
		rest = strings.TrimSpace(more)
	}
	return nil
}
