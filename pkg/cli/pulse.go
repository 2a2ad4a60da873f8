package cli

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// pulse tells whether the API server answers those who follow it. It asks again until there
// is an answer: whoever follows would wait longer and longer, and come back late.
type pulse struct {
	next http.RoundTripper
	// changed is called when trouble says something else.
	changed func()

	mu    sync.Mutex
	away  string // says why there is no answer; empty if there is
	since time.Time
	// refused are resources that are not answered well, with the answer.
	refused map[string]string
}

// wrap is for the one client that is followed by.
func (p *pulse) wrap(next http.RoundTripper) http.RoundTripper {
	p.next = next
	return p
}

// RoundTrip implements http.RoundTripper. Requests have no body.
func (p *pulse) RoundTrip(r *http.Request) (*http.Response, error) {
	const pause = time.Second
	for {
		response, err := p.next.RoundTrip(r)
		if err == nil {
			p.answered(r, response.StatusCode)
			return response, nil
		}
		if r.Context().Err() != nil {
			return nil, err //nolint:wrapcheck // it is the transport's, for the client
		}
		p.silent(err)
		select {
		case <-r.Context().Done():
			return nil, err //nolint:wrapcheck // likewise
		case <-time.After(pause):
		}
	}
}

func (p *pulse) silent(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away == "" {
		p.away, p.since = err.Error(), time.Now()
		defer p.changed()
	}
}

func (p *pulse) answered(r *http.Request, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := maps.Clone(p.refused)
	resource := path.Base(r.URL.Path)
	watch := "watch " + resource
	switch {
	case code >= http.StatusBadRequest && r.URL.Query().Get("watch") == "true":
		p.refused[watch] = http.StatusText(code)
	case code >= http.StatusBadRequest:
		p.refused["list "+resource] = http.StatusText(code)
	default:
		delete(p.refused, "list "+resource)
		if r.URL.Query().Get("watch") == "true" {
			delete(p.refused, watch)
		}
	}
	if p.away != "" || !maps.Equal(before, p.refused) {
		p.away = ""
		defer p.changed()
	}
}

// trouble says why what is known may be old; empty if it is current.
func (p *pulse) trouble() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away != "" {
		return fmt.Sprintf("The API server has not answered since %s: %s. Shown is what was known then.", p.since.UTC().Format("15:04:05 UTC"), p.away)
	}
	var words []string
	for _, what := range slices.Sorted(maps.Keys(p.refused)) {
		words = append(words, what+": "+p.refused[what])
	}
	if len(words) == 0 {
		return ""
	}
	return "The API server refuses: " + strings.Join(words, ", ") + "."
}
