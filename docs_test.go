package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced  = regexp.MustCompile("(?s)\n *```.*?\n *```")
	dropped = regexp.MustCompile("[^a-z0-9 _-]")
)

// Every link of the documents leads to something, and every page is linked by the index.
func TestDocumentsAreLinked(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "README.md", "CONTRIBUTING.md", "UPGRADING.md", "SECURITY.md", "CHANGELOG.md", "charts/capi-vip-allocator/README.md")
	for _, page := range pages {
		for _, target := range links(t, page) {
			path, anchor, _ := strings.Cut(target, "#")
			if path == "" {
				path = page
			} else {
				path = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, target)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(t, path), anchor) {
				t.Errorf("%s: %s has no heading #%s", page, path, anchor)
			}
		}
	}
	index := links(t, "docs/README.md")
	for _, page := range pages {
		if name, inside := strings.CutPrefix(page, "docs/"); inside && name != "README.md" && !slices.Contains(index, name) {
			t.Errorf("docs/README.md does not link %s", name)
		}
	}
	if !slices.Contains(links(t, "README.md"), "docs/README.md") {
		t.Error("README.md does not link the index of the documents")
	}
}

// links are the relative ones of a page, code left out.
func links(t *testing.T, page string) (targets []string) {
	t.Helper()
	for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text(t, page), ""), -1) {
		if !strings.Contains(match[1], "://") && !strings.HasPrefix(match[1], "mailto:") {
			targets = append(targets, match[1])
		}
	}
	return targets
}

// anchors are the names that GitHub gives the headings of a page.
func anchors(t *testing.T, page string) (names []string) {
	t.Helper()
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text(t, page), ""), -1) {
		name := dropped.ReplaceAllString(strings.ToLower(match[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func text(t *testing.T, page string) string {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
