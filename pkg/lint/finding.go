package lint

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity says how bad a finding is. The values are public.
type Severity string

const (
	// Error means that the API server or Cluster API refuses the object, or that a VIP is lost or used twice.
	Error Severity = "error"
	// Warning means that it depends on what the input does not show.
	Warning Severity = "warning"
	// Info is advice, or says what could not be checked.
	Info Severity = "info"
)

// Finding is one thing that is wrong, and what to do about it.
type Finding struct {
	File string `json:"file"`
	// Line is where the offending field stands, counted from 1.
	Line     int      `json:"line"`
	Severity Severity `json:"severity"`
	Check    Check    `json:"check"`
	// Kind, Namespace and Name are empty for a document that could not be read.
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Message   string `json:"message"`
}

// Object names the object, as in "Cluster team-a/c1"; empty if there is none.
func (f *Finding) Object() string {
	switch {
	case f.Kind == "":
		return ""
	case f.Namespace == "":
		return f.Kind + " " + f.Name
	}
	return f.Kind + " " + f.Namespace + "/" + f.Name
}

// Text is the message with the object that it is about.
func (f *Finding) Text() string {
	if object := f.Object(); object != "" {
		return object + ": " + f.Message
	}
	return f.Message
}

// String returns "file:line: severity [check] Kind namespace/name: message".
func (f *Finding) String() string {
	return fmt.Sprintf("%s:%d: %s [%s] %s", f.File, f.Line, f.Severity, f.Check, f.Text())
}

// Count returns how many findings have the severity.
func (r *Result) Count(severity Severity) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Severity == severity {
			n++
		}
	}
	return n
}

// sorted puts the findings into the order of the sources, and by line in each.
func sorted(findings []Finding, sources []Source) []Finding {
	place := map[string]int{}
	for i := range sources {
		place[sources[i].Name] = i
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(place[a.File], place[b.File]),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Check, b.Check),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return findings
}
