package suite

import (
	"fmt"
	"regexp"
	"strings"
	"text/tabwriter"
)

// What is printed is long. These rules keep the lines that tell; "…" stands for others.

const leftOut = "…\n"

// ages are those of objects and reports, which every run has others of.
var ages = regexp.MustCompile(`\b(created |for |reported it |)(?:[0-9]+[smh])+( ago| old|$|\n)`)

// sameAge makes all ages the same.
func sameAge(text string) string { return ages.ReplaceAllString(text, "${1}5s${2}") }

// whole keeps everything.
func whole(text string) string { return text }

// ofDescribe keeps of `kubectl describe cluster` our conditions, without their times and
// generations, and the events of the allocator.
func ofDescribe(text string) string {
	status, events, _ := strings.Cut(text, "\nEvents:")
	result := ""
	for _, block := range conditionBlocks(status) {
		if !strings.Contains(block[len(block)-1], "VIPReady") {
			continue
		}
		result += leftOut
		for _, line := range block {
			result += "    " + strings.TrimSpace(line) + "\n"
		}
	}
	if result != "" {
		result += leftOut
	}
	return result + "Events:\n" + ofEvents(events)
}

// conditionBlocks splits the conditions, whose fields are in the order of the alphabet.
func conditionBlocks(text string) [][]string {
	var blocks [][]string
	var block []string
	for line := range strings.Lines(text) {
		switch field := strings.TrimSpace(line); {
		case strings.HasPrefix(field, "Last Transition Time:"):
			block = nil
		case strings.HasPrefix(field, "Observed Generation:"):
		case strings.HasPrefix(field, "Type:"):
			blocks = append(blocks, append(block, line))
			block = nil
		default:
			block = append(block, line)
		}
	}
	return blocks
}

var columns = regexp.MustCompile(` {2,}`)

// ofEvents keeps the allocator's events, with columns as wide as these need, and one age.
func ofEvents(text string) string {
	var result strings.Builder
	table := tabwriter.NewWriter(&result, 0, 0, 2, ' ', 0)
	for i, line := range strings.Split(strings.Trim(text, "\n"), "\n") {
		fields := columns.Split(strings.TrimSpace(line), 5)
		if len(fields) != 5 || (i > 1 && fields[3] != "capi-vip-allocator") {
			continue
		}
		if i > 1 {
			fields[2] = "5s"
		}
		fmt.Fprintln(table, "  "+strings.Join(fields, "\t"))
	}
	_ = table.Flush() // into memory
	return result.String()
}

// ofExplain keeps of `kubectl vip explain` what is said about the Cluster, about the
// control plane, and about what could not be seen.
func ofExplain(text string) string {
	result, keeps, left := "", true, false
	for line := range strings.Lines(sameAge(text)) {
		switch word, _, _ := strings.Cut(line, " "); {
		case word == "Cluster" || word == "Class" || word == "Served" || word == "control-plane" || strings.HasPrefix(line, "not visible:"):
			keeps = true
		case strings.TrimSpace(line) == "":
			keeps = false
			continue
		case word != "":
			keeps = false
		}
		if !keeps {
			left = true
			continue
		}
		if left {
			result, left = result+leftOut, false
		}
		result += line
	}
	if left {
		result += leftOut
	}
	return result
}
