// Package audit reads the audit log of a kube-apiserver, one JSON object per line.
package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Event is one request: when it was answered or, of a watch, when it began.
type Event struct {
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	UserAgent  string `json:"userAgent"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Group       string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Received time.Time `json:"requestReceivedTimestamp"`
	Answered time.Time `json:"stageTimestamp"`
}

// Log is an audit log that may still be written to.
type Log string

// Position is where the next event will be written, in bytes: give it to Since
// to leave out what happened before.
func (l Log) Position() (int64, error) {
	info, err := os.Stat(string(l))
	if err != nil {
		return 0, fmt.Errorf("find the end of the audit log: %w", err)
	}
	return info.Size(), nil
}

// Since returns the events that begin at a position or later, oldest first. A line
// that is not complete yet is left out.
func (l Log) Since(position int64) ([]Event, error) {
	file, err := os.Open(string(l))
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, max(position-1, 0), 1<<40))
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	if position > 0 {
		// The position may be in the midst of a line that was being written then.
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	var events []Event
	for {
		line, rest, complete := bytes.Cut(text, []byte("\n"))
		if !complete {
			return events, nil
		}
		var event Event
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("read the audit log after byte %d: %w", position, err)
		}
		events = append(events, event)
		text = rest
	}
}

// Agent is the program's part of the user agent: "kubectl" of
// "kubectl/v1.36.3 (linux/amd64) kubernetes/abcdef".
func (e Event) Agent() string {
	agent, _, _ := strings.Cut(e.UserAgent, "/")
	agent, _, _ = strings.Cut(agent, " ")
	return agent
}

// Resource is what the request was about, with its subresource: "clusters/status".
// It is the path of a request that was about no resource.
func (e Event) Resource() string {
	switch {
	case e.Object.Resource == "":
		path, _, _ := strings.Cut(e.RequestURI, "?")
		return path
	case e.Object.Subresource != "":
		return e.Object.Resource + "/" + e.Object.Subresource
	default:
		return e.Object.Resource
	}
}

// IsWrite tells whether the request was to change something.
func (e Event) IsWrite() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, e.Verb)
}

// Accepted tells whether the API server did what the request asked for.
func (e Event) Accepted() bool { return e.Response.Code >= 200 && e.Response.Code < 300 }

// Keep returns the events for which all tests are true.
func Keep(events []Event, tests ...func(Event) bool) []Event {
	var kept []Event
	for _, event := range events {
		if !slices.ContainsFunc(tests, func(test func(Event) bool) bool { return !test(event) }) {
			kept = append(kept, event)
		}
	}
	return kept
}

// By is a test for Keep: the request came from a program whose user agent starts
// with agent.
func By(agent string) func(Event) bool {
	return func(e Event) bool { return strings.HasPrefix(e.UserAgent, agent) }
}
