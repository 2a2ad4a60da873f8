package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
)

// lintWriter returns what writes findings in the form that --output names; nil if none does.
func lintWriter(output string) func(io.Writer, []lint.Finding) error {
	switch output {
	case "text":
		return lintText
	case "json":
		return lintJSON
	case "github":
		return lintGitHub
	}
	return nil
}

func lintText(out io.Writer, findings []lint.Finding) error {
	for i := range findings {
		if _, err := fmt.Fprintln(out, findings[i].String()); err != nil {
			return err
		}
	}
	return nil
}

func lintJSON(out io.Writer, findings []lint.Finding) error {
	if findings == nil {
		findings = []lint.Finding{}
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(findings)
}

// lintGitHub writes commands of a GitHub workflow, which shows them beside the lines.
func lintGitHub(out io.Writer, findings []lint.Finding) error {
	commands := map[lint.Severity]string{lint.Error: "error", lint.Warning: "warning", lint.Info: "notice"}
	message := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for i := range findings {
		f := &findings[i]
		if _, err := fmt.Fprintf(out, "::%s file=%s,line=%d,title=%s::%s\n",
			commands[f.Severity], property.Replace(f.File), f.Line, property.Replace(string(f.Check)), message.Replace(f.Text())); err != nil {
			return err
		}
	}
	return nil
}
